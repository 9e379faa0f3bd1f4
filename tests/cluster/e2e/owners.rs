//! Field owners through a replacement: no writer takes over what another one applies, and an
//! apply is told from every other write.

use serde_json::{Value, json};

use support::manifest::{image, job};
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;

fn stored(namespace: &Namespace) -> Value {
    namespace.job("nightly").unwrap()
}

fn apply(namespace: &Namespace, manager: &str, object: &Value) -> Answer {
    let path = format!("{}?fieldManager={manager}", namespace.job_path("nightly"));
    namespace.user().apply(&path, object)
}

#[test]
fn an_apply_without_force_goes_on_after_a_rerun_by_annotation() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let server_side = |image: &str| {
        let manifest = job("nightly", image).to_string();
        namespace.kubectl_with(&manifest, &["apply", "--server-side", "-f", "-"]).ok();
    };
    server_side("app:1");
    for (run, next) in [("1", "app:2"), ("2", "app:3")] {
        let before = stored(&namespace)["metadata"]["uid"].clone();
        let rerun = format!("rejob.dev/rerun={run}");
        namespace.kubectl(&["annotate", "job", "nightly", "--overwrite", &rerun]).ok();
        assert_ne!(stored(&namespace)["metadata"]["uid"], before);
        server_side(next);
        assert_eq!(image(&stored(&namespace)), next);
    }
}

#[test]
fn an_apply_that_only_removes_within_the_second_replaces_as_an_apply() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let with = |args: Option<Value>| {
        let mut manifest = job("nightly", "app:1");
        manifest["spec"]["parallelism"] = json!(1);
        if let Some(args) = args {
            manifest["spec"]["template"]["spec"]["containers"][0]["args"] = args;
        }
        manifest.to_string()
    };
    let server_side = ["apply", "--server-side", "-f", "-"];
    namespace.kubectl_with(&with(Some(json!(["a"]))), &server_side).ok();
    namespace.kubectl_with(&with(None), &server_side).ok();
    let now = stored(&namespace);
    assert!(now["spec"]["template"]["spec"]["containers"][0]["args"].is_null(), "{now:#}");
    assert_eq!(now["spec"]["parallelism"], 1);
    namespace.started_pods("nightly");
    // No owner is left that a further apply would be in conflict with.
    namespace.kubectl_with(&with(Some(json!(["b"]))), &server_side).ok();
}

#[test]
fn an_apply_of_a_part_is_refused_before_anything_is_deleted() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    apply(&namespace, "owner", &job("nightly", "app:1")).ok();
    let before = stored(&namespace);
    let part = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "nightly", "annotations": { "rejob.dev/rerun": "1" } },
    });
    let answer = apply(&namespace, "annotator", &part);
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.message().contains("refuses the new one"), "{}", answer.message());
    assert_eq!(stored(&namespace)["metadata"]["uid"], before["metadata"]["uid"]);
}

#[test]
fn a_patch_into_an_applied_empty_object_is_not_taken_for_an_apply() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let mut manifest = job("nightly", "app:1");
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    apply(&namespace, "helm", &manifest).ok();
    let change = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "app", "resources": { "limits": { "cpu": "1" } } }
    ] } } } });
    let path = format!("{}?fieldManager=helm", namespace.job_path("nightly"));
    let answer = namespace.user().patch("strategic-merge", &path, &change);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let now = stored(&namespace);
    let limits = &now["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits["cpu"], "1");
    assert!(now["metadata"]["labels"]["rejob.dev/dormant"].is_null(), "{now:#}");
    namespace.started_pods("nightly");
}
