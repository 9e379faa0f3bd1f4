//! The scripts and the printed steps in `certs/`, run as a reader would run them.
//!
//! What they make is checked with other eyes than openssl's: x509-parser reads the certificates, and
//! rustls, as the server uses it, takes the pair.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejob::policy::RESERVED;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use support::output::Output;
use support::plane::{self, ControlPlane};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(root().join("certs"), folder.path().join("certs"))
        .expect("link certs");
    folder
}

/// Runs a shell command in that folder, in which `certs/` is the project's.
fn shell(folder: &Path, command: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-euc", command]).current_dir(folder);
    Output::of(&mut shell, "")
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().expect("certificates in PEM")
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    let names =
        certificate.subject_alternative_name().expect("extensions").expect("alternative names");
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => panic!("{other:?}"),
    };
    names.value.general_names.iter().map(dns).collect()
}

/// Holds that rustls serves the pair, and that a client which trusts the CA accepts the name.
fn assert_serves(chain: &[u8], key: &[u8], ca: &[u8], host: &str) {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates(chain), key)
        .expect("key and certificate match");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(ca) {
        roots.add(certificate).expect("a CA");
    }
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let verifier = verifier.build().expect("a verifier");
    let chain = certificates(chain);
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let now = rustls_pki_types::UnixTime::now();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*verifier,
        &chain[0],
        &chain[1..],
        &name,
        &[],
        now,
    )
    .expect("the API server would accept it");
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).expect("a file")).expect("YAML")
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("a text")).expect("Base64")
}

#[test]
fn the_script_makes_a_pair_that_the_api_server_accepts() {
    let folder = folder();
    let dir = folder.path();
    shell(dir, "certs/make-certificate.sh --namespace jobs --service redeploy --secret pair --names a.example.com --out out").ok();
    let secret = yaml(&dir.join("out/secret.yaml"));
    assert_eq!(secret["metadata"], json!({ "name": "pair", "namespace": "jobs" }));
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let (chain, key) = (decoded(&secret["data"]["tls.crt"]), decoded(&secret["data"]["tls.key"]));
    let expected = ["redeploy.jobs.svc", "redeploy.jobs.svc.cluster.local", "a.example.com"];
    assert_eq!(names(&certificates(&chain)[0]), expected);
    let bundle = yaml(&dir.join("out/ca-bundle.yaml"));
    // The entries that the chart renders with its default values.
    let entries = bundle["webhooks"].as_array().unwrap();
    let listed: BTreeSet<_> =
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    let policies = rejob::policy::PolicySet::builtin();
    let rendered = policies.names().chain(RESERVED);
    assert_eq!(listed, rendered.map(|name| format!("{name}.rejob.dev")).collect());
    for entry in entries {
        let ca = decoded(&entry["clientConfig"]["caBundle"]);
        for name in expected {
            assert_serves(&chain, &key, &ca, name);
        }
    }
    shell(dir, "openssl verify -CAfile out/ca.crt out/tls.crt").ok();
    // Nobody else reads the keys, and nothing is left behind.
    let listed = shell(dir, "ls -A out; find out -perm /077").ok().stdout;
    assert_eq!(listed, "ca-bundle.yaml\nca.crt\nca.key\nsecret.yaml\ntls.crt\ntls.key\n");
}

#[test]
fn a_renewal_keeps_the_ca() {
    let folder = folder();
    let dir = folder.path();
    let make = "certs/make-certificate.sh --out out";
    shell(dir, make).ok();
    let read = |name: &str| std::fs::read(dir.join("out").join(name)).expect("a file");
    let (ca, old) = (read("ca.crt"), read("tls.crt"));
    shell(dir, make).ok();
    assert_eq!(read("ca.crt"), ca);
    assert_ne!(read("tls.crt"), old);
    assert_serves(&read("tls.crt"), &read("tls.key"), &ca, "rejob.rejob.svc");
    let refused = shell(dir, &format!("{make} --days 4000")).exited(1);
    refused.warns("the CA in out ends before a certificate of 4000 days would");
    assert_eq!(read("ca.crt"), ca);
}

#[test]
fn a_ca_of_the_users_signs_and_its_key_is_not_copied() {
    let folder = folder();
    let dir = folder.path();
    shell(dir, "certs/make-certificate.sh --out first").ok();
    shell(dir, "certs/make-certificate.sh --out out --ca-cert first/ca.crt --ca-key first/ca.key")
        .ok();
    assert!(!dir.join("out/ca.key").exists());
    let read = |name: &str| std::fs::read(dir.join(name)).expect("a file");
    assert_serves(
        &read("out/tls.crt"),
        &read("out/tls.key"),
        &read("first/ca.crt"),
        "rejob.rejob.svc",
    );
    shell(dir, "certs/make-certificate.sh --out other").ok();
    shell(dir, "certs/make-certificate.sh --out bad --ca-cert first/ca.crt --ca-key other/ca.key")
        .exited(1)
        .warns("is the key the one of the certificate?");
}

#[test]
fn what_cannot_work_is_refused_with_a_sentence_before_anything_is_written() {
    let folder = folder();
    for (arguments, sentence) in [
        ("--paint red", "unknown option --paint"),
        ("--days", "--days needs a value"),
        ("--days soon", "soon is not a number of days"),
        ("--namespace 'a b'", "not a name that Kubernetes or DNS allows"),
        ("--policies '$(x)'", "not a name that Kubernetes or DNS allows"),
        ("--ca-cert certs/README.md", "must both name a file"),
    ] {
        let output =
            shell(folder.path(), &format!("certs/make-certificate.sh {arguments}")).exited(2);
        output.warns(sentence);
        assert!(!folder.path().join("rejob-certs").exists(), "{arguments}");
    }
    let bundle = |arguments: &str| shell(folder.path(), &format!("certs/ca-bundle.sh {arguments}"));
    bundle("certs/README.md replace").exited(1).warns("holds no certificate in PEM");
    bundle("certs/README.md").exited(2).warns("usage");
}

/// The `sh` blocks of the step-by-step part of the README.
fn steps() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("certs/README.md")).expect("certs/README.md");
    let blocks =
        readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[test]
fn the_steps_for_a_company_ca_work_as_printed() {
    let folder = folder();
    let dir = folder.path();
    let [request, check, bundle] = steps().try_into().expect("three blocks of commands");
    shell(dir, &request).ok();
    // The company's CA: a root and an intermediate that keeps the names of the request.
    shell(
        dir,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt -days 30 -subj /CN=root \
           -addext basicConstraints=critical,CA:true
         openssl req -newkey rsa:2048 -nodes -keyout intermediate.key -out intermediate.csr -subj /CN=intermediate
         printf 'basicConstraints=critical,CA:true\\nkeyUsage=keyCertSign\\n' >intermediate.ext
         openssl x509 -req -in intermediate.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 \
           -extfile intermediate.ext -out intermediate.crt
         sed -n '/^\\[ext\\]/,$p' certs/request.cnf >leaf.ext
         openssl x509 -req -in rejob.csr -CA intermediate.crt -CAkey intermediate.key -CAcreateserial -days 10 \
           -extfile leaf.ext -extensions ext -out rejob.crt",
    )
    .ok();
    let asked = shell(dir, "openssl req -in rejob.csr -noout -text").ok().stdout;
    assert!(asked.contains("DNS:rejob.rejob.svc, DNS:rejob.rejob.svc.cluster.local"), "{asked}");
    let said = shell(dir, &check).ok().stdout;
    assert!(said.contains("key and certificate match") && said.contains("rejob.crt: OK"), "{said}");
    assert!(said.contains("Hostname rejob.rejob.svc does match certificate"), "{said}");
    shell(dir, &bundle).ok();
    let read = |name: &str| std::fs::read(dir.join(name)).expect("a file");
    assert_serves(&read("tls.crt"), &read("tls.key"), &read("root.crt"), "rejob.rejob.svc");
    let entries = yaml(&dir.join("ca-bundle.yaml"));
    assert_eq!(decoded(&entries["webhooks"][3]["clientConfig"]["caBundle"]), read("root.crt"));
}

#[test]
fn the_patch_puts_the_ca_into_a_real_webhook_configuration() {
    let plane = ControlPlane::shared();
    let folder = folder();
    shell(folder.path(), "certs/make-certificate.sh --out out --policies one,two").ok();
    let name = format!("certs-{}", plane::unique());
    let webhook = |policy: &str| {
        json!({
            "name": format!("{policy}.rejob.dev"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "service": { "name": "rejob", "namespace": "rejob", "path": "/v1/policies/x" } },
            "namespaceSelector": { "matchLabels": { "rejob.dev/policy": name } },
        })
    };
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let configuration =
        json!({ "metadata": { "name": name }, "webhooks": [webhook("one"), webhook("two")] });
    plane.admin().post(path, &configuration).ok();
    let file = folder.path().join("out/ca-bundle.yaml").display().to_string();
    let args =
        ["patch", "mutatingwebhookconfiguration", &name, "--type=strategic", "--patch-file", &file];
    plane.admin().kubectl(&args, "").ok();
    let path = format!("{path}/{name}");
    let stored = plane.admin().get(&path).ok();
    for entry in stored["webhooks"].as_array().unwrap() {
        let ca = decoded(&entry["clientConfig"]["caBundle"]);
        assert_eq!(ca, std::fs::read(folder.path().join("out/ca.crt")).unwrap());
        assert_eq!(entry["clientConfig"]["service"]["path"], "/v1/policies/x");
    }
    plane.admin().delete(&path, &json!({})).ok();
}

#[test]
#[ignore = "needs shellcheck on PATH (Debian: apt-get install shellcheck)"]
fn shellcheck_finds_nothing() {
    for script in ["make-certificate.sh", "ca-bundle.sh"] {
        let path = root().join("certs").join(script);
        Output::of(Command::new("shellcheck").arg(path), "").ok();
    }
}
