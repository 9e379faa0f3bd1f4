//! Who can send reviews.

use serde_json::{Value, json};

use super::super::facts::Facts;
use super::{Finding, Level, examine, from, hint, problem};

/// Without tokens, and with these arguments of the server.
fn without_token(facts: &mut Facts, args: &[&str]) {
    for entry in super::the_configuration(facts).webhooks.iter_mut().flatten() {
        let service = entry.client_config.service.as_mut().unwrap();
        service.path = service.path.take().map(|path| path.replace("/t/***", ""));
    }
    let deployment = facts.installations[0].deployment.as_mut().unwrap().as_mut().unwrap();
    let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    let args = args.iter().map(|arg| (*arg).to_owned());
    pod.containers[0].args = Some(args.collect());
    facts.installations[0].rights.clear();
}

const PROVIDED: [&str; 3] =
    ["serve", "--listen=0.0.0.0:10250", "--policies=/etc/rejob/policies.yaml"];

/// What is said about callers.
fn said(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = super::healthy();
    change(&mut facts);
    let mut found = examine(&facts).findings;
    found.retain(|finding| finding.check == "callers");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn policy(ingress: &Value) -> k8s_openapi::api::networking::v1::NetworkPolicy {
    from(json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress } }))
}

#[test]
fn a_path_without_a_token_and_an_open_port_are_a_hint() {
    hint("callers", "neither --client-name nor a NetworkPolicy says who", |facts| {
        without_token(facts, &PROVIDED);
    });
}

#[test]
fn a_server_that_asks_for_a_token_is_not_called_without() {
    for own in ["--cert-secret=a", "--token-secret=a"] {
        problem("callers", "the server answers 404 without", |facts| {
            without_token(facts, &[&PROVIDED[..], &[own]].concat());
        });
    }
}

#[test]
fn a_token_that_does_not_change_is_a_hint() {
    let written = |manager: &str, time: &str| {
        said(|facts| {
            let entry = from(json!({ "manager": manager, "operation": "Update", "time": time }));
            super::the_configuration(facts).metadata.managed_fields = Some(vec![entry]);
        })
    };
    let found = written("rejob", "2026-06-01T09:00:00Z");
    assert_eq!(found.level, Level::Hint, "{found:?}");
    assert!(found.message.contains("has not changed for 3 h"), "{found:?}");
    for (manager, time) in [("rejob", "2026-06-01T10:00:00Z"), ("helm", "2026-06-01T09:00:00Z")] {
        assert_eq!(written(manager, time).level, Level::Ok, "{manager} {time}");
    }
}

#[test]
fn names_of_clients_are_enough() {
    let found = said(|facts| without_token(facts, &[&PROVIDED[..], &["--client-name=a"]].concat()));
    assert_eq!(found.level, Level::Ok, "{found:?}");
}

#[test]
fn a_network_policy_is_enough_where_it_names_somebody() {
    let webhook = json!([{ "port": "webhook" }]);
    let control_plane = json!([{ "ipBlock": { "cidr": "10.0.0.0/28" } }]);
    let admin = json!({ "ports": [{ "port": "admin" }] });
    for (rule, level) in [
        (json!({ "ports": webhook, "from": control_plane }), Level::Ok),
        (json!({ "ports": [{ "port": 10250 }], "from": control_plane }), Level::Ok),
        (json!({ "from": control_plane }), Level::Ok),
        (json!({ "ports": webhook }), Level::Hint),
        (json!({ "ports": [{ "port": 10000, "endPort": 11000 }] }), Level::Hint),
        (json!({}), Level::Hint),
        (json!({ "from": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] }), Level::Hint),
        (json!({ "from": [{ "namespaceSelector": {} }] }), Level::Hint),
        (
            json!({ "from": [{ "namespaceSelector": {}, "podSelector": { "matchLabels": { "a": "b" } } }] }),
            Level::Ok,
        ),
    ] {
        let found = said(|facts| {
            without_token(facts, &PROVIDED);
            facts.installations[0].network_policies = Ok(vec![policy(&json!([rule, admin]))]);
        });
        assert_eq!(found.level, level, "{rule}: {found:?}");
    }
}

#[test]
fn a_network_policy_of_other_pods_or_on_the_network_of_the_node_is_not() {
    let closed = || policy(&json!([]));
    let found = said(|facts| {
        without_token(facts, &PROVIDED);
        let mut other = closed();
        other.spec.as_mut().unwrap().pod_selector =
            from(json!({ "matchLabels": { "app": "other" } }));
        facts.installations[0].network_policies = Ok(vec![other]);
    });
    assert_eq!(found.level, Level::Hint, "{found:?}");
    let found = said(|facts| {
        without_token(facts, &PROVIDED);
        let deployment = facts.installations[0].deployment.as_mut().unwrap().as_mut().unwrap();
        let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        pod.host_network = Some(true);
        facts.installations[0].network_policies = Ok(vec![closed()]);
    });
    assert_eq!(found.level, Level::Hint, "{found:?}");
}

#[test]
fn network_policies_that_cannot_be_listed_are_a_hint() {
    hint("callers", "who reaches the port could not be checked: no", |facts| {
        without_token(facts, &PROVIDED);
        facts.installations[0].network_policies = Err("no".into());
    });
}

#[test]
fn a_url_asks_for_names_of_clients() {
    let found = said(|facts| {
        without_token(facts, &PROVIDED);
        for entry in super::the_configuration(facts).webhooks.iter_mut().flatten() {
            let path = entry.client_config.service.take().unwrap().path.unwrap();
            entry.client_config.url = Some(format!("https://rejob.example.com{path}"));
        }
        facts.installations[0].network_policies = Ok(vec![policy(&json!([]))]);
    });
    assert_eq!(found.level, Level::Hint);
    assert!(found.remedy.unwrap().contains("certificates.clientCA"));
}
