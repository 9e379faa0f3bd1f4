//! The knobs, as each client meets them: `onChange`, `whileRunning`, `rejob.dev/rerun`, the TTL;
//! and annotations that are invalid.

use serde_json::json;

use support::manifest::{annotated, annotation, image, job};
use support::plane::ControlPlane;
use support::rejob::Rejob;

use super::deploy::{Client, JOB, Place};

const POLICIES: &str = "\
policies:
  keep: { onChange: Keep }
  deny: { onChange: Deny }
  ignore: { onChange: Ignore }
  running-replace: { whileRunning: Replace }
  running-deny: { whileRunning: Deny }
";

fn finished(rejob: &Rejob<'_>, policy: &str, client: Client) -> (Place, String) {
    let place = Place::new(rejob.namespace(policy));
    place.deploy(client, "app:1");
    place.namespace.finish_pods(JOB);
    let uid = place.uid();
    (place, uid)
}

#[test]
fn on_change_keep_keeps_the_job_and_the_client_succeeds() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for client in Client::ALL {
        let (place, uid) = finished(&rejob, "keep", client);
        for _ in 0..2 {
            place.deploy(client, "app:2");
            assert_eq!((place.uid(), image(&place.job())), (uid.clone(), "app:1"), "{client:?}");
        }
        place.assert_ran(1);
    }
}

#[test]
fn on_change_deny_and_ignore_refuse_in_their_own_words() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for (policy, words) in [
        ("deny", "cannot be changed while onChange is Deny"),
        // The API server's own, as without rejob.
        ("ignore", "field is immutable"),
    ] {
        for client in [Client::Apply, Client::ServerSideApply, Client::Helm3, Client::Helm4] {
            let (place, uid) = finished(&rejob, policy, client);
            let error = place.try_deploy(client, "app:2").expect_err("it is refused");
            assert!(error.contains(words), "{policy} {client:?}: {error}");
            assert_eq!((place.uid(), image(&place.job())), (uid, "app:1"));
            // An unchanged deploy goes through.
            place.deploy(client, "app:1");
            place.assert_ran(1);
        }
    }
}

#[test]
fn while_running_replace_and_deny_do_not_wait() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for client in Client::ALL {
        for policy in ["running-replace", "running-deny"] {
            let place = Place::new(rejob.namespace(policy));
            place.deploy(client, "app:1");
            place.namespace.ready_pods(JOB);
            let uid = place.uid();
            let said = place.try_deploy(client, "app:2");
            if policy == "running-replace" {
                said.expect("the Job is replaced while it runs");
                assert_ne!(place.uid(), uid, "{client:?}");
                place.assert_runs("app:2");
            } else {
                let error = said.expect_err("it is refused while it runs");
                assert!(error.contains("whileRunning is Deny"), "{client:?}: {error}");
                assert_eq!(place.uid(), uid);
                place.namespace.finish_pods(JOB);
                place.deploy(client, "app:2");
                place.assert_runs("app:2");
            }
            place.assert_ran(2);
        }
    }
}

#[test]
fn rerun_runs_again_when_its_value_changes_and_only_then() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in [Client::Apply, Client::ServerSideApply, Client::Helm3, Client::Helm4] {
        let (place, mut uid) = finished(&rejob, "replace", client);
        // (what is annotated, whether it is a new run)
        for (value, runs) in [
            ("rejob.dev/rerun=1", true),
            ("rejob.dev/rerun=1", false),
            ("rejob.dev/rerun=2", true),
            ("rejob.dev/rerun-", false),
            ("example.com/other=1", false),
        ] {
            place.namespace.kubectl(&["annotate", "job", JOB, "--overwrite", value]).ok();
            let now = place.uid();
            assert_eq!(now != uid, runs, "{client:?} {value}");
            place.assert_runs("app:1");
            uid = now;
        }
        place.assert_ran(3);
        // The client's own next deploy of the same runs nothing.
        place.deploy(client, "app:1");
        assert_eq!(place.uid(), uid, "{client:?}");
    }
}

#[test]
fn rerun_in_the_manifest_runs_again_when_it_is_bumped() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for apply in [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
        let place = Place::new(rejob.namespace("replace"));
        let mut uids = Vec::new();
        for bump in ["1", "1", "2", "2", "3"] {
            let manifest = annotated(job(JOB, "app:1"), "rejob.dev/rerun", bump).to_string();
            place.namespace.kubectl_with(&manifest, apply).ok();
            place.assert_runs("app:1");
            assert_eq!(annotation(&place.job(), "rejob.dev/rerun"), Some(bump));
            uids.push(place.uid());
        }
        assert_eq!(uids[0], uids[1]);
        assert_eq!(uids[2], uids[3]);
        uids.dedup();
        assert_eq!(uids.len(), 3, "{apply:?}");
        place.assert_ran(3);
    }
}

#[test]
fn a_replaced_job_has_the_ttl_of_the_policy_or_its_own() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in Client::ALL {
        let place = Place::new(rejob.namespace("ttl"));
        for wanted in ["app:1", "app:2", "app:3"] {
            place.deploy(client, wanted);
            place.assert_runs(wanted);
            assert_eq!(place.job()["spec"]["ttlSecondsAfterFinished"], 3600, "{client:?}");
        }
    }
    for apply in [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
        let place = Place::new(rejob.namespace("ttl"));
        for wanted in ["app:1", "app:2"] {
            let mut own = job(JOB, wanted);
            own["spec"]["ttlSecondsAfterFinished"] = 42.into();
            place.namespace.kubectl_with(&own.to_string(), apply).ok();
            place.assert_runs(wanted);
            assert_eq!(place.job()["spec"]["ttlSecondsAfterFinished"], 42, "{apply:?}");
        }
    }
}

/// The Job and its Pods, which a refusal leaves as they are.
fn identity(place: &Place) -> (String, Vec<String>) {
    let uid = place.uid();
    let pods = place.namespace.pods(&uid).iter().map(super::deploy::uid_of).collect();
    (uid, pods)
}

const APPLIES: [&[&str]; 2] = [&["apply", "-f", "-"], &["apply", "--server-side", "-f", "-"]];
const KNOB: &str = "rejob.dev/while-running";
const REFUSED: &str =
    "annotation rejob.dev/while-running is \"Maybe\"; allowed: Wait, Replace, Deny";

#[test]
fn an_apply_that_brings_an_invalid_annotation_is_refused_and_touches_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for apply in APPLIES {
        let place = Place::new(rejob.namespace("replace"));
        place.namespace.kubectl_with(&job(JOB, "app:1").to_string(), apply).ok();
        place.namespace.started_pods(JOB);
        let before = identity(&place);
        let invalid = annotated(job(JOB, "app:2"), KNOB, "Maybe").to_string();
        place.namespace.kubectl_with(&invalid, apply).exited(1).warns(REFUSED);
        assert_eq!((identity(&place), image(&place.job())), (before, "app:1"), "{apply:?}");
        let valid = annotated(job(JOB, "app:2"), KNOB, "Replace").to_string();
        place.namespace.kubectl_with(&valid, apply).ok();
        place.assert_runs("app:2");
        place.assert_ran(2);
    }
}

/// It came into storage when nobody looked after it. The new Job of a server-side apply is created
/// by the API server, where an invalid annotation is not borne: the client must hear of it before
/// the old Job is gone.
#[test]
fn an_apply_that_carries_a_stored_invalid_annotation_along_loses_no_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for apply in APPLIES {
        let place = Place::new(rejob.unlabeled_namespace());
        let invalid = |image| annotated(job(JOB, image), KNOB, "Maybe").to_string();
        place.namespace.kubectl_with(&invalid("app:1"), apply).ok();
        place.namespace.started_pods(JOB);
        let opt_in = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
        let namespace = format!("/api/v1/namespaces/{}", place.namespace.name());
        plane.admin().patch("merge", &namespace, &opt_in).ok();
        rejob.wait_until_called(&place.namespace);
        let before = identity(&place);
        let said = place.namespace.kubectl_with(&invalid("app:2"), apply);
        if apply.contains(&"--server-side") {
            said.exited(1).warns(REFUSED);
            assert_eq!((identity(&place), image(&place.job())), (before, "app:1"));
            let valid = annotated(job(JOB, "app:2"), KNOB, "Replace").to_string();
            place.namespace.kubectl_with(&valid, apply).ok();
        } else {
            said.ok().warns(&format!("{REFUSED}; the policy's value is used"));
        }
        place.assert_runs("app:2");
        place.assert_ran(2);
    }
}
