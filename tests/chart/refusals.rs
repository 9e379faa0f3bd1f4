//! Combinations of values that cannot work are refused with a sentence that says what to do.

use super::render::{HELMS, template_named, template_with};

/// Refused by both major versions of Helm, with each part of the sentence.
#[track_caller]
pub fn refused(values: &str, sentence: &[&str]) {
    for helm in HELMS {
        let output = template_with(helm, &[], values);
        assert_ne!(output.code, 0, "{values} renders");
        for part in sentence {
            assert!(output.stderr.contains(part), "{part:?} is not in: {}", output.stderr);
        }
    }
}

/// Rendered by both major versions of Helm.
#[track_caller]
pub fn renders(values: &str) {
    for helm in HELMS {
        template_with(helm, &[], values).ok();
    }
}

#[test]
fn a_release_name_that_no_service_can_have_is_refused() {
    for helm in HELMS {
        for (release, name) in [("1st", "1st-rejob"), ("a.b", "a.b-rejob")] {
            let output = template_named(helm, release, &[], "");
            assert_ne!(output.code, 0, "{release} renders");
            output.warns(&format!(
                "the objects would be named {name}, and the name of a Service begins with a letter"
            ));
            template_named(helm, release, &[], "fullnameOverride: rejob").ok();
        }
    }
}

#[test]
fn the_name_of_a_flow_schema_of_kubernetes_own_is_refused() {
    for name in ["exempt", "catch-all"] {
        let values = format!("fullnameOverride: {name}");
        refused(
            &values,
            &[&format!("the objects would be named {name}, as a FlowSchema of Kubernetes' own is")],
        );
        renders(&format!("{values}\nflowSchema: {{enabled: false}}"));
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
fn the_port_of_the_service_is_the_webhooks() {
    refused(
        "server: {adminPort: 443}",
        &["server.adminPort is 443, the port of the webhook in the Service"],
    );
    renders("server: {port: 443}");
}

#[test]
fn a_certificate_that_is_renewed_before_it_is_made_is_refused() {
    let values = |duration: &str, renew_before: &str| {
        format!(
            "webhook: {{pathToken: true}}\ncertificates: {{mode: certManager, certManager: {{duration: {duration}, renewBefore: {renew_before}}}}}"
        )
    };
    refused(
        &values("90m", "1h30m"),
        &["certificates.certManager.renewBefore is 1h30m and not less than duration, 90m"],
    );
    refused(
        &values("59m59s", "5m"),
        &["certificates.certManager.duration is 59m59s", "less than 1h"],
    );
    refused(
        &values("1h", "299s"),
        &["certificates.certManager.renewBefore is 299s", "at least 5m"],
    );
    renders(&values("90m", "1h29m59s"));
    renders(&values("1h", "5m"));
}

#[test]
fn a_url_whose_host_the_certificate_lacks_is_refused() {
    let values = |host: &str, names: &str| {
        format!(
            "webhook: {{url: 'https://{host}:8443', acceptUnauthenticated: true}}\ncertificates: {{mode: certManager, certManager: {{extraDnsNames: [{names}]}}}}"
        )
    };
    for names in ["", "rejob.example.org", "'*.com'"] {
        refused(
            &values("rejob.example.com", names),
            &[
                "webhook.url names the host rejob.example.com, which is not in the certificate",
                "extraDnsNames",
            ],
        );
    }
    renders(&values("rejob.example.com", "rejob.example.com"));
    renders(&values("rejob.example.com", "'*.example.com'"));
    renders(&values("rejob.rejob.svc", ""));
    for address in ["10.0.0.1", "[fd00::1]"] {
        refused(
            &values(address, ""),
            &[&format!("webhook.url names the address {address}"), "use a host name"],
        );
    }
}

#[test]
fn requests_beyond_the_limits_are_refused() {
    for (request, limit) in [("100m", "0.05"), ("1", "999m"), ("2", "1")] {
        refused(
            &format!("resources: {{requests: {{cpu: {request}}}, limits: {{cpu: {limit}}}}}"),
            &[&format!(
                "resources.requests.cpu is {request} and more than resources.limits.cpu, {limit}"
            )],
        );
    }
    for (request, limit) in [("100u", "99999n"), ("1E3", ".9k"), ("1E", "1e17"), ("+2", "1.")] {
        refused(
            &format!("resources: {{requests: {{cpu: '{request}'}}, limits: {{cpu: '{limit}'}}}}"),
            &[&format!("resources.requests.cpu is {request} and more than")],
        );
    }
    refused(
        "resources: {limits: {memory: 32M}}",
        &["resources.requests.memory is 32Mi", "limits.memory, 32M"],
    );
    renders("resources: {requests: {cpu: 1000m, memory: 1024Mi}, limits: {cpu: 1, memory: 1Gi}}");
    renders("resources: {limits: {cpu: 0.05}}");
}

#[test]
fn an_autoscaler_has_a_request_to_keep_a_share_of() {
    for none in ["{requests: {cpu: null}}", "{requests: null}", "{requests: {cpu: 0}}"] {
        refused(
            &format!("autoscaling: {{enabled: true}}\nresources: {none}"),
            &["autoscaling.enabled is true, but resources.requests.cpu is not set"],
        );
    }
    // Kubernetes takes a limit as the request.
    renders("autoscaling: {enabled: true}\nresources: {requests: {cpu: null}, limits: {cpu: 1}}");
}

#[test]
fn the_network_of_the_node_has_no_port_for_a_user_who_is_not_root() {
    refused(
        "hostNetwork: true\nserver: {port: 443}",
        &["hostNetwork does not go with port 443", "only root may listen below 1024"],
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
fn what_needs_a_later_kubernetes_is_refused_on_an_earlier_one() {
    for (values, name) in [
        ("nativeTTL: {enabled: true}", "nativeTTL.enabled"),
        ("checks: {asUser: true}", "checks.asUser"),
    ] {
        for helm in HELMS {
            let output = template_with(helm, &["--kube-version", "1.35.4"], values);
            assert_ne!(output.code, 0);
            output.warns(&format!("{name} needs Kubernetes 1.36 or later and this is v1.35.4"));
            template_with(helm, &["--kube-version", "1.36.0-rc.1"], values).ok();
        }
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
    let own = 6;
    for (native, most) in [(false, 63 - own), (true, 61 - own)] {
        template_with(HELMS[1], &[], &conditions(most, native)).ok();
        refused(&conditions(most + 1, native), &["webhook.matchConditions makes", "are allowed"]);
    }
}

#[test]
fn a_condition_with_a_name_that_is_taken_is_refused() {
    for name in
        ["not-a-hook", "not-dormant", "rerun", "not-a-rerun", "has-no-ttl", "not-of-a-gitops-tool"]
    {
        refused(
            &format!("webhook: {{matchConditions: [{{name: {name}, expression: 'true'}}]}}"),
            &[&format!("the name {name} twice, or it is one of the chart's own")],
        );
    }
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
