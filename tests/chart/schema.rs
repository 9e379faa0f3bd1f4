//! `values.schema.json`: closed, typed, and in step with `values.yaml`.
//!
//! Helm itself validates here, in both major versions, since each has a validator of its own.

use std::fmt::Display;

use serde_json::{Value, json};

use super::render::{HELMS, file, template_with};
use support::helm::Helm;

/// The schema.
pub fn schema() -> Value {
    serde_json::from_str(&file("values.schema.json")).expect("the schema is JSON")
}

fn values() -> Value {
    serde_saphyr::from_str(&file("values.yaml")).expect("the values are YAML")
}

/// Follows a `$ref`.
pub fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => node,
    }
}

/// One step from a value into it.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Item,
}

/// A value that has `leaf` at that path, and else only what the schema requires beside it: whatever
/// is refused then is refused for the leaf.
fn at(root: &Value, node: &Value, path: &[Step], leaf: &Value) -> Value {
    let node = resolve(root, node);
    match path.split_first() {
        None => leaf.clone(),
        Some((Step::Item, rest)) => json!([at(root, &node["items"], rest, leaf)]),
        Some((Step::Key(key), rest)) => {
            let child = node["properties"].get(key).unwrap_or(&node["additionalProperties"]);
            let mut object = json!({ key: at(root, child, rest, leaf) });
            for other in node["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
            {
                if other != key {
                    object[other] = sample(root, &node["properties"][other]);
                }
            }
            object
        }
    }
}

/// A valid value of a node that some parent requires.
fn sample(root: &Value, node: &Value) -> Value {
    let node = resolve(root, node);
    let is_block = node["pattern"].as_str().is_some_and(|pattern| pattern.contains("[12]?[0-9]"));
    let text = if is_block { "10.0.0.0/8" } else { "a" };
    node["enum"].get(0).cloned().unwrap_or_else(|| json!(text))
}

/// Every schema node with the path to a value of it.
fn nodes<'a>(
    root: &'a Value,
    node: &'a Value,
    path: &[Step],
    out: &mut Vec<(Vec<Step>, &'a Value)>,
) {
    let node = resolve(root, node);
    out.push((path.to_vec(), node));
    let below = |step: Step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
    for (key, child) in node["properties"].as_object().into_iter().flatten() {
        nodes(root, child, &below(Step::Key(key.clone())), out);
    }
    if node["additionalProperties"].is_object() {
        nodes(root, &node["additionalProperties"], &below(Step::Key("some-key".to_owned())), out);
    }
    if node["items"].is_object() {
        nodes(root, &node["items"], &below(Step::Item), out);
    }
}

fn all_nodes(root: &Value) -> Vec<(Vec<Step>, &Value)> {
    let mut out = Vec::new();
    nodes(root, root, &[], &mut out);
    assert!(out.len() > 100, "{}", out.len());
    out
}

#[track_caller]
fn assert_refused(helm: Helm, values: impl Display, because: &str) {
    let output = template_with(helm, &[], &values.to_string());
    assert_ne!(output.code, 0, "{values} renders");
    assert!(
        output.stderr.contains("values don't meet the specifications"),
        "{values}: {}",
        output.stderr
    );
    assert!(output.stderr.contains(because), "{because:?} is not in: {}", output.stderr);
}

#[test]
fn an_unknown_key_is_refused_everywhere() {
    let root = schema();
    let closed =
        all_nodes(&root).into_iter().filter(|(_, node)| node["additionalProperties"] == false);
    let paths: Vec<_> = closed.map(|(path, _)| path).collect();
    assert!(paths.len() > 25, "{}", paths.len());
    for (index, path) in paths.iter().enumerate() {
        // Each of Helm's validators sees half of the places; one process for each costs the time.
        assert_refused(
            HELMS[index % 2],
            at(&root, &root, path, &json!({ "surprise": 1 })),
            "surprise",
        );
    }
}

#[test]
fn every_object_is_closed_unless_it_holds_what_kubernetes_defines() {
    let root = schema();
    let open: Vec<_> = all_nodes(&root)
        .into_iter()
        .filter(|(_, node)| node["type"] == "object" && node.get("additionalProperties").is_none())
        .map(|(path, _)| {
            let mut keys = path.iter().rev().filter_map(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Item => None,
            });
            keys.next().expect("a key")
        })
        .collect();
    let known =
        ["global", "nodeAffinity", "podAffinity", "podAntiAffinity", "extraVolumes", "metadata"];
    assert!(open.iter().all(|key| known.contains(&key.as_str())), "{open:?}");
}

/// A value of another type.
fn mistyped(kind: &str) -> Vec<Value> {
    match kind {
        "string" => vec![json!(5), json!(true)],
        "integer" => vec![json!("x"), json!(1.5)],
        "number" => vec![json!("x"), json!(true)],
        "boolean" => vec![json!("yes"), json!(0)],
        "array" => vec![json!("x"), json!({})],
        "object" => vec![json!("x"), json!([])],
        other => panic!("{other} has no wrong value here"),
    }
}

#[test]
fn a_value_of_another_type_or_out_of_range_is_refused() {
    let root = schema();
    let mut bad = Vec::new();
    for (path, node) in all_nodes(&root).into_iter().filter(|(path, _)| !path.is_empty()) {
        if let Some(kind) = node["type"].as_str() {
            bad.push(at(&root, &root, &path, &mistyped(kind)[bad.len() % 2]));
        }
        if node["enum"].is_array() {
            bad.push(at(&root, &root, &path, &json!("Sometimes")));
        }
        for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
            bad.extend(
                node[bound].as_i64().map(|limit| at(&root, &root, &path, &json!(limit + beyond))),
            );
        }
        if node["pattern"].is_string() {
            bad.push(at(&root, &root, &path, &json!("a b\n'\"{{")));
        }
    }
    assert!(bad.len() > 150, "{}", bad.len());
    for (index, values) in bad.iter().enumerate() {
        assert_refused(HELMS[index % 2], values, "");
    }
}

#[test]
fn every_value_is_in_the_schema_and_every_key_of_the_schema_has_a_default() {
    fn walk(root: &Value, schema: &Value, values: &Value, path: &str) {
        let schema = resolve(root, schema);
        let Some(properties) = schema["properties"].as_object() else { return };
        let values = values.as_object().unwrap_or_else(|| panic!("{path} is no map"));
        for key in properties.keys() {
            // What Kubernetes defines, and a policy's knobs, have no default in values.yaml.
            let kubernetes = ["affinity", "resources", "dnsConfig", "behavior", "ecurityContext"];
            let optional = kubernetes.iter().any(|part| path.contains(part));
            assert!(optional || values.contains_key(key), "values.yaml has no {path}.{key}");
        }
        for (key, value) in values {
            let node =
                properties.get(key).unwrap_or_else(|| panic!("the schema has no {path}.{key}"));
            if resolve(root, node)["type"] == "object" {
                walk(root, node, value, &format!("{path}.{key}"));
            }
        }
    }
    let root = schema();
    walk(&root, &root, &values(), "");
}

/// `ParseQuantity` of k8s.io/apimachinery/pkg/api/resource, without what no container may ask for (a
/// negative amount) and what nobody means (`+`, `.`).
#[test]
fn quantities_are_what_kubernetes_takes_for_one() {
    for (number, quantity) in [
        "1e9",
        "1E9",
        "'1e9'",
        "'1E3'",
        "1e+3",
        "'1e-3'",
        "'100u'",
        "5n",
        "1E",
        "1Ei",
        "+1",
        "'+1Gi'",
        "'1.'",
        "'.5'",
        "'1.G'",
        "0.1234567890123",
        "1234567890123456789",
        "'007'",
        "128974848",
        "129e6",
        "129M",
        "123Mi",
        "1073741824000m",
    ]
    .iter()
    .enumerate()
    {
        let values = format!("resources: {{requests: {{cpu: 0}}, limits: {{cpu: {quantity}}}}}");
        template_with(HELMS[number % 2], &[], &values).ok();
    }
    for (number, none) in
        ["1e", "e3", "'1 '", "1KI", "1ki", "1mi", "1e1.5", "1e9Gi", "1Gie3", "0x10i", "''", "1,5"]
            .iter()
            .enumerate()
    {
        let values = format!("resources: {{limits: {{cpu: '{}'}}}}", none.trim_matches('\''));
        assert_refused(HELMS[number % 2], &values, "");
    }
}

#[test]
fn what_kubernetes_takes_for_no_name_no_address_and_no_quantity_is_refused() {
    for values in [
        "commonLabels: {-a/b: c}",
        "commonLabels: {a..b/c: d}",
        "commonLabels: {A/b: c}",
        "podLabels: {a: b c}",
        "nodeSelector: {a/b/c: d}",
        "podAnnotations: {a b: c}",
        "imagePullSecrets: [{name: a}, {name: a}]",
        "imagePullSecrets: [{name: A}]",
        "serviceAccount: {name: a..b}",
        "certificates: {self: {secretName: a-.b}}",
        "certificates: {clientCA: {key: ..}}",
        "certificates: {certManager: {duration: 1.5h}}",
        "certificates: {certManager: {renewBefore: ''}}",
        "certificates: {certManager: {extraDnsNames: [a..b]}}",
        "priorityClassName: a_b",
        "flowSchema: {priorityLevel: a..b}",
        "flowSchema: {matchingPrecedence: 1}",
        "topologySpread: {topologyKeys: [a/]}",
        "resources: {limits: {memory: 1 Gi}}",
        "resources: {limits: {memory: 1GB}}",
        "resources: {limits: {memory: -1}}",
        "resources: {limits: {gpu: 1}}",
        "resources: {claims: [{name: a}]}",
        "tolerations: [{key: a, operator: Gt, value: '1'}]",
        "tolerations: [{key: a, value: b c}]",
        "server: {address: 0.0.0.256}",
        "server: {address: '[::1::]'}",
        "server: {extraEnv: [{name: A, valueFrom: {}}]}",
        "server: {extraEnv: [{name: A, valueFrom: {fieldRef: {fieldPath: spec}}}]}",
        "server: {extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: a}}}]}",
        "webhook: {url: 'https://a..b'}",
        "webhook: {url: 'https://a:65536'}",
        "webhook: {url: 'https://[::1::]'}",
        "webhook: {namespaceMatchExpressions: [{key: a, operator: In, values: [b c]}]}",
        "webhook: {matchConditions: [{name: -a, expression: 'true'}]}",
        "networkPolicy: {webhookFrom: [{}]}",
        "networkPolicy: {webhookFrom: [{podSelector: {matchlabels: {}}}]}",
        "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0.0/33}}]}",
        "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0/8}}]}",
        "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 'fd00::/129'}}]}",
        "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 'fd00::/8', except: [a]}}]}",
        "metrics: {serviceMonitor: {interval: 1s1h}}",
        "metrics: {serviceMonitor: {interval: 0s}}",
        "metrics: {serviceMonitor: {namespace: a.b}}",
        "metrics: {prometheusRule: {runbookBaseURL: runbooks}}",
        "metrics: {prometheusRule: {alerts: {RejobGone: {enabled: false}}}}",
        "metrics: {prometheusRule: {alerts: {RejobDown: {threshold: 1}}}}",
        "metrics: {prometheusRule: {alerts: {RejobSlow: {for: soon}}}}",
        "global: {imageRegistry: 'https://a'}",
        "global: {imagePullSecrets: [A]}",
        "networkPolicy: {preset: gke}",
        "networkPolicy: {dnsPorts: [0]}",
        "networkPolicy: {apiServerTo: [{}]}",
        "dnsConfig: {nameservers: [a]}",
        "hostAliases: [{ip: 10.0.0.256, hostnames: [a]}]",
        "hostAliases: [{ip: 10.0.0.1, hostnames: []}]",
        "podSecurityContext: {runAsUser: -1}",
        "podSecurityContext: {privileged: true}",
        "securityContext: {capabilities: {drop: [all]}}",
        "extraVolumes: [{name: A, emptyDir: {}}]",
        "extraVolumes: [{name: a}]",
        "extraVolumeMounts: [{name: a, mountPath: a}]",
        "extraVolumeMounts: [{name: a, mountPath: /a, subPath: ../b}]",
        "extraObjects: [{kind: ConfigMap}]",
        "autoscaling: {behavior: {scaleUp: {policies: []}}}",
        "autoscaling: {behavior: {scaleDown: {selectPolicy: Some}}}",
    ] {
        assert_refused(HELMS[values.len() % 2], values, "");
    }
}
