//! No value is without an effect: each one alone, set to something else, changes what is rendered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::render::{file, template_with};
use support::helm::Helm;

/// What must be switched on for a value to matter: the beginning of its path, and values.
const NEEDS: [(&str, &str); 14] = [
    ("autoscaling.", "autoscaling: {enabled: true}"),
    (
        "certificates.certManager.issuerRef.",
        "{certificates: {mode: certManager, certManager: {issuerRef: {name: one}}}, webhook: {pathToken: true}}",
    ),
    (
        "certificates.certManager.",
        "{certificates: {mode: certManager}, webhook: {pathToken: true}}",
    ),
    ("certificates.clientCA.", "certificates: {clientCA: {configMapName: one, names: [one]}}"),
    ("certificates.provided.", PROVIDED),
    (
        "certificates.mode",
        "{certificates: {provided: {secretName: one}}, webhook: {pathToken: true}}",
    ),
    ("extraVolumeMounts", "extraVolumes: [{name: a, emptyDir: {}}]"),
    ("metrics.dashboard.", "metrics: {dashboard: {enabled: true}}"),
    ("metrics.prometheusRule.", "metrics: {prometheusRule: {enabled: true}}"),
    ("metrics.serviceMonitor.", "metrics: {serviceMonitor: {enabled: true}}"),
    ("serviceAccount.create", "serviceAccount: {name: one}"),
    ("webhook.pathToken", PROVIDED),
    ("webhook.url", PROVIDED),
    ("hostNetwork", "server: {port: 9443}"),
];

const PROVIDED: &str = "{certificates: {mode: provided, provided: {secretName: one}}, webhook: {acceptUnauthenticated: true}}";

/// Values that say that something is accepted, and render nothing: refusals.rs shows their effect.
const ACCEPTED: [&str; 1] = ["webhook.acceptUnauthenticated"];

/// Something else than the default, where that is no other number, truth or name.
const OTHERWISE: &str = r"
affinity: {nodeAffinity: {}}
autoscaling.behavior: {scaleDown: {stabilizationWindowSeconds: 600}}
certificates.certManager.duration: 2000h
certificates.certManager.extraDnsNames: [rejob.example.com]
certificates.certManager.issuerRef.kind: ClusterIssuer
certificates.certManager.renewBefore: 700h
certificates.clientCA.names: [other]
certificates.mode: provided
dnsConfig: {searches: [example.com]}
dnsPolicy: Default
extraObjects: ['{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}}']
extraVolumeMounts: [{name: a, mountPath: /a}]
extraVolumes: [{name: a, emptyDir: {}}]
global.imagePullSecrets: [shared]
hostAliases: [{ip: 10.0.0.1, hostnames: [a.example.com]}]
image.digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
image.pullPolicy: Always
imagePullSecrets: [{name: one}]
metrics.prometheusRule.runbookBaseURL: https://runbooks.example.com/
metrics.serviceMonitor.interval: 45s
metrics.serviceMonitor.metricRelabelings: [{action: labeldrop, regex: a}]
metrics.serviceMonitor.relabelings: [{targetLabel: a, replacement: b}]
metrics.serviceMonitor.scrapeTimeout: 5s
networkPolicy.apiServerPorts: [6443]
networkPolicy.apiServerTo: [{ipBlock: {cidr: 10.0.0.0/28}}]
networkPolicy.dnsPorts: [1053]
networkPolicy.dnsTo: [{namespaceSelector: {}}]
networkPolicy.metricsFrom: [{podSelector: {}}]
networkPolicy.preset: openshift
networkPolicy.webhookFrom: [{ipBlock: {cidr: 10.0.0.0/28}}]
policies.hash-name.naming: Stable
podSecurityContext.seccompProfile.type: Unconfined
preStopSleepSeconds: 6
rbac.namespaces: [batch]
resources.limits.memory: 1Gi
resources.requests.cpu: 60m
resources.requests.memory: 64Mi
securityContext.capabilities.drop: [NET_RAW]
server.address: 127.0.0.1
server.extraArgs: [--idle-timeout=1m]
server.extraEnv: [{name: A, value: b}]
server.logFormat: text
server.logLevel: debug
service.ipFamilyPolicy: PreferDualStack
tolerations: [{operator: Exists}]
topologySpread.topologyKeys: [kubernetes.io/hostname]
topologySpread.whenUnsatisfiable: DoNotSchedule
webhook.excludedNamespaces: [monitoring]
webhook.failurePolicy: Fail
webhook.ignoredUsers: [bot]
webhook.matchConditions: [{name: mine, expression: 'true'}]
webhook.namespaceMatchExpressions: [{key: team, operator: Exists}]
webhook.url: https://rejob.example.com
";

/// The path of each value, with its default.
fn leaves(values: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match values.as_object().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|(key, value)| {
            leaves(value, &format!("{path}{}{key}", if path.is_empty() { "" } else { "." }), found);
        }),
        None => found.push((path.to_owned(), values.clone())),
    }
}

/// The value at that path, else empty.
fn nested(path: &str, leaf: Value) -> Value {
    path.rsplit('.').fold(leaf, |value, key| json!({ key: value }))
}

fn other(path: &str, default: &Value, table: &Value) -> Value {
    if !table[path].is_null() {
        return table[path].clone();
    }
    if path.starts_with("metrics.prometheusRule.alerts.") && path.rsplit('.').next() == Some("for")
    {
        return json!("3h");
    }
    match default {
        Value::Bool(truth) => json!(!truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!(number + 1),
            None => json!(number.as_f64().unwrap() + 1.0),
        },
        Value::String(_) => json!("other"),
        // Labels, annotations, a policy.
        Value::Object(_) if path.starts_with("policies.") => json!({ "waitSeconds": 5 }),
        Value::Object(_) => json!({ "example.com/a": "b" }),
        _ => panic!("{path} has the default {default}: name another value in OTHERWISE"),
    }
}

fn rendered(base: &str, values: &Value) -> String {
    let base: Value = serde_saphyr::from_str(base).expect("values");
    let merged = merged(base, values);
    template_with(Helm::V4_3, &[], &merged.to_string()).ok().stdout
}

fn merged(base: Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let below = base.remove(key).unwrap_or_default();
                base.insert(key.clone(), merged(below, value));
            }
            Value::Object(base)
        }
        (_, over) => over.clone(),
    }
}

#[test]
fn each_value_alone_makes_a_difference() {
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).expect("the values are YAML");
    let table: Value = serde_saphyr::from_str(OTHERWISE).expect("the table is YAML");
    let mut all = Vec::new();
    leaves(&values, "", &mut all);
    assert!(all.len() > 120, "{}", all.len());
    for path in table.as_object().unwrap().keys() {
        assert!(all.iter().any(|(known, _)| known == path), "there is no value {path}");
    }
    let mut bases = BTreeMap::new();
    let mut without = Vec::new();
    for (path, default) in all.iter().filter(|(path, _)| !ACCEPTED.contains(&path.as_str())) {
        // What switches a part on needs nothing else.
        let is_switch = path.ends_with(".enabled") && !path.contains(".alerts.");
        let needs = NEEDS.iter().find(|(prefix, _)| !is_switch && path.starts_with(prefix));
        let base = needs.map_or("{}", |(_, base)| base);
        let changed = nested(path, other(path, default, &table));
        let before = bases.entry(base).or_insert_with(|| rendered(base, &json!({})));
        if *before == rendered(base, &changed) {
            without.push(path);
        }
    }
    assert!(without.is_empty(), "without an effect: {without:?}");
}

#[test]
fn enabled_false_renders_nothing() {
    let everything = super::render::ci_values("full");
    let output = template_with(Helm::V4_3, &["--values", &everything], "enabled: false").ok();
    assert_eq!(output.stdout.trim(), "");
}
