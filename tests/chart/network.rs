//! Whom the NetworkPolicy lets in and out.

use serde_json::{Value, json};

use super::render::{objects_with, the};

fn egress(values: &str) -> Vec<Value> {
    let objects = objects_with(&format!("networkPolicy: {{{values}}}"));
    the(&objects, "NetworkPolicy")["spec"]["egress"].as_array().expect("rules").clone()
}

/// The ports of a rule: `UDP 53`.
fn ports(rule: &Value) -> Vec<String> {
    let port = |port: &Value| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"]);
    rule["ports"].as_array().expect("ports").iter().map(port).collect()
}

fn namespace(name: &str) -> Value {
    json!({ "matchLabels": { "kubernetes.io/metadata.name": name } })
}

#[test]
fn a_preset_says_where_dns_and_the_api_server_are() {
    let kube_dns = json!({
        "namespaceSelector": namespace("kube-system"),
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    });
    let cache = json!({ "ipBlock": { "cidr": "169.254.20.10/32" } });
    let openshift = json!({ "namespaceSelector": namespace("openshift-dns") });
    let everywhere = ["TCP 443", "TCP 6443", "TCP 8443", "TCP 16443"];
    for (preset, dns, dns_port, api_server) in [
        ("any", Value::Null, 53, &everywhere[..]),
        ("kubernetes", json!([kube_dns]), 53, &everywhere),
        ("nodeLocalDNS", json!([cache, kube_dns]), 53, &everywhere),
        ("openshift", json!([openshift]), 5353, &everywhere[1..2]),
    ] {
        let rules = egress(&format!("preset: {preset}"));
        assert_eq!(rules.len(), 2, "{preset}");
        assert_eq!(rules[0]["to"], dns, "{preset}");
        assert_eq!(ports(&rules[0]), [format!("UDP {dns_port}"), format!("TCP {dns_port}")]);
        assert_eq!(rules[1]["to"], Value::Null, "{preset}");
        assert_eq!(ports(&rules[1]), api_server, "{preset}");
    }
    assert_eq!(egress(""), egress("preset: any"));
}

#[test]
fn what_is_said_of_one_place_wins_over_the_preset_and_leaves_the_other() {
    let block = "[{ipBlock: {cidr: 10.0.0.0/28}}]";
    let peers = json!([{ "ipBlock": { "cidr": "10.0.0.0/28" } }]);
    for preset in ["any", "kubernetes", "nodeLocalDNS", "openshift"] {
        let before = egress(&format!("preset: {preset}"));
        let dns = egress(&format!("preset: {preset}, dnsTo: {block}, dnsPorts: [1053]"));
        assert_eq!(dns[0]["to"], peers, "{preset}");
        assert_eq!(ports(&dns[0]), ["UDP 1053", "TCP 1053"], "{preset}");
        assert_eq!(dns[1], before[1], "{preset}");
        let server =
            egress(&format!("preset: {preset}, apiServerTo: {block}, apiServerPorts: [6444]"));
        assert_eq!(server[0], before[0], "{preset}");
        assert_eq!(server[1]["to"], peers, "{preset}");
        assert_eq!(ports(&server[1]), ["TCP 6444"], "{preset}");
    }
}

#[test]
fn the_pod_of_helm_test_is_no_endpoint_and_under_no_policy_of_the_webhook() {
    let objects = objects_with("");
    let pod = super::doctor_job::of_helm_test("");
    let pod = the(&pod, "Pod");
    let is_selected = |selector: &Value| {
        let labels = selector.as_object().expect("labels");
        labels.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
    };
    for (kind, pointer) in [
        ("Service", "/spec/selector"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("Deployment", "/spec/selector/matchLabels"),
    ] {
        assert!(!is_selected(the(&objects, kind).pointer(pointer).unwrap()), "{kind}");
    }
}
