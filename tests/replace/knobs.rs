//! The knobs, as each client meets them: `onChange`, `whileRunning`, `rejob.dev/rerun`, the TTL.

use crate::support::manifest::{annotated, annotation, image, job};
use crate::support::plane::ControlPlane;
use crate::support::rejob::Rejob;

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
