//! One healthy set of facts; each test spoils one thing and reads the sentence.

mod callers;
mod cluster;
mod collecting;
mod entries;
mod later;
mod reported;
mod self_guard;
mod workload;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::facts::{Backend, CallOutcome, Calls, Certificate, ChainSource, Facts, Installation};
use super::installation::Settings;
use super::{Finding, Level, examine, rights};
use crate::kubernetes::webhook::Target;
use crate::policy::PolicySet;

/// A certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A CA and a leaf for the Service, valid through 2026.
fn pki() -> (String, Vec<u8>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::new(["rejob.rejob.svc".to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(2026, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    (ca, leaf.der().to_vec())
}

fn configuration(ca: &str) -> Value {
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(ca);
    let entry = |policy: &str, operations: &[&str], failure_policy: &str| {
        json!({
            "name": format!("{policy}.rejob.dev"),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun",
            "clientConfig": { "caBundle": bundle, "service": {
                "name": "rejob", "namespace": "rejob", "port": 443,
                "path": format!("/v1/t/***/policies/{policy}"),
            }},
            "rules": [{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": operations,
            }],
            "failurePolicy": failure_policy,
            "timeoutSeconds": 10,
            "reinvocationPolicy": "Never",
        })
    };
    let mut replace = entry("replace", &["CREATE", "UPDATE"], "Ignore");
    replace["namespaceSelector"] = json!({ "matchLabels": { "rejob.dev/policy": "replace" } });
    let mut dormant = entry("dormant", &["UPDATE"], "Fail");
    dormant["objectSelector"] =
        json!({ "matchExpressions": [{ "key": "rejob.dev/dormant", "operator": "Exists" }] });
    let mut rerun = entry("rerun", &["UPDATE"], "Fail");
    rerun["namespaceSelector"] = json!({ "matchExpressions": [
        { "key": "rejob.dev/policy", "operator": "In", "values": ["replace", "ttl"] },
    ]});
    rerun["matchConditions"] = json!([{
        "name": "rerun", "expression": "'rejob.dev/rerun' in object.metadata.annotations",
    }]);
    json!({ "metadata": { "name": "00-rejob" }, "webhooks": [replace, rerun, dormant] })
}

fn deployment() -> Value {
    json!({
        "metadata": { "name": "rejob", "namespace": "rejob",
                      "labels": { "app.kubernetes.io/instance": "prod" } },
        "spec": { "replicas": 2, "selector": {}, "template": { "spec": {
            "serviceAccountName": "rejob",
            "containers": [{ "name": "rejob", "args": [
                "serve", "--cert-secret=rejob-tls", "--webhook-configuration=00-rejob",
            ]}],
        }}},
        "status": { "availableReplicas": 2 },
    })
}

/// An installation that nothing is wrong with.
fn healthy() -> Facts {
    let (ca, leaf) = pki();
    let deployment = from(deployment());
    let needed = rights::needed("rejob", &Settings::of(&deployment), true, true);
    let target = Target {
        host: "rejob.rejob.svc".into(),
        port: 443,
        service: Some(("rejob".into(), "rejob".into())),
    };
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    Facts {
        server: "https://10.0.0.1".into(),
        user: Ok("admin".into()),
        here: now,
        there: Some(now),
        version: Ok("v1.37.2".into()),
        configurations: Ok(vec![from(configuration(&ca))]),
        validating: Ok(Vec::new()),
        admission_policies: Ok(vec![from(self_guard::policy(&PolicySet::builtin()))]),
        admission_bindings: Ok(vec![from(self_guard::binding())]),
        namespaces: Ok(vec![
            from(json!({ "metadata": { "name": "rejob" } })),
            from(json!({ "metadata": { "name": "kube-system" } })),
            from(
                json!({ "metadata": { "name": "shop", "labels": { "rejob.dev/policy": "replace" } } }),
            ),
        ]),
        installations: vec![Installation {
            namespace: "rejob".into(),
            deployment: Ok(Some(deployment)),
            policies: Ok(PolicySet::builtin()),
            network_policies: Ok(Vec::new()),
            rights: needed.into_iter().map(|right| (right, Ok(true))).collect(),
        }],
        backends: BTreeMap::from([(
            ("rejob".into(), "rejob".into()),
            Backend {
                service: Ok(Some(from(json!({ "spec": { "ports": [{ "port": 443 }] } })))),
                ready: Ok(2),
            },
        )]),
        certificates: BTreeMap::from([(
            target,
            Certificate { chain: Ok(vec![leaf]), source: ChainSource::Handshake },
        )]),
        calls: vec![Calls {
            configuration: "00-rejob".into(),
            entry: "replace.rejob.dev".into(),
            outcome: CallOutcome::Answered {
                namespace: "shop".into(),
                took: vec![Duration::from_millis(7); 5],
                unmarked: 0,
            },
        }],
        dormant: Ok(Vec::new()),
        reported: Ok(Vec::new()),
    }
}

/// The findings that are not ok, after one change.
fn spoiled(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = healthy();
    change(&mut facts);
    let findings = examine(&facts).findings;
    findings.into_iter().filter(|finding| finding.level != Level::Ok).collect()
}

/// The one finding after one change: level, check, subject, message.
#[track_caller]
fn one(change: impl FnOnce(&mut Facts)) -> (Level, &'static str, String, String) {
    let mut findings = spoiled(change);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = findings.remove(0);
    assert!(finding.remedy.is_some(), "{finding:?} says nothing to do");
    (finding.level, finding.check, finding.subject, finding.message)
}

/// Panics unless the one finding after the change is of that level and check and has that text.
#[track_caller]
fn expect(level: Level, check: &str, text: &str, change: impl FnOnce(&mut Facts)) {
    let found = one(change);
    assert_eq!((found.0, found.1), (level, check), "{found:?}");
    assert!(found.3.contains(text), "{text:?} is not in {:?}", found.3);
}

#[track_caller]
fn problem(check: &str, text: &str, change: impl FnOnce(&mut Facts)) {
    expect(Level::Problem, check, text, change);
}

#[track_caller]
fn hint(check: &str, text: &str, change: impl FnOnce(&mut Facts)) {
    expect(Level::Hint, check, text, change);
}

fn the_configuration(facts: &mut Facts) -> &mut MutatingWebhookConfiguration {
    &mut facts.configurations.as_mut().unwrap()[0]
}

fn entry(facts: &mut Facts) -> &mut MutatingWebhook {
    &mut the_configuration(facts).webhooks.as_mut().unwrap()[0]
}

/// Has the server serve these policies, with the self-guard that fits them.
fn serve(facts: &mut Facts, policies: &str) {
    let policies = crate::policy_file::parse(policies, "p").unwrap();
    facts.admission_policies = Ok(vec![from(self_guard::policy(&policies))]);
    facts.installations[0].policies = Ok(policies);
}

fn label(facts: &mut Facts, namespace: &str, policy: &str) {
    let namespaces = facts.namespaces.as_mut().unwrap();
    let has_name = |one: &&mut k8s_openapi::api::core::v1::Namespace| {
        one.metadata.name.as_deref() == Some(namespace)
    };
    let found = namespaces.iter_mut().find(has_name).unwrap();
    found.metadata.labels = Some(BTreeMap::from([("rejob.dev/policy".into(), policy.into())]));
}

#[test]
fn a_healthy_installation_has_every_check_and_no_word_of_trouble() {
    let report = examine(&healthy());
    assert!(report.healthy);
    let checks: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
    let expected = [
        "version",
        "clock",
        "webhook-configuration",
        "entry",
        "entry",
        "entry",
        "ca-bundle",
        "certificate",
        "ca-bundle",
        "ca-bundle",
        "callers",
        "deployment",
        "endpoints",
        "rights",
        "self-guard",
        "namespace",
        "calls",
        "dormant-jobs",
        "order",
        "later-admission",
    ];
    assert_eq!(checks, expected, "{}", report.text());
    assert!(report.findings.iter().all(|f| f.level == Level::Ok), "{}", report.text());
}
