//! Admission that takes its time over creations loses no Job: there is time for the replacement, or it
//! is refused before anything is deleted, and the client hears what to do.

use std::time::Duration;

use serde_json::Value;

use support::hook::{self, Hook};
use support::manifest::{annotated, annotation, image};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::user::Answer;
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked, uid_of};

/// How long the hook takes over a Job, in milliseconds.
const TAKES: &str = "hook.example.com/takes";

/// A webhook that takes as long over a creation as the Job says.
fn slow(plane: &ControlPlane, rejob: &Rejob<'_>) -> Hook {
    let takes = |job: &Value| {
        let text = annotation(job, TAKES);
        Duration::from_millis(text.map_or(0, |text| text.parse().unwrap()))
    };
    let options = hook::Options {
        operations: &["CREATE"],
        takes,
        failure_policy: "Ignore",
        ..hook::Options::default()
    };
    Hook::with(plane, rejob, &options)
}

/// The Job, started in no time, and what changes it to one that takes so long to create.
fn deployed(rejob: &Rejob<'_>, client: Client, milliseconds: u32) -> (Place, Value) {
    let place = Place::new(rejob.namespace("replace"));
    place.send(client, &Place::manifest("app:1"));
    place.namespace.started_pods(JOB);
    (place, annotated(Place::manifest("app:2"), TAKES, &milliseconds.to_string()))
}

/// The new Job runs, or the old one does as before; whether it is the new one.
#[track_caller]
fn assert_one_runs(place: &Place, old: &Value, answer: &Answer, what: &str) -> bool {
    let said = format!("{what}: {} {} {:?}", answer.status, answer.message(), answer.warnings);
    let job = place.namespace.job(JOB).unwrap_or_else(|| panic!("the Job is lost: {said}"));
    assert_unmarked(&job);
    let replaced = answer.status < 300 || (answer.is_lost() && image(&job) == "app:2");
    if replaced {
        assert_ne!(uid_of(&job), uid_of(old), "{said}");
        place.assert_runs("app:2");
    } else {
        assert_eq!((uid_of(&job), image(&job)), (uid_of(old), "app:1"), "{said}");
        assert_eq!(place.namespace.pods(&uid_of(old)).len(), 1, "{said}");
    }
    replaced
}

/// Under a `timeoutSeconds`, creations that take that long: replaced, or refused with the advice,
/// which stands in a warning as well, since the message of a turn may be lost.
fn replaced_or_advised(timeout_seconds: u32, surely_replaced: Duration) {
    let plane = ControlPlane::shared();
    let rejob = Rejob::start(&plane, &Options { timeout_seconds, ..Options::default() });
    let _hook = slow(&plane, &rejob);
    std::thread::scope(|scope| {
        for milliseconds in [500, 2500, 4000, 5500, 9000] {
            for client in [Client::MergePatch, Client::ForcedApply] {
                let rejob = &rejob;
                scope.spawn(move || {
                    let what = format!("{client:?}, {milliseconds} ms of {timeout_seconds} s");
                    let (place, changed) = deployed(rejob, client, milliseconds);
                    let old = place.job();
                    let there_is_time =
                        Duration::from_millis(milliseconds.into()) <= surely_replaced;
                    // A machine that is busy with other things may need another try.
                    wait::until(&format!("{what}: it is replaced"), || {
                        let answer = place.request(client, &changed, "");
                        if assert_one_runs(&place, &old, &answer, &what) {
                            return Some(());
                        }
                        let advice = "timeoutSeconds";
                        assert!(answer.message().contains(advice), "{what}: {}", answer.body);
                        let warned = answer.warnings.iter().any(|warning| warning.contains(advice));
                        assert!(warned, "{what}: {:?}", answer.warnings);
                        (!there_is_time).then_some(())
                    });
                });
            }
        }
    });
}

#[test]
fn slow_creations_within_ten_seconds() {
    replaced_or_advised(10, Duration::from_millis(500));
}

#[test]
fn slow_creations_within_thirty_seconds() {
    replaced_or_advised(30, Duration::from_secs(4));
}

/// The most that a request may ask for, in seconds.
const PLENTY: u32 = 34;

/// `?timeout=` of the client's own request: all admission and all turns are to fit into it.
#[test]
fn a_client_with_little_time_loses_no_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let _hook = slow(&plane, &rejob);
    let clients = [Client::MergePatch, Client::Put, Client::ForcedApply];
    let mut tried = Vec::new();
    std::thread::scope(|scope| {
        let mut requests = Vec::new();
        for timeout in [1, 3, 5, PLENTY] {
            for milliseconds in [0, 500, 1000, 2500] {
                for client in clients {
                    let rejob = &rejob;
                    requests.push(scope.spawn(move || {
                        let what = format!("{client:?}, {milliseconds} ms of {timeout} s");
                        let (place, changed) = deployed(rejob, client, milliseconds);
                        let old = place.job();
                        let answer =
                            place.request(client, &changed, &format!("&timeout={timeout}s"));
                        let plenty = timeout == PLENTY && milliseconds == 0;
                        (place, old, answer, what, plenty)
                    }));
                }
            }
        }
        tried.extend(requests.into_iter().map(|request| request.join().unwrap()));
    });
    // Only when all have ended: nothing goes on behind a client that was told no.
    for (place, old, answer, what, plenty) in &tried {
        let replaced = assert_one_runs(place, old, answer, what);
        assert!(replaced || !plenty, "{what}: there was time: {}", answer.body);
    }
}
