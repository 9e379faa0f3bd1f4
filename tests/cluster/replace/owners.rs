//! Field owners: an apply after a replacement meets no conflict that it would not meet without
//! rejob, and misses none that it would.

use serde_json::{Value, json};

use support::manifest::{image, job};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;

use super::deploy::{Client, JOB, Place};

#[test]
fn kubectl_applies_server_side_again_and_again_without_forcing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    // And back: a rollback is a change as any other.
    for image in ["app:1", "app:2", "app:3", "app:4", "app:1"] {
        place.deploy(Client::ServerSideApply, image);
        place.assert_runs(image);
        let job = place.job();
        let entries: Vec<_> = spec_owners(&job);
        assert_eq!(entries, [("kubectl".to_owned(), "Apply".to_owned())], "{job:#}");
    }
    place.assert_ran(5);
}

/// The entries of managedFields that own something of the spec.
fn spec_owners(job: &Value) -> Vec<(String, String)> {
    let entries = job["metadata"]["managedFields"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let owning = entries.iter().filter(|entry| entry["fieldsV1"]["f:spec"].is_object());
    owning.map(|entry| (text(&entry["manager"]), text(&entry["operation"]))).collect()
}

#[test]
fn client_side_apply_is_followed_by_server_side_apply() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let deploys = [
        (Client::Apply, "app:1"),
        (Client::Apply, "app:2"),
        // kubectl moves the ownership over; then three times without forcing.
        (Client::ServerSideApply, "app:3"),
        (Client::ServerSideApply, "app:4"),
        (Client::ServerSideApply, "app:5"),
    ];
    for (client, image) in deploys {
        place.deploy(client, image);
        place.assert_runs(image);
        let uid = place.uid();
        place.deploy(client, image);
        assert_eq!(place.uid(), uid, "{client:?} {image}");
    }
    place.assert_ran(5);
}

fn apply(place: &Place, manager: &str, force: bool, object: &Value) -> Answer {
    let path = place.namespace.job_path(JOB);
    let path = format!("{path}?fieldManager={manager}&force={force}");
    place.namespace.user().apply(&path, object)
}

fn with_label(image: &str, label: &str) -> Value {
    let mut object = job(JOB, image);
    object["metadata"]["labels"] = json!({ label: "yes" });
    object
}

#[test]
fn two_managers_own_the_template_together() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    apply(&place, "one", false, &with_label("app:1", "one")).ok();
    apply(&place, "two", false, &with_label("app:1", "two")).ok();
    place.assert_runs("app:1");
    let uid = place.uid();
    // A conflict as without rejob; nothing is touched.
    let answer = apply(&place, "one", false, &with_label("app:2", "one"));
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.message().contains("two"), "{}", answer.message());
    assert_eq!((place.uid(), image(&place.job())), (uid.clone(), "app:1"));
    // Forced: a new run, made of what its applier owns.
    apply(&place, "one", true, &with_label("app:2", "one")).ok();
    assert_ne!(place.uid(), uid);
    place.assert_runs("app:2");
    assert_eq!(place.job()["metadata"]["labels"]["one"], "yes");
    // The other one joins again without a conflict and without a run.
    let uid = place.uid();
    apply(&place, "two", false, &with_label("app:2", "two")).ok();
    assert_eq!(place.uid(), uid);
    let labels = place.job()["metadata"]["labels"].clone();
    assert_eq!((&labels["one"], &labels["two"]), (&json!("yes"), &json!("yes")));
    place.assert_ran(2);
}

#[test]
fn an_apply_after_another_clients_patch_takes_the_template_back() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    apply(&place, "gitops", true, &job(JOB, "app:1")).ok();
    place.assert_runs("app:1");
    place.namespace.kubectl(&["set", "image", "job", JOB, "app=hotfix:1"]).ok();
    place.assert_runs("hotfix:1");
    apply(&place, "gitops", true, &job(JOB, "app:1")).ok();
    place.assert_runs("app:1");
    let uid = place.uid();
    apply(&place, "gitops", true, &job(JOB, "app:1")).ok();
    assert_eq!(place.uid(), uid);
    place.assert_ran(3);
}
