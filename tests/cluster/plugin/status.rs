//! `kubectl rejob status`.

use serde_json::json;

use super::run::{json, kubectl, rejob};
use support::manifest::{job, left_dormant};
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

#[test]
fn a_replacement_is_shown_with_its_reason_and_what_became_of_it() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    for image in ["app:1", "app:2"] {
        namespace.kubectl_with(&job("nightly", image).to_string(), &["apply", "-f", "-"]).ok();
        namespace.finish_pods("nightly");
    }
    namespace.create_job(&job("weekly", "app:1")).ok();
    let owner = json!({ "metadata": { "name": "owner" } });
    let maps = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let owner = namespace.user().post(&maps, &owner).ok()["metadata"]["uid"].clone();
    let mut owned = job("owned", "app:1");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner, "controller": true,
    }]);
    namespace.create_job(&owned).ok();
    // The Event follows the answer.
    let status = wait::until("the Event is there", || {
        let status = json(&rejob(&plane, &namespace, &["status", "-o", "json"]).ok());
        status["jobs"][0]["replaced"].is_object().then_some(status)
    });
    assert_eq!(status["namespaces"][0]["name"], namespace.name());
    assert_eq!(status["namespaces"][0]["policy"], "replace");
    let jobs = status["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2, "{status}");
    assert_eq!(jobs[0]["name"], "nightly");
    assert_eq!(jobs[0]["run"]["state"], "Complete");
    assert_eq!([&jobs[0]["run"]["succeeded"], &jobs[0]["run"]["completions"]], [1, 1]);
    let message = jobs[0]["replaced"]["message"].as_str().unwrap();
    assert!(message.contains("containers[app].image: app:1 -> app:2"), "{message}");
    assert_eq!((&jobs[1]["name"], &jobs[1]["replaced"]), (&json!("weekly"), &json!(null)));

    let table = rejob(&plane, &namespace, &["status"]).ok().stdout;
    let line = |name: &str| table.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(line("nightly").contains("Complete in "), "{table}");
    assert!(
        line("nightly").contains(" ago ")
            && line("nightly").contains("for admin with kubectl-client-side-apply: spec."),
        "{table}"
    );
    assert!(line("weekly").ends_with(" -") && !line("weekly").contains("ago"), "{table}");
    let all = Output::of(kubectl(&plane, &plane.admin()).args(["status", "-A"]), "").ok();
    assert!(all.stdout.contains(namespace.name()), "{}", all.stdout);
}

#[test]
fn a_dormant_job_is_counted_and_explained() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("left", &[]);
    namespace.create_job(&left_dormant("cut-off")).ok();
    let status = rejob(&plane, &namespace, &["status"]).ok().stdout;
    assert!(status.contains("cut-off   Dormant"), "{status}");
    assert!(status.contains("a dormant Job is being replaced, or was left behind"), "{status}");
}

#[test]
fn who_does_not_opt_in_or_does_not_exist_is_told() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("plain", &[]);
    let name = namespace.name();
    let status = rejob(&plane, &namespace, &["status"]).ok().stdout;
    let label = format!(
        "namespace {name} does not opt in: kubectl label namespace {name} rejob.dev/policy=replace"
    );
    assert!(status.contains(&label), "{status}");
    let mut command = kubectl(&plane, &plane.admin());
    let missing = Output::of(command.args(["status", "-n", "nowhere"]), "").exited(1);
    missing.warns("rejob: there is no namespace nowhere: kubectl get namespaces");
}

#[test]
fn missing_rights_are_named() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("team", &[("rejob.dev/policy", "replace")]);
    namespace.create_job(&job("nightly", "app:1")).ok();
    let none = namespace.seen_with_rights(&plane, &[]);
    rejob(&plane, &none, &["status"]).exited(1).warns("cannot list resource \"jobs\"");
    let some = namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "list"])]);
    let status = rejob(&plane, &some, &["status"]).ok().stdout;
    assert!(status.contains("nightly"), "{status}");
    for what in ["the policy of the namespace", "the last replacements", "what the policies say"] {
        assert!(status.contains(&format!("not known: {what}")), "{status}");
    }
    assert!(!status.contains("does not opt in"), "{status}");
    let all = Output::of(kubectl(&plane, some.user()).args(["status", "-A"]), "").exited(1);
    all.warns("choose one with --namespace");
}
