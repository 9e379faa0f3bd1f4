//! Which entries are ours, where they point to, and whom they select.

use serde_json::{Value, json};

use super::*;

fn configuration(webhook: &Value) -> MutatingWebhookConfiguration {
    let mut whole = json!({
        "name": "ttl.rejob.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {},
    });
    for (key, value) in webhook.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(json!({ "metadata": { "name": "c" }, "webhooks": [whole] })).unwrap()
}

fn namespace(labels: &Value) -> Namespace {
    serde_json::from_value(json!({ "metadata": { "name": "n", "labels": labels } })).unwrap()
}

#[test]
fn a_configuration_is_ours_by_label_or_by_an_entry() {
    assert!(is_ours(&configuration(&json!({}))));
    for name in ["a.b.rejob.dev", ".rejob.dev", "rejob.dev", "ttl.example.com"] {
        assert!(!is_ours(&configuration(&json!({ "name": name }))), "{name}");
    }
    let mut labeled = configuration(&json!({ "name": "other.example.com" }));
    labeled.metadata.labels =
        Some(BTreeMap::from([("app.kubernetes.io/name".into(), "rejob".into())]));
    assert!(is_ours(&labeled));
}

#[test]
fn a_target_is_a_service_or_a_url() {
    let target = |client: Value| {
        let configuration = configuration(&json!({ "clientConfig": client }));
        let entry = entries(&configuration).next().unwrap();
        (
            entry.target().map(|t| (t.to_string(), t.host, t.port)),
            entry.path().map(|path| path.policy.to_owned()),
        )
    };
    let of = |shown: &str, host: &str, port| Some((shown.to_owned(), host.to_owned(), port));
    let some = |policy: &str| Some(policy.to_owned());
    let service = json!({ "service": { "name": "rejob", "namespace": "sys", "path": "/v1/t/a1/policies/ttl" } });
    assert_eq!(target(service), (of("sys/rejob", "rejob.sys.svc", 443), some("ttl")));
    let service = json!({ "service": { "name": "rejob", "namespace": "sys", "port": 8443 } });
    assert_eq!(target(service), (of("sys/rejob", "rejob.sys.svc", 8443), None));
    let url = json!({ "url": "https://hook.example.com/v1/policies/ttl" });
    assert_eq!(target(url), (of("hook.example.com:443", "hook.example.com", 443), some("ttl")));
    let url = json!({ "url": "https://[::1]:9/proxy/v1/policies/x" });
    assert_eq!(target(url), (of("[::1]:9", "::1", 9), some("x")));
    let url = json!({ "url": "https://127.0.0.1:9" });
    assert_eq!(target(url), (of("127.0.0.1:9", "127.0.0.1", 9), None));
}

#[test]
fn a_path_is_read_and_written() {
    for (path, base, token, policy) in [
        ("/v1/policies/ttl", "", None, "ttl"),
        ("/v1/t/a1/policies/ttl", "", Some("a1"), "ttl"),
        ("https://h:9/proxy/v1/policies/x", "https://h:9/proxy", None, "x"),
        ("https://h/v1/t/a/policies/x", "https://h", Some("a"), "x"),
    ] {
        let expected = ReviewPath { base, token, policy };
        assert_eq!(ReviewPath::parse(path), Some(expected));
        assert_eq!(expected.to_string(), path);
    }
    for path in
        ["", "/", "/v1/policies/", "/v1/policies/a/b", "/v1/t/a/b/policies/x", "/v1/t//policies/x"]
    {
        assert_eq!(ReviewPath::parse(path), None, "{path}");
    }
}

#[test]
fn the_opt_in_is_read_from_labels_and_expressions() {
    let check = |selector: Value, labels: Value| {
        let configuration = configuration(&json!({ "namespaceSelector": selector }));
        let entry = entries(&configuration).next().unwrap();
        (
            entry.asks_for_opt_in(),
            entry.selected_policies().join(","),
            entry.selects(&namespace(&labels)),
        )
    };
    let label = json!({ "rejob.dev/policy": "ttl" });
    let by_label = json!({ "matchLabels": { "rejob.dev/policy": "ttl" } });
    assert_eq!(check(by_label.clone(), label.clone()), (true, "ttl".into(), true));
    assert_eq!(check(by_label, json!({})), (true, "ttl".into(), false));
    let chart = json!({ "matchExpressions": [
        { "key": "rejob.dev/policy", "operator": "In", "values": ["ttl"] },
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
    ]});
    assert_eq!(check(chart.clone(), label), (true, "ttl".into(), true));
    let system = json!({ "rejob.dev/policy": "ttl", "kubernetes.io/metadata.name": "kube-system" });
    assert_eq!(check(chart, system), (true, "ttl".into(), false));
    let absent =
        json!({ "matchExpressions": [{ "key": "rejob.dev/policy", "operator": "DoesNotExist" }] });
    assert_eq!(check(absent, json!({})), (false, String::new(), true));
    assert_eq!(check(json!({}), json!({})), (false, String::new(), true));
}

#[test]
fn rules_cover_jobs_by_name_or_by_star() {
    let covers = |rule: Value, operation| {
        let configuration = configuration(&json!({ "rules": [rule] }));
        covers_jobs(webhooks(&configuration)[0].rules.iter().flatten(), &[operation])
    };
    let rule = |group: &str, resource: &str, operation: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": [operation]
        })
    };
    assert!(covers(rule("batch", "jobs", "CREATE"), "CREATE"));
    assert!(!covers(rule("batch", "jobs", "CREATE"), "UPDATE"));
    assert!(covers(rule("*", "*", "*"), "UPDATE"));
    assert!(!covers(rule("", "pods", "*"), "CREATE"));
    assert!(!covers(rule("batch", "jobs/status", "*"), "UPDATE"));
}
