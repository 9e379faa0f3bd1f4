//! What holds for the Deployment: it outlives rollouts, its names survive YAML, and it may listen
//! where it is told to.

use serde_json::{Value, json};

use super::random::{dry_run, is_foreign};
use super::render::{
    ci_names, ci_objects, minor, objects, objects_with, of_kind, template_with, the,
};
use super::rules::{pod, webhooks};
use support::helm::Helm;
use support::plane::ControlPlane;

#[test]
fn the_deployment_survives_a_rollout_a_drain_and_a_restricted_namespace() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let deployment = &the(&objects, "Deployment")["spec"];
        // On the network of the node a new Pod waits for the ports of an old one.
        let (surge, away) = if name == "host-network" { (0, 1) } else { (1, 0) };
        let expected = json!({ "maxSurge": surge, "maxUnavailable": away });
        assert_eq!(deployment["strategy"]["rollingUpdate"], expected, "{name}");
        assert!(deployment["template"]["metadata"]["annotations"]["checksum/policies"].is_string());
        let scaled = !of_kind(&objects, "HorizontalPodAutoscaler").is_empty();
        assert_eq!(deployment.get("replicas").is_none(), scaled, "{name}");
        let pod = pod(&objects);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap();
        let timeout = webhooks(&objects)[0]["timeoutSeconds"].as_i64().unwrap();
        assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > sleep + timeout, "{name}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], "admin", "{name} {probe}");
        }
        assert!(!pod["topologySpreadConstraints"].as_array().unwrap().is_empty());
        assert_eq!(the(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    }
}

#[test]
fn a_port_below_1024_is_opened_to_the_pods_user_in_a_restricted_namespace() {
    let plane = ControlPlane::shared();
    let label = ("pod-security.kubernetes.io/enforce", "restricted");
    let namespace = plane.namespace("low-port", &[label]);
    for (values, low) in [
        ("server: {port: 443}", true),
        ("server: {adminPort: 1023}", true),
        ("server: {adminPort: 1024}", false),
    ] {
        let objects = objects_with(values);
        let sysctls = &pod(&objects)["securityContext"]["sysctls"];
        let expected = json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]);
        assert_eq!(*sysctls, if low { expected } else { Value::Null }, "{values}");
        let mut pod = the(&objects, "Deployment")["spec"]["template"].clone();
        pod["metadata"]["name"] = json!("rejob");
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace.name());
        plane.admin().post(&path, &pod).ok();
    }
}

/// Every value that is a name, set to one that YAML reads as something else.
const TRICKY: &str = r#"
nameOverride: "123"
fullnameOverride: "true"
commonLabels: {a: "1e3"}
imagePullSecrets: [{name: "123"}]
priorityClassName: "1e3"
serviceAccount: {name: "123"}
certificates: {mode: MODE, self: {secretName: "456"}, provided: {secretName: "456"}, clientCA: {configMapName: "0o17", key: "1.0", names: ["1.0", "a: b #c:"]}}
topologySpread: {topologyKeys: ["null", "1.0"]}
flowSchema: {priorityLevel: "yes"}
metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}
autoscaling: {enabled: true}
rbac: {namespaces: ["123", "no"]}
"#;

/// The values of that key, wherever it stands.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            if name == key {
                found.push(value);
            }
            texts(value, key, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

#[test]
fn names_that_yaml_reads_as_something_else_survive() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("tricky", &[]);
    let version = format!("1.{}.0", minor());
    for mode in ["self", "provided", "certManager"] {
        let values = TRICKY.replace("MODE", mode);
        let output = template_with(Helm::V4_3, &["--kube-version", &version], &values).ok();
        let objects = objects(&output.stdout);
        for key in [
            "name",
            "namespace",
            "secretName",
            "serviceAccountName",
            "priorityClassName",
            "topologyKey",
            "resourceNames",
            "checksum/policies",
            "key",
        ] {
            let mut found = Vec::new();
            for object in &objects {
                texts(object, key, &mut found);
            }
            for value in found {
                let list =
                    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect());
                assert!(list.iter().all(|value| value.is_string()), "{mode}: {key} is {value}");
            }
        }
        assert_eq!(the(&objects, "Service")["metadata"]["name"], "true");
        assert_eq!(pod(&objects)["serviceAccountName"], "123");
        for object in objects.iter().filter(|object| !is_foreign(object)) {
            let mut object = object.clone();
            if object["metadata"]["namespace"].is_string() {
                object["metadata"]["namespace"] = json!(namespace.name());
            }
            dry_run(&plane, &object).ok();
        }
    }
}

#[test]
fn durations_are_written_as_cert_manager_writes_them_back() {
    let written = |objects: &[Value]| -> Vec<String> {
        of_kind(objects, "Certificate")
            .iter()
            .flat_map(|object| {
                ["duration", "renewBefore"]
                    .map(|key| object["spec"][key].as_str().unwrap().to_owned())
            })
            .collect()
    };
    let defaults = written(&ci_objects("cert-manager"));
    assert_eq!(defaults, ["87600h0m0s", "8760h0m0s", "2160h0m0s", "720h0m0s"]);
    for (given, expected) in
        [("90m", "1h30m0s"), ("5400s", "1h30m0s"), ("2h61m61s", "3h2m1s"), ("1h30m0s", "1h30m0s")]
    {
        let values = format!(
            "webhook: {{pathToken: true}}\ncertificates: {{mode: certManager, certManager: {{issuerRef: {{name: a}}, duration: {given}, renewBefore: 330s}}}}"
        );
        assert_eq!(written(&objects_with(&values)), [expected, "5m30s"]);
    }
}
