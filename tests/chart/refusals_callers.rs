//! Where nothing keeps others than the API server from sending requests, the chart asks for it.

use super::refusals::{refused, renders};
use super::render::objects_with;
use super::rules::{args, webhooks};

const MODES: [&str; 2] = ["mode: certManager", "mode: provided, provided: {secretName: a}"];
const CLIENTS: &str = "clientCA: {configMapName: a, names: [kube-apiserver]}";

#[test]
fn without_a_path_token_something_else_keeps_others_away() {
    for mode in MODES {
        let certificates = format!("certificates: {{{mode}}}");
        refused(
            &certificates,
            &[
                "anyone who reaches the webhook port could send requests: set webhook.pathToken to true",
                "certificates.clientCA, networkPolicy.webhookFrom, or webhook.acceptUnauthenticated",
            ],
        );
        let from = "webhookFrom: [{ipBlock: {cidr: 10.0.0.0/28}}]";
        for enough in [
            "webhook: {pathToken: true}",
            "webhook: {acceptUnauthenticated: true}",
            &format!("networkPolicy: {{{from}}}"),
        ] {
            renders(&format!("{certificates}\n{enough}"));
        }
        renders(&format!("certificates: {{{mode}, {CLIENTS}}}"));
        // A NetworkPolicy that is not made, or that networks ignore, keeps nobody away.
        for not_enough in [
            format!("networkPolicy: {{enabled: false, {from}}}"),
            format!("networkPolicy: {{{from}}}\nhostNetwork: true\nserver: {{port: 9443}}"),
        ] {
            let sentence = "certificates.clientCA, or webhook.acceptUnauthenticated to true";
            refused(&format!("{certificates}\n{not_enough}"), &[sentence]);
        }
    }
}

#[test]
fn a_network_policy_that_lets_everybody_in_keeps_nobody_away() {
    let from = |peers: &str| {
        format!("certificates: {{{}}}\nnetworkPolicy: {{webhookFrom: [{peers}]}}", MODES[1])
    };
    for everybody in [
        "{ipBlock: {cidr: 0.0.0.0/0}}",
        "{ipBlock: {cidr: '::/0'}}",
        "{ipBlock: {cidr: 10.0.0.0/28}}, {namespaceSelector: {}}",
        "{namespaceSelector: {}, podSelector: {}}",
        "{namespaceSelector: {matchLabels: {}}, podSelector: {matchExpressions: []}}",
    ] {
        refused(&from(everybody), &["networkPolicy.webhookFrom to less than everyone, or"]);
    }
    for some in [
        "{ipBlock: {cidr: 10.0.0.0/28}}",
        "{podSelector: {}}",
        "{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}",
        "{namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}, podSelector: {}}",
    ] {
        renders(&from(some));
    }
}

#[test]
fn a_url_asks_for_client_certificates_whatever_the_network_policy_says() {
    let base = "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0.0/28}}]}";
    let values = |webhook: &str, more: &str| {
        format!(
            "{base}\nwebhook: {{url: 'https://rejob.example.com'{webhook}}}\n\
             certificates: {{mode: provided, provided: {{secretName: a}}{more}}}"
        )
    };
    refused(
        &values("", ""),
        &["webhook.url is set", "set certificates.clientCA, or webhook.accept"],
    );
    renders(&values(", acceptUnauthenticated: true", ""));
    renders(&values("", &format!(", {CLIENTS}")));
    refused(
        &values(", pathToken: true", &format!(", {CLIENTS}")),
        &["webhook.pathToken does not go with webhook.url", "set certificates.clientCA instead"],
    );
}

#[test]
fn a_client_ca_and_the_names_that_are_let_in_belong_together() {
    refused(
        "certificates: {clientCA: {configMapName: a}}",
        &["certificates.clientCA.names is empty", "list the names"],
    );
    refused(
        "certificates: {clientCA: {names: [a]}}",
        &["certificates.clientCA.configMapName is empty", "name the ConfigMap"],
    );
    let objects = objects_with(
        "certificates: {clientCA: {configMapName: a, names: [kube-apiserver, 'a: b #c:']}}",
    );
    let args = args(&objects);
    assert!(args.contains(&"--client-name=kube-apiserver"), "{args:?}");
    assert!(args.contains(&"--client-name=a: b #c:"), "{args:?}");
}

#[test]
fn the_server_writes_the_path_where_it_keeps_a_token() {
    let paths = |values: &str| {
        let objects = objects_with(values);
        let token = args(&objects).contains(&"--token-secret=rejob-token");
        let path =
            |webhook: &serde_json::Value| webhook["clientConfig"]["service"].get("path").is_some();
        let paths: Vec<_> = webhooks(&objects).into_iter().map(path).collect();
        assert!(paths.iter().all(|path| *path != token), "{paths:?}");
        token
    };
    for mode in MODES {
        assert!(paths(&format!("certificates: {{{mode}}}\nwebhook: {{pathToken: true}}")));
        assert!(!paths(&format!(
            "certificates: {{{mode}}}\nwebhook: {{acceptUnauthenticated: true}}"
        )));
    }
}
