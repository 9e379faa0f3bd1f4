//! The flags about certificates, and the one way of supplying them that they choose.

use std::path::PathBuf;
use std::time::Duration;

use super::store::StorePlace;
use crate::duration;
use crate::error::UsageError;
use crate::kubernetes::names;

/// Where the server's certificate comes from. With none of these flags: an in-memory certificate
/// made at each start, for trying things out.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Certificates")]
pub struct CertArgs {
    /// Certificate chain, PEM, the server's own certificate first; read again when it changes.
    #[arg(long, env = "REJOB_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, PEM (PKCS#8, PKCS#1 or SEC1), not encrypted.
    #[arg(long, env = "REJOB_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// How often the certificate files are compared with what is served.
    #[arg(
        long, env = "REJOB_TLS_RELOAD_INTERVAL", value_name = "DURATION", default_value = "2s",
        value_parser = duration::parse_positive
    )]
    pub tls_reload_interval: Duration,

    /// CA bundle, PEM. Only clients with a certificate of this CA, and with a name in --client-name,
    /// are served.
    #[arg(long, env = "REJOB_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Name of a client that is served: a subjectAltName of its certificate, or its common name.
    /// --client-ca needs it, since a CA signs many certificates. Repeat it for more names.
    #[arg(long, env = "REJOB_CLIENT_NAME", value_name = "NAME", value_delimiter = ',')]
    pub client_name: Vec<String>,

    /// Secret in which the server keeps a CA and a certificate of its own; the namespace may be
    /// left out when `POD_NAMESPACE` is set.
    #[arg(long, env = "REJOB_CERT_SECRET", value_name = "[NAMESPACE/]NAME")]
    pub cert_secret: Option<String>,

    /// Secret in which the server keeps the path token when --tls-cert supplies the certificate.
    /// With --cert-secret the token is in that Secret. The namespace may be left out when
    /// `POD_NAMESPACE` is set.
    #[arg(long, env = "REJOB_TOKEN_SECRET", value_name = "[NAMESPACE/]NAME")]
    pub token_secret: Option<String>,

    /// `MutatingWebhookConfiguration` that calls this server. With --cert-secret the server writes
    /// its caBundle and paths into it, with --token-secret its paths. Left-over dormant Jobs are
    /// deleted only while this configuration guards them.
    #[arg(long, env = "REJOB_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,

    /// Service that API servers call, in the Secret's namespace. Its names go into the certificate,
    /// with those in the webhook configuration. A name with a dot is used as it is.
    #[arg(
        long,
        alias = "service-names",
        env = "REJOB_SERVICE_NAME",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub service_name: Vec<String>,

    /// How long a certificate that the server makes is valid. It is renewed after two thirds of that time.
    #[arg(
        long, env = "REJOB_CERT_LIFE", value_name = "DURATION", default_value = "90d",
        value_parser = duration::parse_positive
    )]
    pub cert_life: Duration,

    /// How long a CA that the server makes is valid: at least three times --cert-life. It is replaced
    /// after two thirds of that time.
    #[arg(
        long, env = "REJOB_CA_LIFE", value_name = "DURATION", default_value = "365d",
        value_parser = duration::parse_positive
    )]
    pub ca_life: Duration,

    /// The namespace of this Pod, from the downward API.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", hide = true)]
    pub pod_namespace: Option<String>,
}

/// The way certificates are supplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Made at the start, in memory, for loopback.
    InMemory,
    /// Files that somebody else renews.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Where the path token is kept, if there is one.
        token: Option<StorePlace>,
    },
    /// A CA and certificates of the server's own.
    SelfManaged {
        /// Where they are kept and published.
        place: StorePlace,
        /// DNS names that the certificate always carries.
        names: Vec<String>,
    },
}

impl CertArgs {
    /// The way certificates are supplied.
    ///
    /// # Errors
    /// When flags contradict each other or one is missing; a usage error.
    pub fn source(&self) -> Result<Source, UsageError> {
        let half = |given, missing| {
            Err(UsageError(format!("{given} needs {missing}: give both files or neither")))
        };
        let files = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (Some(_), None) => return half("--tls-cert", "--tls-key"),
            (None, Some(_)) => return half("--tls-key", "--tls-cert"),
            (None, None) => None,
        };
        if let Some(name) = &self.webhook_configuration {
            checked("--webhook-configuration", name)?;
        }
        match (&self.client_ca, self.client_name.as_slice()) {
            (Some(_), []) => {
                return usage(
                    "--client-ca needs --client-name: a cluster's CA signs the certificates of \
                     kubelets and people too, so name the API server's",
                );
            }
            (None, [_, ..]) => {
                return usage(
                    "--client-name needs --client-ca: give the CA that signs the certificates",
                );
            }
            _ => {}
        }
        if self.token_secret.is_some() && files.is_none() {
            return usage(
                "--token-secret needs --tls-cert and --tls-key; with --cert-secret the server \
                 keeps a path token anyway",
            );
        }
        match (files, &self.cert_secret, &self.webhook_configuration) {
            (Some(_), Some(_), _) => usage(
                "--tls-cert and --cert-secret exclude each other: give the files or the Secret",
            ),
            (Some((cert, key)), None, _) => {
                Ok(Source::Files { cert, key, token: self.token_place()? })
            }
            (None, None, _) => Ok(Source::InMemory),
            (None, Some(_), None) => usage(
                "--cert-secret needs --webhook-configuration: the server keeps its certificate in \
                 the Secret and publishes it in the webhook configuration",
            ),
            (None, Some(secret), Some(configuration)) => self.self_managed(secret, configuration),
        }
    }

    fn token_place(&self) -> Result<Option<StorePlace>, UsageError> {
        let Some(secret) = &self.token_secret else { return Ok(None) };
        let Some(configuration) = &self.webhook_configuration else {
            return usage(
                "--token-secret needs --webhook-configuration: the server keeps the path token in \
                 the Secret and writes the paths into the webhook configuration",
            );
        };
        self.place("--token-secret", secret, configuration).map(Some)
    }

    /// The place that the flag of a Secret and the webhook configuration name.
    fn place(
        &self,
        flag: &'static str,
        value: &str,
        configuration: &str,
    ) -> Result<StorePlace, UsageError> {
        let (namespace, name) = match (value.split_once('/'), &self.pod_namespace) {
            (Some(pair), _) => pair,
            (None, Some(namespace)) => (namespace.as_str(), value),
            (None, None) => {
                return usage(format!(
                    "{flag} {value:?} names no namespace: write NAMESPACE/NAME or set POD_NAMESPACE"
                ));
            }
        };
        let (namespace, secret) = (checked(flag, namespace)?, checked(flag, name)?);
        Ok(StorePlace { namespace, secret, configuration: configuration.to_owned() })
    }

    fn self_managed(&self, secret: &str, configuration: &str) -> Result<Source, UsageError> {
        let place = self.place("--cert-secret", secret, configuration)?;
        if self.ca_life / 3 < self.cert_life || self.cert_life < Duration::from_secs(5) {
            return usage(
                "--ca-life must be at least three times --cert-life, and --cert-life at least 5s",
            );
        }
        let mut names = Vec::new();
        for service in &self.service_name {
            let service = checked("--service-name", service)?;
            if service.contains('.') {
                names.push(service);
            } else {
                names.extend(service_names(&service, &place.namespace));
            }
        }
        Ok(Source::SelfManaged { place, names })
    }
}

fn checked(flag: &'static str, value: &str) -> Result<String, UsageError> {
    if names::is_subdomain(value) {
        Ok(value.to_owned())
    } else {
        usage(format!(
            "{flag} {value:?} is not a valid Kubernetes name: use lower-case letters, digits, \
             '-' and '.'"
        ))
    }
}

fn usage<T>(sentence: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(sentence.into()))
}

/// The names under which a Service is called: API servers use `<service>.<namespace>.svc`.
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
        service.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        certs: CertArgs,
    }

    fn args(flags: &str) -> Result<CertArgs, String> {
        let line = std::iter::once("serve").chain(flags.split_whitespace());
        let command = Command::try_parse_from(line).map_err(|error| error.to_string())?;
        Ok(command.certs)
    }

    fn source(flags: &str) -> Result<Source, String> {
        args(flags)?.source().map_err(|error| error.to_string())
    }

    #[test]
    fn each_way_is_chosen_by_its_flags() {
        assert_eq!(source(""), Ok(Source::InMemory));
        assert_eq!(source("--webhook-configuration w"), Ok(Source::InMemory));
        for flags in
            ["--tls-cert a --tls-key b", "--tls-cert a --tls-key b --webhook-configuration w"]
        {
            let files = Source::Files { cert: "a".into(), key: "b".into(), token: None };
            assert_eq!(source(flags), Ok(files));
        }
        let flags = "--tls-cert a --tls-key b --token-secret n/s --webhook-configuration w";
        let Ok(Source::Files { token: Some(place), .. }) = source(flags) else {
            panic!("no token")
        };
        let names = [place.namespace, place.secret, place.configuration];
        assert_eq!(names, ["n", "s", "w"]);
        assert_eq!(source("--client-ca a --client-name b"), Ok(Source::InMemory));
        let flags = "--cert-secret ns/tls --webhook-configuration 00-rejob --service-name rejob";
        let Ok(Source::SelfManaged { place, names }) = source(flags) else {
            panic!("not self-managed")
        };
        assert_eq!((place.namespace.as_str(), place.secret.as_str()), ("ns", "tls"));
        assert_eq!(names, ["rejob.ns.svc", "rejob.ns.svc.cluster.local", "rejob.ns", "rejob"]);
        assert_eq!(args(flags).unwrap().cert_life, Duration::from_hours(90 * 24));
        let flags = "--cert-secret n/s --webhook-configuration w --service-names a.n.svc,b.n.svc";
        let Ok(Source::SelfManaged { names, .. }) = source(flags) else {
            panic!("not self-managed")
        };
        assert_eq!(names, ["a.n.svc", "b.n.svc"]);
        let flags = "--cert-secret tls --webhook-configuration w --pod-namespace ns";
        assert!(
            matches!(source(flags), Ok(Source::SelfManaged { place, .. }) if place.namespace == "ns")
        );
    }

    #[test]
    fn half_a_combination_is_refused_in_one_sentence() {
        let cases = [
            ("--tls-cert a", "--tls-cert needs --tls-key"),
            ("--tls-key a", "--tls-key needs --tls-cert"),
            ("--tls-key a --cert-secret n/s", "--tls-key needs --tls-cert"),
            ("--cert-secret n/s", "--cert-secret needs --webhook-configuration"),
            ("--webhook-configuration W_", "not a valid Kubernetes name"),
            (
                "--tls-cert a --tls-key b --cert-secret n/s --webhook-configuration w",
                "exclude each other",
            ),
            ("--cert-secret s --webhook-configuration w", "--cert-secret \"s\" names no namespace"),
            ("--token-secret n/s", "--token-secret needs --tls-cert and --tls-key"),
            (
                "--cert-secret n/s --webhook-configuration w --token-secret n/s",
                "--token-secret needs --tls-cert and --tls-key",
            ),
            (
                "--tls-cert a --tls-key b --token-secret n/s",
                "--token-secret needs --webhook-configuration",
            ),
            (
                "--tls-cert a --tls-key b --token-secret s --webhook-configuration w",
                "--token-secret \"s\" names no namespace",
            ),
            ("--client-ca a", "--client-ca needs --client-name"),
            ("--client-name a", "--client-name needs --client-ca"),
            ("--cert-secret n/ --webhook-configuration w", "not a valid Kubernetes name"),
            ("--cert-secret a/b/c --webhook-configuration w", "not a valid Kubernetes name"),
            ("--cert-secret n/s --webhook-configuration W_", "not a valid Kubernetes name"),
            (
                "--cert-secret n/s --webhook-configuration w --cert-life 90d --ca-life 91d",
                "three times",
            ),
            ("--cert-secret n/s --webhook-configuration w --cert-life 1s", "at least 5s"),
            ("--cert-life 5", "not a duration"),
            ("--cert-life=-5s", "not a duration"),
            ("--cert-life 0s", "above zero"),
            ("--cert-life soon", "not a duration"),
        ];
        for (flags, expected) in cases {
            let error = source(flags).expect_err(flags);
            assert!(error.contains(expected), "{flags}: {error}");
        }
    }
}
