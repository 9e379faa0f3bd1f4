//! What a replacement costs a client, on a real control plane.
//!
//! Three Jobs, in turns, so that whatever else the machine does falls on all of them:
//! - *replace*: one strategic merge PATCH of the image, as `kubectl apply` sends it: rejob checks,
//!   deletes and creates inside the request, and the API server runs admission twice;
//! - *label*: the same PATCH of a label, which rejob only looks at;
//! - *by hand*: what the client would do without rejob: DELETE, GET until the Job is gone, POST.
//!
//! With them *look*: the LIST that rejob's reaper sends to find dormant Jobs.
//!
//! All are measured twice: with no other Job in the cluster, and beside 10,000. These are suspended
//! and left to another controller than Kubernetes' own, so nothing goes on in them.
//!
//! `cargo bench --bench replace` (`REJOB_BENCH_ROUNDS` rounds, 50 by default; the control plane is
//! that of the tests)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::time::{Duration, Instant};

use rejob::job::keys;
use serde_json::{Value, json};
use support::manifest::job;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;

/// Rounds that are not counted: connections are made, caches are filled.
const WARM_UP: usize = 3;

/// The other Jobs of the second measurement.
const OTHERS: usize = 10_000;

fn main() {
    let rounds = support::setting("REJOB_BENCH_ROUNDS", 50);
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let opted_in = rejob.namespace("replace");
    let without = rejob.unlabeled_namespace();
    for namespace in [&opted_in, &without] {
        namespace.create_job(&job("a", "app:0")).ok();
    }
    opted_in.create_job(&job("b", "app:0")).ok();

    println!("{rounds} rounds; milliseconds");
    println!(
        "{:<10} {:>11} {:>8} {:>8} {:>8} {:>12} {:>12}",
        "", "other Jobs", "median", "p90", "max", "to label", "to by hand"
    );
    measure(&plane, &opted_in, &without, rounds, 0);
    create_others(&plane.namespace("others", &[]));
    measure(&plane, &opted_in, &without, rounds, OTHERS);
}

fn measure(
    plane: &ControlPlane,
    opted_in: &Namespace,
    without: &Namespace,
    rounds: usize,
    others: usize,
) {
    let admin = plane.admin();
    let dormant =
        format!("/apis/batch/v1/jobs?labelSelector={}", keys::DORMANT.replace('/', "%2F"));
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..WARM_UP + rounds {
        // Both measurements change the same Jobs.
        let change = format!("{others}-{round}");
        let image = format!("app:{change}");
        let measured = [
            timed(|| patch(opted_in, "b", &labels(&change))),
            timed(|| patch(opted_in, "a", &template(&image))),
            timed(|| recreate(without, "a", &image)),
            timed(|| drop(admin.get(&dormant).ok())),
        ];
        if round >= WARM_UP {
            for (times, time) in times.iter_mut().zip(measured) {
                times.push(time);
            }
        }
    }
    let summaries = times.map(Summary::of);
    let [label, _, by_hand, _] = &summaries;
    for (name, summary) in ["label", "replace", "by hand", "look"].into_iter().zip(&summaries) {
        let Summary { median, p90, max } = summary;
        let [to_label, to_by_hand] = [label, by_hand].map(|other| median / other.median);
        println!(
            "{name:<10} {others:>11} {median:>8.1} {p90:>8.1} {max:>8.1} {to_label:>11.1}x \
             {to_by_hand:>11.1}x"
        );
    }
}

/// Creates [`OTHERS`] Jobs, on a few connections.
fn create_others(namespace: &Namespace) {
    let connections = 8;
    std::thread::scope(|scope| {
        for first in 0..connections {
            scope.spawn(move || {
                for number in (first..OTHERS).step_by(connections) {
                    let mut other = job(&format!("other-{number}"), "app:0");
                    other["spec"]["suspend"] = true.into();
                    other["spec"]["managedBy"] = "example.com/nobody".into();
                    namespace.create_job(&other).ok();
                }
            });
        }
    });
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn template(image: &str) -> Value {
    let containers = json!([{ "name": "app", "image": image }]);
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

fn labels(change: &str) -> Value {
    json!({ "metadata": { "labels": { "change": change } } })
}

fn patch(namespace: &Namespace, name: &str, change: &Value) {
    let path = format!("{}?fieldManager=kubectl-client-side-apply", namespace.job_path(name));
    namespace.user().patch("strategic-merge", &path, change).ok();
}

fn recreate(namespace: &Namespace, name: &str, image: &str) {
    let user = namespace.user();
    let path = namespace.job_path(name);
    user.delete(&path, &json!({ "propagationPolicy": "Background" })).ok();
    while user.get(&path).status != 404 {}
    namespace.create_job(&job(name, image)).ok();
}

/// In milliseconds.
struct Summary {
    median: f64,
    p90: f64,
    max: f64,
}

impl Summary {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self { median: ms(at(50)), p90: ms(at(90)), max: ms(at(100)) }
    }
}
