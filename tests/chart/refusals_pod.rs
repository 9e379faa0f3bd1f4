//! What cannot be of the Pods' fields is refused with a sentence that says what to do.

use super::refusals::{refused, renders};

#[test]
fn names_are_resolved_by_somebody() {
    refused("dnsPolicy: None", &["dnsPolicy is None, but dnsConfig.nameservers is empty"]);
    renders("dnsPolicy: None\ndnsConfig: {nameservers: [10.0.0.10]}");
    renders("dnsConfig: {searches: [example.com]}");
}

#[test]
fn root_is_no_user_who_is_not_root() {
    let sentence = &["runAsNonRoot: true and runAsUser: 0", "set another user"][..];
    refused("podSecurityContext: {runAsUser: 0}", sentence);
    refused("securityContext: {runAsUser: 0}", sentence);
    // The container's own word counts.
    renders("podSecurityContext: {runAsUser: 0}\nsecurityContext: {runAsUser: 1}");
    renders("podSecurityContext: {runAsUser: 0, runAsNonRoot: false}");
}

#[test]
fn a_capability_to_do_anything_goes_with_no_limit_of_privileges() {
    for name in ["SYS_ADMIN", "CAP_SYS_ADMIN"] {
        refused(
            &format!("securityContext: {{capabilities: {{add: [{name}]}}}}"),
            &[&format!("securityContext.capabilities.add has {name}"), "remove it"],
        );
    }
    renders("securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}");
}

#[test]
fn a_profile_of_the_node_has_a_name_and_no_other_profile_has() {
    for context in ["podSecurityContext", "securityContext"] {
        for kind in ["seccompProfile", "appArmorProfile"] {
            let values = |profile: &str| format!("{context}: {{{kind}: {{{profile}}}}}");
            refused(
                &values("type: Localhost"),
                &[&format!("{context}.{kind} has the type Localhost and no localhostProfile")],
            );
            refused(
                &values("type: RuntimeDefault, localhostProfile: a/b.json"),
                &[&format!("{context}.{kind} has a localhostProfile and the type RuntimeDefault")],
            );
            renders(&values("type: Localhost, localhostProfile: a/b.json"));
        }
    }
}

#[test]
fn volumes_and_mounts_fit_together_and_beside_the_charts_own() {
    let volumes = |names: &[&str]| {
        let list: Vec<_> =
            names.iter().map(|name| format!("{{name: {name}, emptyDir: {{}}}}")).collect();
        format!("extraVolumes: [{}]\n", list.join(", "))
    };
    for own in ["policies", "tls", "client-ca"] {
        refused(&volumes(&[own]), &[&format!("extraVolumes has the name {own} twice, or it is")]);
    }
    refused(&volumes(&["a", "a"]), &["extraVolumes has the name a twice"]);
    let mounts = |list: &str| format!("{}extraVolumeMounts: [{list}]", volumes(&["a"]));
    refused(
        &mounts("{name: b, mountPath: /b}"),
        &["extraVolumeMounts mounts b, which is not in extraVolumes"],
    );
    refused(
        &mounts("{name: a, mountPath: /etc/rejob/tls}"),
        &["extraVolumeMounts has the path /etc/rejob/tls, and /etc/rejob is the chart's own"],
    );
    refused(
        &mounts("{name: a, mountPath: /a}, {name: a, mountPath: /a}"),
        &["extraVolumeMounts has the path /a twice"],
    );
    renders(&mounts("{name: a, mountPath: /a}, {name: a, mountPath: /b, subPath: c/d.txt}"));
}

#[test]
fn metrics_are_read_within_their_interval() {
    let values = |timeout: &str, interval: &str| {
        format!("metrics: {{serviceMonitor: {{scrapeTimeout: {timeout}, interval: {interval}}}}}")
    };
    for (timeout, interval) in [("31s", "30s"), ("2m", "119s"), ("1h", "59m"), ("1001ms", "1s")] {
        refused(
            &values(timeout, interval),
            &[&format!(
                "metrics.serviceMonitor.scrapeTimeout is {timeout} and longer than the interval, {interval}"
            )],
        );
    }
    renders(&values("60s", "1m"));
}
