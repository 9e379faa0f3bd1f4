//! Clusters that keep the system's priority classes for kube-system, as GKE does.

use std::fs;

use serde_json::{Value, json};

use super::render::{objects_with, of_kind, the};
use support::plane::{ControlPlane, Options};
use support::wait;

/// What GKE tells its API servers.
const LIMITED: &str = r#"{
    "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
    "plugins": [{ "name": "ResourceQuota", "configuration": {
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
        "limitedResources": [{ "resource": "pods", "matchScopes": [{
            "scopeName": "PriorityClass", "operator": "In",
            "values": ["system-node-critical", "system-cluster-critical"]
        }]}]
    }}]
}"#;

#[test]
fn a_quota_goes_with_a_priority_class_of_the_systems() {
    for (values, expected) in [
        ("priorityClassName: system-cluster-critical", Some("4")),
        ("priorityClassName: system-node-critical\nreplicas: 3", Some("6")),
        (
            "priorityClassName: system-node-critical\nautoscaling: {enabled: true, maxReplicas: 9}",
            Some("18"),
        ),
        ("priorityClassName: mine", None),
        ("{}", None),
    ] {
        let objects = objects_with(values);
        let quotas = of_kind(&objects, "ResourceQuota");
        let pods = quotas.first().map(|quota| quota["spec"]["hard"]["pods"].as_str().unwrap());
        assert_eq!(pods, expected, "{values}");
    }
}

#[test]
fn where_the_class_is_kept_for_kube_system_the_quota_admits_the_pods() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("admission.json");
    fs::write(&file, LIMITED).expect("write");
    let flag = format!("--admission-control-config-file={}", file.display());
    let options = Options { apiserver_flags: vec![flag], ..Options::default() };
    let plane = ControlPlane::start(&options);
    let namespace = plane.namespace("quota", &[]);
    let objects = objects_with("priorityClassName: system-cluster-critical");
    let mut pod = the(&objects, "Deployment")["spec"]["template"].clone();
    pod["metadata"]["name"] = json!("rejob");
    let path = format!("/api/v1/namespaces/{}", namespace.name());
    let create = || plane.admin().post(&format!("{path}/pods?dryRun=All"), &pod);
    let refused = create();
    assert_ne!(refused.status, 201);
    assert!(refused.message().contains("insufficient quota"), "{}", refused.message());

    let mut quota = the(&objects, "ResourceQuota").clone();
    quota["metadata"]["namespace"] = json!(namespace.name());
    let quota = plane.admin().post(&format!("{path}/resourcequotas"), &quota).ok();
    // What the resource quota controller writes.
    let hard = quota["spec"]["hard"].clone();
    let status: Value = json!({ "status": { "hard": hard, "used": { "pods": "0" } } });
    plane.admin().patch("merge", &format!("{path}/resourcequotas/rejob/status"), &status).ok();
    wait::until("the Pod is admitted", || (create().status == 201).then_some(()));
}
