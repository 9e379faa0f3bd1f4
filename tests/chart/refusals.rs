//! Combinations of values that cannot work are refused with a sentence that says what to do.

use super::render::{HELMS, template_with};

#[track_caller]
fn refused(values: &str, sentence: &[&str]) {
    for helm in HELMS {
        let output = template_with(helm, &[], values);
        assert_ne!(output.code, 0, "{values} renders");
        for part in sentence {
            assert!(output.stderr.contains(part), "{part:?} is not in: {}", output.stderr);
        }
    }
}

#[test]
fn no_policy_is_refused() {
    refused(
        "policies: {replace: null, hash-name: null, ttl: null}",
        &["policies is empty: name at least one policy"],
    );
}

#[test]
fn a_provided_certificate_needs_its_secret() {
    refused(
        "certificates: {mode: provided}",
        &[
            "certificates.mode is provided, but certificates.provided.secretName is empty",
            "certs/README.md",
        ],
    );
}

#[test]
fn a_url_needs_a_certificate_from_elsewhere() {
    refused(
        "webhook: {url: 'https://rejob.example.com'}",
        &["webhook.url does not go with certificates.mode self", "certManager or provided"],
    );
}

#[test]
fn one_port_for_both_listeners_is_refused() {
    refused(
        "server: {port: 8080}",
        &["server.port and server.adminPort are both 8080", "two different ports"],
    );
}

#[test]
fn the_network_of_the_node_needs_another_port_than_the_kubelet() {
    refused("hostNetwork: true", &["hostNetwork does not go with port 10250", "such as 9443"]);
}

#[test]
fn autoscaling_needs_a_range() {
    refused(
        "autoscaling: {enabled: true, minReplicas: 7}",
        &["autoscaling.minReplicas is 7 and more than autoscaling.maxReplicas, 6"],
    );
}

#[test]
fn a_service_account_of_nobody_is_refused() {
    refused(
        "serviceAccount: {create: false}",
        &["serviceAccount.name is empty", "name an existing ServiceAccount"],
    );
}

#[test]
fn rights_in_a_namespace_that_never_opts_in_are_refused() {
    for namespace in ["kube-system", "rejob"] {
        refused(
            &format!("rbac: {{namespaces: [{namespace}]}}"),
            &[&format!("rbac.namespaces lists {namespace}, which can never opt in")],
        );
    }
}

#[test]
fn a_native_ttl_needs_a_kubernetes_that_has_it() {
    for helm in HELMS {
        let output =
            template_with(helm, &["--kube-version", "1.35.4"], "nativeTTL: {enabled: true}");
        assert_ne!(output.code, 0);
        output.warns("nativeTTL.enabled needs Kubernetes 1.36 or later and this is v1.35.4");
        let early =
            template_with(helm, &["--kube-version", "1.36.0-rc.1"], "nativeTTL: {enabled: true}");
        early.ok();
    }
}

#[test]
fn more_conditions_than_kubernetes_allows_are_refused() {
    let conditions = |count: usize, native: bool| {
        let list = (0..count)
            .map(|i| format!("{{name: c{i}, expression: 'true'}}"))
            .collect::<Vec<_>>()
            .join(", ");
        format!("webhook: {{matchConditions: [{list}]}}\nnativeTTL: {{enabled: {native}}}")
    };
    let own = 5;
    for (native, most) in [(false, 64 - own), (true, 62 - own)] {
        template_with(HELMS[1], &[], &conditions(most, native)).ok();
        refused(&conditions(most + 1, native), &["webhook.matchConditions makes", "are allowed"]);
    }
}

#[test]
fn a_condition_with_a_name_that_is_taken_is_refused() {
    refused(
        "webhook: {matchConditions: [{name: not-a-hook, expression: 'true'}]}",
        &["the name not-a-hook twice, or it is one of the chart's own"],
    );
}

#[test]
fn an_older_kubernetes_is_refused() {
    for helm in HELMS {
        let output = template_with(helm, &["--kube-version", "1.29.0"], "");
        assert_ne!(output.code, 0);
        output.warns("chart requires kubeVersion: >=1.30.0-0");
        template_with(helm, &["--kube-version", "1.30.0"], "").ok();
        // As managed clusters call themselves.
        template_with(helm, &["--kube-version", "v1.30.5-gke.1014001"], "").ok();
    }
}
