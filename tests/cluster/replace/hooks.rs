//! Another admission hook that rewrites templates never makes a Job run again by itself.
//!
//! Unchanged deploys never re-run, changed ones re-run once, also where a hook rewrites on CREATE only
//! and what is stored differs from what the client asks for, for ever.

use serde_json::json;

use support::admission_policy::AdmissionPolicy;
use support::binaries::Binaries;
use support::hook::{self, Hook, pinned};
use support::manifest::{annotated, job};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place};

/// Webhooks are called in the order of their configurations' names.
const BEFORE: &str = "10-digests";
const REJOB: &str = "50-rejob";
const AFTER: &str = "90-digests";

fn start(plane: &ControlPlane) -> Rejob<'_> {
    Rejob::start(plane, &Options { name: REJOB, ..Options::default() })
}

/// Unchanged deploys never re-run, a changed one re-runs once.
fn unchanged_is_quiet(rejob: &Rejob<'_>, client: Client) {
    let place = Place::new(rejob.namespace("replace"));
    let mut before = None;
    for image in ["busybox:1", "busybox:2", "busybox:3"] {
        place.deploy(client, image);
        let uid = place.uid();
        assert_ne!(before.as_ref(), Some(&uid), "{client:?}: {image} does not run");
        place.assert_runs(&pinned(image));
        for _ in 0..3 {
            place.deploy(client, image);
            assert_eq!(place.uid(), uid, "{client:?}: an unchanged deploy ran again");
        }
        place.assert_runs(&pinned(image));
        before = Some(uid);
    }
    place.assert_ran(3);
}

#[test]
fn a_hook_before_rejob_that_pins_on_create_and_update() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, BEFORE, &["CREATE", "UPDATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        unchanged_is_quiet(&rejob, client);
    }
}

#[test]
fn a_hook_after_rejob_that_pins_on_create_and_update() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, AFTER, &["CREATE", "UPDATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        unchanged_is_quiet(&rejob, client);
    }
}

/// The API server creates the Job of an apply anew, and on CREATE a Job with such an annotation is left
/// alone, so that no hash is recorded on it.
#[test]
fn an_applied_helm_hook_behind_a_hook_that_pins_runs_once_a_change() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    for hook in [BEFORE, AFTER] {
        let _hook = Hook::start(&plane, &rejob, hook, &["CREATE", "UPDATE"]);
        for apply in [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
            let place = Place::new(rejob.namespace("replace"));
            let deploy = |image| {
                let manifest = annotated(job(JOB, image), "helm.sh/hook", "post-install");
                place.namespace.kubectl_with(&manifest.to_string(), apply).ok();
                place.uid()
            };
            let mut last = String::new();
            for image in ["busybox:1", "busybox:2", "busybox:3"] {
                let uid = deploy(image);
                assert_ne!(uid, last, "{hook} {apply:?}: {image} does not run");
                for _ in 0..3 {
                    assert_eq!(deploy(image), uid, "{hook} {apply:?}: {image} ran again");
                }
                place.assert_runs(&pinned(image));
                last = uid;
            }
        }
    }
}

#[test]
fn a_hook_before_rejob_that_pins_on_create_only() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, BEFORE, &["CREATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        unchanged_is_quiet(&rejob, client);
    }
}

#[test]
fn a_hook_after_rejob_that_pins_on_create_only() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, AFTER, &["CREATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        unchanged_is_quiet(&rejob, client);
    }
}

#[test]
fn a_mutating_admission_policy_that_pins_on_create_only() {
    if Binaries::get().minor < 36 {
        return; // Not yet generally available.
    }
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _policy = pinning_policy(&plane, &rejob);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        unchanged_is_quiet(&rejob, client);
    }
}

/// Under a policy that allows no label of rejob's the new Job would never start: the client is told
/// before anything is deleted.
#[test]
fn a_policy_that_takes_the_dormant_label_out() {
    if Binaries::get().minor < 36 {
        return; // Not yet generally available.
    }
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _policy = AdmissionPolicy::mutating(
        &plane,
        &rejob,
        &["CREATE"],
        "[JSONPatch{op: 'remove', path: '/metadata/labels/rejob.dev~1dormant'}]",
        "has(object.metadata.labels) && 'rejob.dev/dormant' in object.metadata.labels",
    );
    let unlabeled = rejob.unlabeled_namespace();
    let mut probe = job("probe", "busybox:1");
    probe["metadata"]["labels"]["rejob.dev/dormant"] = json!("x");
    wait::until("the label is taken out", || {
        let path = format!("{}?dryRun=All", unlabeled.jobs_path());
        let created = unlabeled.user().post(&path, &probe).ok();
        created["metadata"]["labels"]["rejob.dev/dormant"].is_null().then_some(())
    });
    for client in [Client::Put, Client::MergePatch, Client::JsonPatch, Client::Apply] {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, "busybox:1");
        place.assert_runs("busybox:1");
        let uid = place.uid();
        let told = place.try_deploy(client, "busybox:2").expect_err("nothing would run");
        assert!(told.contains("another hook or policy changes the label"), "{client:?}: {told}");
        assert!(told.contains("job nightly was not replaced"), "{client:?}: {told}");
        assert_eq!(place.uid(), uid, "{client:?}");
        place.assert_runs("busybox:1");
    }
    // An apply's Job is made by the API server, and awake.
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(Client::ServerSideApply, "busybox:1");
    place.deploy(Client::ServerSideApply, "busybox:2");
    place.assert_runs("busybox:2");
}

/// A MutatingAdmissionPolicy that pins the images of this test on creation.
fn pinning_policy(plane: &ControlPlane, rejob: &Rejob<'_>) -> AdmissionPolicy {
    // CEL has no digests: a table of the images here.
    let images = ["probe:1", "busybox:1", "busybox:2", "busybox:3"];
    let table: Vec<_> = images.iter().map(|i| format!("'{i}': '{}'", pinned(i))).collect();
    let image = "object.spec.template.spec.containers[0].image";
    let expression = format!(
        "[JSONPatch{{op: 'replace', path: '/spec/template/spec/containers/0/image', \
         value: {{{}}}[{image}]}}]",
        table.join(", ")
    );
    let condition = format!("!{image}.contains('@')");
    let policy = AdmissionPolicy::mutating(plane, rejob, &["CREATE"], &expression, &condition);
    hook::wait_until_images_are_pinned(rejob);
    policy
}

/// What a Job was made for stays known when something else of it changes: neither a label nor a
/// controller's note makes the next unchanged deploy a run.
#[test]
fn a_change_of_something_else_does_not_make_an_unchanged_deploy_run() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, BEFORE, &["CREATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, "busybox:1");
        let first = place.uid();
        place.deploy(client, "busybox:2");
        let uid = place.uid();
        assert_ne!(uid, first, "{client:?}");
        let path = format!("{}?fieldManager=other", place.namespace.job_path(super::deploy::JOB));
        for change in [
            json!({ "metadata": { "labels": { "example.com/team": "a" } } }),
            json!({ "spec": { "activeDeadlineSeconds": 3600 } }),
        ] {
            place.namespace.user().patch("merge", &path, &change).ok();
            place.deploy(client, "busybox:2");
            assert_eq!(place.uid(), uid, "{client:?}: an unchanged deploy ran again");
        }
        place.assert_runs(&pinned("busybox:2"));
    }
}
