//! Another admission hook that rewrites templates never makes a Job run again by itself.
//!
//! One that rewrites whatever it sees: unchanged deploys never re-run, changed ones re-run once.
//! One that rewrites on CREATE only makes what is stored differ from what the client asks for, for
//! ever: at most one extra run after a change, never a loop.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::binaries::Binaries;
use crate::support::hook::{self, Hook, pinned};
use crate::support::plane::ControlPlane;
use crate::support::rejob::{Options, Rejob};

use super::deploy::{Client, Place};

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

/// At most one extra run after a change, and none after that.
fn at_most_one_extra_run(rejob: &Rejob<'_>, client: Client) {
    let place = Place::new(rejob.namespace("replace"));
    let mut before = None;
    for image in ["busybox:1", "busybox:2", "busybox:3"] {
        place.deploy(client, image);
        let mut uids = BTreeSet::from([place.uid()]);
        assert_ne!(before, uids.first().cloned(), "{client:?}: {image} does not run");
        for _ in 0..5 {
            place.deploy(client, image);
            uids.insert(place.uid());
        }
        assert!(uids.len() <= 2, "{client:?}: {image} ran {} times", uids.len());
        place.assert_runs(&pinned(image));
        before = Some(place.uid());
    }
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

#[test]
fn a_hook_before_rejob_that_pins_on_create_only() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, BEFORE, &["CREATE"]);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        at_most_one_extra_run(&rejob, client);
    }
}

#[test]
fn a_hook_after_rejob_that_pins_on_create_only() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Hook::start(&plane, &rejob, AFTER, &["CREATE"]);
    // Rejob sees what the client sent, always: not one extra run.
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
    let _policy = Policy::create(&plane, &rejob);
    for client in Client::ALL.into_iter().chain([Client::ForcedApply, Client::MergePatch]) {
        at_most_one_extra_run(&rejob, client);
    }
}

/// A MutatingAdmissionPolicy that pins the images of this test; dropping it deletes it.
struct Policy<'p> {
    plane: &'p ControlPlane,
    name: String,
}

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

impl<'p> Policy<'p> {
    fn create(plane: &'p ControlPlane, rejob: &Rejob<'_>) -> Self {
        let name = rejob.configuration().to_owned();
        let admin = plane.admin();
        // CEL has no digests: a table of the images here.
        let images = ["probe:1", "busybox:1", "busybox:2", "busybox:3"];
        let table: Vec<_> = images.iter().map(|i| format!("'{i}': '{}'", pinned(i))).collect();
        let image = "object.spec.template.spec.containers[0].image";
        let expression = format!(
            "[JSONPatch{{op: 'replace', path: '/spec/template/spec/containers/0/image', \
             value: {{{}}}[{image}]}}]",
            table.join(", ")
        );
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": rejob.instance_label() },
                    "resourceRules": [{
                        "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                        "operations": ["CREATE"],
                    }],
                },
                "matchConditions": [{
                    "name": "not-pinned", "expression": format!("!{image}.contains('@')"),
                }],
                "mutations": [{
                    "patchType": "JSONPatch", "jsonPatch": { "expression": expression },
                }],
            },
        });
        admin.post(&format!("{GROUP}/mutatingadmissionpolicies"), &policy).ok();
        let created = Self { plane, name };
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": { "name": created.name },
            "spec": { "policyName": created.name },
        });
        admin.post(&format!("{GROUP}/mutatingadmissionpolicybindings"), &binding).ok();
        hook::wait_until_images_are_pinned(rejob);
        created
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        for resource in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
            let path = format!("{GROUP}/{resource}/{}", self.name);
            let _ = self.plane.admin().send("DELETE", &path, "application/json", "{}".to_owned());
        }
    }
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
