//! Hundreds of requests for one Job do not keep the others from being deployed.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use support::hook::{self, Hook};
use support::manifest::{annotated, annotation, image, job};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::concurrency::change;
use super::deploy::{JOB, Place, assert_unmarked};

const CROWD: usize = 400;
const OTHERS: usize = 10;

/// A Job with this annotation is not created, not even in a dry run, while [`HELD`] says so.
const HOLD: &str = "hook.example.com/hold";
static HELD: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn hold(held: bool) {
    *HELD.0.lock().unwrap() = held;
    HELD.1.notify_all();
}

fn takes(job: &Value) -> Duration {
    if annotation(job, HOLD).is_some() {
        drop(HELD.1.wait_while(HELD.0.lock().unwrap(), |held| *held).unwrap());
    }
    Duration::ZERO
}

/// Lets the crowd go, also when the test fails.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        hold(false);
    }
}

fn is_told_to_come_back(answer: &Answer) -> bool {
    answer.status == 429
        && answer.message().contains("16 requests for this Job are being worked on")
        && answer.retry_after.as_deref() == Some("2")
}

#[test]
fn ten_deploys_elsewhere_succeed_while_four_hundred_change_one_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let operations = &["CREATE"];
    let options = hook::Options { operations, takes, ..hook::Options::default() };
    let _hook = Hook::with(&plane, &rejob, &options);
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(&annotated(job(JOB, "app:0"), HOLD, "yes")).ok();
    place.namespace.started_pods(JOB);
    // The first half are other Jobs of the same namespace, the second half are elsewhere.
    let namespaces: Vec<_> = (0..OTHERS)
        .map(|n| if n < 5 { place.namespace.clone() } else { rejob.namespace("replace") })
        .collect();
    let name = |n: usize| format!("other-{n}");
    for (n, namespace) in namespaces.iter().enumerate() {
        namespace.create_job(&job(&name(n), "app:0")).ok();
        namespace.started_pods(&name(n));
    }

    hold(true);
    let told = Mutex::new(Vec::<Answer>::new());
    std::thread::scope(|scope| {
        let _release = Release;
        for n in 1..=CROWD {
            let (place, told) = (&place, &told);
            scope.spawn(move || {
                let answer = change(&place.namespace, 0, "crowd", JOB, &format!("app:{n}"));
                told.lock().unwrap().push(answer);
            });
        }
        wait::until("the crowd is told to come back", || {
            told.lock().unwrap().iter().any(is_told_to_come_back).then_some(())
        });
        for (n, namespace) in namespaces.iter().enumerate() {
            let answer = change(namespace, n, "deployer", &name(n), "app:1");
            let (status, message) = (answer.status, answer.message());
            assert!(matches!(status, 200 | 201), "{} by {}: {status} {message}", name(n), n % 4);
            assert_eq!(image(&answer.body), "app:1");
            assert_unmarked(&answer.body);
        }
    });
    change(&place.namespace, 2, "last", JOB, "app:last").ok();
    assert_eq!(image(&place.job()), "app:last");
    assert_unmarked(&place.job());
}
