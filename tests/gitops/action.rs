//! The example's resource action, in the Lua of Argo CD: it runs a Job again, and changes nothing else.

use std::process::Command;

use serde_json::{Value, json};
use support::manifest::job;
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;

use super::program::program;

/// The actions of Jobs, as `argocd-cm` has them.
fn actions() -> Value {
    let file = support::paths::sources().join("examples/argocd/argocd-cm.yaml");
    let map: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let text = map["data"]["resource.customizations.actions.batch_Job"].as_str().unwrap();
    serde_saphyr::from_str(text).unwrap()
}

/// What a script returns for an object.
fn run(script: &Value, object: &Value) -> Value {
    let input = json!({ "script": script, "obj": object }).to_string();
    let output = Output::of(&mut Command::new(program("lua", "Argo CD's Lua")), &input).ok();
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn the_action_of_argo_cd_runs_a_job_again() {
    let actions = actions();
    assert_eq!(actions["mergeBuiltinActions"], true);
    let [rerun] = actions["definitions"].as_array().unwrap().as_slice() else {
        panic!("not one action: {actions}")
    };
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    namespace.create_job(&job("nightly", "app:1")).ok();
    namespace.finish_pods("nightly");
    let stored = namespace.job("nightly").unwrap();
    assert_eq!(run(&actions["discovery.lua"], &stored), json!({ "rerun": { "disabled": false } }));
    assert_eq!(rerun["name"], "rerun");
    let returned = run(&rerun["action.lua"], &stored);
    let value = returned["metadata"]["annotations"]["rejob.dev/rerun"].clone();
    let mut expected = stored.clone();
    expected["metadata"]["annotations"]["rejob.dev/rerun"] = value.clone();
    // An empty map comes back from Lua as an empty list; Argo CD puts that right.
    assert_eq!(returned["metadata"]["annotations"], expected["metadata"]["annotations"]);
    assert_eq!(returned["spec"]["template"]["spec"]["containers"][0]["image"], "app:1");
    // Argo CD sends what differs as a merge patch.
    let patch = json!({ "metadata": { "annotations": { "rejob.dev/rerun": value } } });
    namespace.user().patch("merge", &namespace.job_path("nightly"), &patch).ok();
    let new = namespace.job("nightly").unwrap();
    assert_ne!(new["metadata"]["uid"], stored["metadata"]["uid"]);
    // And on a Job without annotations.
    let bare = run(&rerun["action.lua"], &job("bare", "app:1"));
    assert!(bare["metadata"]["annotations"]["rejob.dev/rerun"].is_string(), "{bare}");
}
