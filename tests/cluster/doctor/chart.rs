//! The chart's own objects, installed by Helm, before and after the server has done its part.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::clinic::{available, change_entries, turn};
use support::helm::Helm;
use support::pki::Pki;
use support::plane;

#[test]
fn an_installation_by_the_chart_is_found_and_understood() {
    let turn = turn();
    let admin = turn.plane().admin();
    let namespace = turn.plane().namespace("chart", &[]);
    let place = namespace.name();
    let release = format!("rejob-{}", plane::unique());
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/rejob");
    namespace.helm(Helm::V4_3, &["install", &release, chart]).ok();

    let seen = turn.doctor();
    let subject = format!("00-{release}/replace.rejob.dev");
    seen.finds("ca-bundle", &format!("{subject}: it has no caBundle"));
    seen.finds("entry", &format!("{subject}: its path is not /v1/policies/<policy>"));
    seen.finds("deployment", &format!("{place}/{release}: none of its 2 replicas is available"));
    seen.finds("endpoints", &format!("{place}/{release}: it has no ready endpoint"));
    let rights = seen.messages("ok", "rights");
    assert_eq!(rights, [format!("{place}/{release}: it has each of the 13 rights it needs")]);
    let guard = seen.messages("ok", "self-guard");
    assert_eq!(guard, [format!("{place}/{release}: self-guard.{release}.rejob.dev limits it")]);
    let remedies = seen.json["findings"].as_array().unwrap();
    let restart = format!("kubectl --namespace {place} rollout restart deployment/{release}");
    assert!(remedies.iter().any(|finding| finding["do"] == restart), "{}", seen.output.stdout);

    // What the server and the controllers do.
    let names = [format!("{release}.{place}.svc")];
    let pair = pair(turn.plane().pki(), &names);
    change_entries(&admin, &format!("00-{release}"), |entry| {
        let policy = entry["name"].as_str().unwrap().trim_end_matches(".rejob.dev").to_owned();
        let path = format!("/v1/t/0123456789abcdef/policies/{policy}");
        entry["clientConfig"]["service"]["path"] = json!(path);
        entry["clientConfig"]["caBundle"] = json!(STANDARD.encode(&pair.0));
    });
    let secret = json!({
        "metadata": { "name": format!("{release}-tls") }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": pair.1, "tls.key": pair.2 },
    });
    admin.post(&format!("/api/v1/namespaces/{place}/secrets"), &secret).ok();
    let slice = json!({
        "metadata": { "name": "one", "labels": { "kubernetes.io/service-name": release } },
        "addressType": "IPv4",
        "endpoints": [
            { "addresses": ["10.1.1.1"], "conditions": { "ready": true } },
            { "addresses": ["10.1.1.2"], "conditions": { "ready": false } },
        ],
    });
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{place}/endpointslices");
    admin.post(&slices, &slice).ok();
    available(&admin, &format!("/apis/apps/v1/namespaces/{place}/deployments/{release}"), 2);

    let seen = turn.doctor();
    namespace.helm(Helm::V4_3, &["uninstall", &release]).ok();
    seen.is_well();
    assert!(seen.messages("ok", "endpoints")[0].ends_with("1 endpoint ready"));
    // Its name leads nowhere from here, so the Secret is compared, and the finding says so.
    let bundles = seen.messages("ok", "ca-bundle");
    assert_eq!(bundles.len(), 5, "{}", seen.output.stdout);
    let compared = format!("the certificate in the Secret {release}-tls (");
    assert!(bundles[0].contains(&compared), "{bundles:?}");
    assert_eq!(seen.messages("hint", "namespace").len(), 1, "{}", seen.output.stdout);
}

/// The CA of the control plane, and a certificate by it for these names, with its key.
fn pair(pki: &Pki, names: &[String]) -> (String, String, String) {
    use rcgen::{CertificateParams, Issuer, KeyPair};
    let key = std::fs::read_to_string(pki.file("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&pki.ca(), KeyPair::from_pem(&key).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    (pki.ca(), leaf.pem(), key.serialize_pem())
}

#[test]
fn restricted_to_namespaces_the_rights_are_asked_for_there() {
    let turn = turn();
    let namespace = turn.plane().namespace("chart", &[]);
    let served = turn.plane().namespace("served", &[]);
    let release = format!("rejob-{}", plane::unique());
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/rejob");
    let only = format!("rbac.namespaces[0]={}", served.name());
    namespace.helm(Helm::V4_3, &["install", &release, chart, "--set", &only]).ok();
    let seen = turn.doctor();
    let rights = seen.messages("ok", "rights");
    let role =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/{release}", served.name());
    let none: Vec<Value> = Vec::new();
    turn.plane().admin().patch("merge", &role, &json!({ "rules": none })).ok();
    let missing = support::wait::until("seven rights are missing there", || {
        let missing = turn.doctor().messages("problem", "rights");
        (missing.len() == 7).then_some(missing)
    });
    namespace
        .helm(Helm::V4_3, &["upgrade", &release, chart, "--set", "selfGuard.enabled=false"])
        .ok();
    let without = turn.doctor().messages("hint", "self-guard");
    namespace.helm(Helm::V4_3, &["uninstall", &release]).ok();
    assert!(
        without[0].contains("there is no ValidatingAdmissionPolicy self-guard."),
        "{without:?}"
    );
    assert!(rights[0].ends_with("it has each of the 13 rights it needs"), "{rights:?}");
    let place = format!(" in the namespace {}", served.name());
    assert!(missing.iter().all(|message| message.ends_with(&place)), "{missing:?}");
}
