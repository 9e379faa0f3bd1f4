//! What an installation's Deployment says about how rejob runs there: its service account, its
//! flags, where its certificate and its policies come from. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};

/// How rejob runs, as far as its Deployment tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Deployment's name.
    pub deployment: String,
    /// The service account of its Pods.
    pub service_account: String,
    /// The Secret with the certificate: the server's own, or the one mounted.
    pub secret: Option<String>,
    /// The webhook configuration that it takes for its own.
    pub configuration: Option<String>,
    /// Whether it keeps its certificate, and the entries of that configuration, itself.
    pub self_managed: bool,
    /// The Secret in which it keeps a path token beside a certificate from elsewhere.
    pub token_secret: Option<String>,
    /// Whether it serves only clients with certain names.
    pub names_clients: bool,
    /// The port of the webhook in its Pods.
    pub port: Option<i32>,
    /// The namespaces it is restricted to; all when empty.
    pub namespaces: Vec<String>,
    /// Whether it makes the checks of a replacement in the user's name.
    pub check_as_user: bool,
    /// The ConfigMap of its policies; the built-in ones without.
    pub policies: Option<String>,
}

impl Settings {
    /// Reads them off a Deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let none = PodSpec::default();
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let pod = template.and_then(|template| template.spec.as_ref()).unwrap_or(&none);
        let serves =
            |container: &&Container| flag(container, "--policies", "REJOB_POLICIES").is_some();
        let container = pod.containers.iter().find(serves).or(pod.containers.first());
        let value =
            |name, variable| container.and_then(|container| flag(container, name, variable));
        let configuration = value("--webhook-configuration", "REJOB_WEBHOOK_CONFIGURATION");
        let certificate = value("--tls-cert", "REJOB_TLS_CERT");
        let own = value("--cert-secret", "REJOB_CERT_SECRET");
        let self_managed = own.is_some();
        let without_namespace =
            |name: String| name.rsplit('/').next().unwrap_or_default().to_owned();
        let own = own.map(without_namespace);
        let token_secret = value("--token-secret", "REJOB_TOKEN_SECRET").map(without_namespace);
        let names_clients = value("--client-name", "REJOB_CLIENT_NAME").is_some();
        let listens = value("--listen", "REJOB_LISTEN");
        let port = listens.and_then(|address| address.rsplit(':').next()?.parse().ok());
        let mounted = certificate.and_then(|file| {
            let volume = volume(pod, container?, &file)?;
            volume.secret.as_ref()?.secret_name.clone()
        });
        let policies = value("--policies", "REJOB_POLICIES").and_then(|file| {
            Some(volume(pod, container?, &file)?.config_map.as_ref()?.name.clone())
        });
        let namespaces = value("--namespaces", "REJOB_NAMESPACES").unwrap_or_default();
        let args = container.and_then(|container| container.args.as_deref()).unwrap_or_default();
        let check_as_user = args.iter().any(|arg| arg == "--check-as-user")
            || value("--check-as-user", "REJOB_CHECK_AS_USER").as_deref() == Some("true");
        let account = pod.service_account_name.clone().filter(|name| !name.is_empty());
        Self {
            deployment: deployment.metadata.name.clone().unwrap_or_default(),
            service_account: account.unwrap_or_else(|| "default".to_owned()),
            secret: own.or(mounted),
            configuration,
            self_managed,
            token_secret,
            names_clients,
            port,
            namespaces: namespaces
                .split(',')
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect(),
            check_as_user,
            policies,
        }
    }
}

/// The value of a flag, else of its variable.
fn flag(container: &Container, name: &str, variable: &str) -> Option<String> {
    let args = container.args.as_deref().unwrap_or_default();
    let given = args.iter().enumerate().find_map(|(index, arg)| {
        let rest = arg.strip_prefix(name)?;
        if rest.is_empty() {
            return args.get(index + 1).cloned();
        }
        rest.strip_prefix('=').map(str::to_owned)
    });
    let set = || {
        let variables = container.env.iter().flatten();
        variables.filter(|env| env.name == variable).find_map(|env| env.value.clone())
    };
    given.or_else(set)
}

/// The volume that a file comes from.
fn volume<'a>(
    pod: &'a PodSpec,
    container: &Container,
    file: &str,
) -> Option<&'a k8s_openapi::api::core::v1::Volume> {
    let holds = |path: &str| {
        let rest = file.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounts = container.volume_mounts.iter().flatten();
    let mount =
        mounts.filter(|mount| holds(&mount.mount_path)).max_by_key(|m| m.mount_path.len())?;
    pod.volumes.iter().flatten().find(|volume| volume.name == mount.name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(args: &Value, env: &Value) -> Settings {
        let deployment = json!({ "metadata": { "name": "rejob" }, "spec": {
            "selector": {}, "template": { "spec": {
                "serviceAccountName": "rejob",
                "containers": [{
                    "name": "rejob", "args": args, "env": env,
                    "volumeMounts": [
                        { "name": "policies", "mountPath": "/etc/rejob/policies.yaml" },
                        { "name": "tls", "mountPath": "/etc/rejob/tls" },
                    ],
                }],
                "volumes": [
                    { "name": "policies", "configMap": { "name": "rejob-policies" } },
                    { "name": "tls", "secret": { "secretName": "mine" } },
                ],
            }},
        }});
        Settings::of(&serde_json::from_value(deployment).unwrap())
    }

    #[test]
    fn the_self_managed_way_is_read_off_the_flags() {
        let found = settings(
            &json!([
                "serve",
                "--policies=/etc/rejob/policies.yaml",
                "--namespaces=a,b",
                "--listen=[::]:10250",
                "--cert-secret=rejob-tls",
                "--webhook-configuration=00-rejob",
            ]),
            &json!([]),
        );
        let expected = Settings {
            deployment: "rejob".into(),
            service_account: "rejob".into(),
            secret: Some("rejob-tls".into()),
            configuration: Some("00-rejob".into()),
            self_managed: true,
            token_secret: None,
            names_clients: false,
            port: Some(10250),
            namespaces: vec!["a".into(), "b".into()],
            check_as_user: false,
            policies: Some("rejob-policies".into()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_mounted_certificate_names_its_secret() {
        let args = json!([
            "serve",
            "--tls-cert",
            "/etc/rejob/tls/tls.crt",
            "--webhook-configuration=00-rejob"
        ]);
        let found = settings(&args, &json!([]));
        assert_eq!(found.secret.as_deref(), Some("mine"));
        assert_eq!(found.configuration.as_deref(), Some("00-rejob"));
        assert_eq!((found.self_managed, found.policies), (false, None));
        assert_eq!((found.token_secret, found.names_clients), (None, false));
    }

    #[test]
    fn a_token_and_names_of_clients_are_read_off_the_flags() {
        let args = json!(["serve", "--token-secret=sys/rejob-token", "--client-name=a"]);
        let found = settings(&args, &json!([]));
        assert_eq!(found.token_secret.as_deref(), Some("rejob-token"));
        assert!(found.names_clients && !found.self_managed);
    }

    #[test]
    fn a_variable_counts_where_the_flag_is_not_given() {
        let env = json!([{ "name": "REJOB_CERT_SECRET", "value": "sys/own" }]);
        assert_eq!(settings(&json!(["serve"]), &env).secret.as_deref(), Some("own"));
    }

    #[test]
    fn checks_as_the_user_are_read_off_the_flag_or_its_variable() {
        let none = json!([]);
        assert!(settings(&json!(["serve", "--check-as-user"]), &none).check_as_user);
        let env = json!([{ "name": "REJOB_CHECK_AS_USER", "value": "true" }]);
        assert!(settings(&json!(["serve"]), &env).check_as_user);
        assert!(!settings(&json!(["serve", "--log-level=debug"]), &none).check_as_user);
    }

    #[test]
    fn without_anything_the_defaults_of_kubernetes_hold() {
        let found = Settings::of(&Deployment::default());
        assert_eq!(found.service_account, "default");
    }
}
