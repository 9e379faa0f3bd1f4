//! The profiles of `ci/` that the pages name: production and OpenShift.

use serde_json::{Value, json};

use super::render::{chart, ci_names, ci_objects, ci_values, objects_with, of_kind, the};
use super::rules::pod;
use support::helm::Helm;
use support::plane::{self, ControlPlane};

/// The kinds of volumes that the SCC restricted-v2 lets in.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What the SCC restricted-v2 refuses, or has to set itself: OpenShift gives each namespace ids of its
/// own, and refuses others.
fn beyond_restricted_v2(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut beyond = |what: &str, value: &Value| {
        if !value.is_null() {
            found.push(format!("{what}: {value}"));
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        beyond(field, &pod[field]);
    }
    let container = &pod["containers"][0];
    for context in [&pod["securityContext"], &container["securityContext"]] {
        for id in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"] {
            beyond(id, &context[id]);
        }
        beyond("privileged", &context["privileged"]);
        beyond("add", &context["capabilities"]["add"]);
    }
    for port in container["ports"].as_array().expect("ports") {
        beyond("hostPort", &port["hostPort"]);
    }
    for volume in pod["volumes"].as_array().expect("volumes") {
        for (kind, source) in volume.as_object().expect("a volume") {
            if kind != "name" && !VOLUMES.contains(&kind.as_str()) {
                beyond(kind, source);
            }
        }
    }
    found
}

#[test]
fn pods_run_under_restricted_v2_as_they_are() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let pod = pod(&objects);
        let beyond = beyond_restricted_v2(pod);
        // The one is for nodes' networks, the other sets ids.
        let sets_what_it_refuses = ["host-network", "pod"].contains(&name.as_str());
        assert_eq!(beyond.is_empty(), !sets_what_it_refuses, "{name}: {beyond:?}");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    }
}

#[test]
fn files_of_mounted_secrets_can_be_read_by_whatever_user_the_pod_gets() {
    for name in ["cert-manager", "provided-url"] {
        let objects = ci_objects(name);
        let volumes = pod(&objects)["volumes"].as_array().unwrap().clone();
        let secret = volumes.iter().find(|volume| volume["secret"].is_object()).expect("a Secret");
        // Kubernetes' default is 0644, and the files belong to root where no fsGroup is set.
        assert!(secret["secret"].get("defaultMode").is_none(), "{name}");
    }
}

#[test]
fn the_production_profile_has_no_right_in_the_whole_cluster_but_to_ask_and_to_write_into_its_own() {
    let objects = ci_objects("least-rights");
    let role = the(&objects, "ClusterRole");
    for rule in role["rules"].as_array().expect("rules") {
        let asks = rule["resources"] == json!(["subjectaccessreviews"]);
        let own = rule["resourceNames"].is_array();
        assert!(asks || own, "{rule}");
    }
    let roles = of_kind(&objects, "Role");
    let mut places: Vec<_> =
        roles.iter().map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["batch", "rejob", "reports"]);
    assert_eq!(the(&objects, "Deployment")["spec"]["replicas"], 2);
    the(&objects, "PodDisruptionBudget");
    the(&objects, "NetworkPolicy");
}

#[test]
fn the_pages_show_the_profiles_as_the_files_have_them() {
    for (page, profile) in [
        (include_str!("../../docs/install/production.md"), "least-rights"),
        (include_str!("../../docs/install/managed-clusters.md"), "openshift"),
    ] {
        let after = page.split_once(&format!("{profile}-values.yaml)")).expect("a link").1;
        let block = after.split_once("```yaml\n").expect("a block").1;
        let shown: Value = serde_saphyr::from_str(block.split_once("```").unwrap().0).unwrap();
        let file = std::fs::read_to_string(ci_values(profile)).expect("the profile");
        assert_eq!(shown, serde_saphyr::from_str::<Value>(&file).unwrap(), "{profile}");
    }
}

#[test]
fn the_profiles_install_where_the_restricted_standard_is_enforced() {
    let plane = ControlPlane::shared();
    for helm in Helm::ALL {
        for profile in ["least-rights", "openshift", "paused"] {
            let label = ("pod-security.kubernetes.io/enforce", "restricted");
            let namespace = plane.namespace("profile", &[label]);
            let team = plane.namespace("team", &[]);
            let release = format!("rejob-{}", plane::unique());
            let own = format!("policies.{release}.onChange=Replace");
            let others = "policies.replace=null,policies.hash-name=null,policies.ttl=null";
            let limited = format!("rbac.namespaces={{{}}}", team.name());
            let (chart, values) = (chart().display().to_string(), ci_values(profile));
            let args = ["install", &release, &chart, "--values", &values];
            let sets = ["--set", &own, "--set", others, "--set", &limited];
            let output = namespace.helm(helm, &[&args[..], &sets].concat()).ok();
            assert!(!output.stderr.contains("would violate"), "{profile}: {}", output.stderr);
            let path =
                format!("/apis/apps/v1/namespaces/{}/deployments/{release}", namespace.name());
            let template = plane.admin().get(&path).ok()["spec"]["template"].clone();
            let mut pod = template;
            pod["metadata"]["name"] = json!("rejob");
            let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace.name());
            plane.admin().post(&path, &pod).ok();
            namespace.helm(helm, &["uninstall", &release]).ok();
        }
    }
}

#[test]
fn every_object_and_the_pods_carry_the_recommended_labels() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let extra = |object: &&Value| object["metadata"]["name"] == "rejob-about";
        for object in objects.iter().filter(|object| !extra(object)) {
            let labels = &object["metadata"]["labels"];
            for label in ["name", "instance", "version", "component", "part-of", "managed-by"] {
                let label = format!("app.kubernetes.io/{label}");
                assert!(labels[&label].is_string(), "{name}: {} has no {label}", object["kind"]);
            }
            assert!(labels["helm.sh/chart"].is_string(), "{name}");
        }
        let deployment = the(&objects, "Deployment");
        let mut on_pods = deployment["spec"]["template"]["metadata"]["labels"].clone();
        let labels = deployment["metadata"]["labels"].as_object().unwrap();
        for (label, value) in labels.iter().filter(|(label, _)| !label.starts_with("example.com/"))
        {
            assert_eq!(on_pods[label].take(), *value, "{name}: {label}");
        }
    }
    let objects = objects_with(
        "commonLabels: {team: a, tier: a}\npodLabels: {team: b}\ndeploymentLabels: {team: c}\nservice: {labels: {team: d}}",
    );
    let deployment = the(&objects, "Deployment");
    for (labels, team) in [
        (&deployment["spec"]["template"]["metadata"]["labels"], "b"),
        (&deployment["metadata"]["labels"], "c"),
        (&the(&objects, "Service")["metadata"]["labels"], "d"),
        (&the(&objects, "NetworkPolicy")["metadata"]["labels"], "a"),
    ] {
        assert_eq!(labels["team"], team);
        assert_eq!(labels["tier"], "a");
    }
}

#[test]
fn more_objects_are_rendered_as_templates_of_the_release() {
    let objects = ci_objects("pod");
    let maps = of_kind(&objects, "ConfigMap");
    let extra = maps.iter().find(|map| map["metadata"]["name"] == "rejob-about").expect("it");
    assert_eq!(extra["metadata"]["namespace"], "rejob");
    assert_eq!(extra["data"]["version"], env!("CARGO_PKG_VERSION"));
    let text = "extraObjects: ['{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"{{ .Release.Name }}-a\"}}']";
    assert_eq!(the(&objects_with(text), "Secret")["metadata"]["name"], "rejob-a");
}
