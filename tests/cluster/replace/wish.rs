//! A controller that takes the answer of a dry run for what is wished: docs/design/limits.md.
//!
//! Crossplane's provider-kubernetes in its server-side mode: one server-side apply with
//! `dryRun=All` for each manifest, whose answer it keeps and compares with the live Job at each poll.

use serde_json::{Value, json};

use support::manifest::{annotation, image, job};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;

use super::deploy::{JOB, Place, assert_unmarked};

const MARKER: &str = "rejob.dev/replacing";

/// Sends that object as the controller does.
fn send(place: &Place, object: &Value, more: &str) -> Answer {
    let manager = "fieldManager=provider-kubernetes%2Ftenant-bootstrap&force=true";
    let path = format!("{}?{manager}{more}", place.namespace.job_path(JOB));
    place.namespace.user().apply(&path, object)
}

/// A finished Job with the image `app:1`, and the answer to the dry run of `app:2`.
fn wished(rejob: &Rejob<'_>) -> (Place, Value) {
    let place = Place::new(rejob.namespace("replace"));
    send(&place, &job(JOB, "app:1"), "").ok();
    place.namespace.finish_pods(JOB);
    let wish = send(&place, &job(JOB, "app:2"), "&dryRun=All").ok();
    // An update cannot show another template: what is shown is the old one and the marker.
    assert_eq!(image(&wish), "app:1");
    assert!(annotation(&wish, MARKER).is_some(), "{wish:#}");
    (place, wish)
}

#[test]
fn who_takes_a_dry_run_for_the_wish_runs_the_job_once_and_writes_nothing_more() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let (place, wish) = wished(&rejob);
    let before = place.uid();
    let stored = send(&place, &job(JOB, "app:2"), "").ok();
    assert_ne!(place.uid(), before);
    place.assert_runs("app:2");
    place.namespace.finish_pods(JOB);
    let finished = place.job();
    for _ in 0..10 {
        // It never calls the Job up to date, since it never sees what it keeps as the wish.
        assert_ne!(image(&place.job()), image(&wish));
        let answer = send(&place, &job(JOB, "app:2"), "").ok();
        assert_eq!(answer["metadata"]["uid"], stored["metadata"]["uid"]);
        assert_eq!(place.job()["metadata"], finished["metadata"]);
    }
    place.assert_ran(2);
}

#[test]
fn a_dry_runs_answer_that_is_applied_changes_nothing_and_leaves_no_marker() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let (place, wish) = wished(&rejob);
    let before = place.uid();
    let mut applied = job(JOB, image(&wish));
    applied["metadata"]["annotations"] = json!({ MARKER: annotation(&wish, MARKER) });
    let answer = send(&place, &applied, "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_unmarked(&answer.body);
    assert_unmarked(&place.job());
    assert_eq!(place.uid(), before);
    place.assert_ran(1);
}
