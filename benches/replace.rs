//! What a replacement costs a client, on a real control plane.
//!
//! Three Jobs, in turns, so that whatever else the machine does falls on all of them:
//! - *replace*: one strategic merge PATCH of the image, as `kubectl apply` sends it: rejob checks,
//!   deletes and creates inside the request, and the API server runs admission twice;
//! - *label*: the same PATCH of a label, which rejob only looks at;
//! - *by hand*: what the client would do without rejob: DELETE, GET until the Job is gone, POST.
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

use serde_json::{Value, json};
use support::manifest::job;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;

/// Rounds that are not counted: connections are made, caches are filled.
const WARM_UP: usize = 3;

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

    let mut replace = Vec::new();
    let mut label = Vec::new();
    let mut by_hand = Vec::new();
    for round in 0..WARM_UP + rounds {
        let image = format!("app:{}", round + 1);
        let measured = [
            (&mut replace, timed(|| patch(&opted_in, "a", &template(&image)))),
            (&mut label, timed(|| patch(&opted_in, "b", &labels(round)))),
            (&mut by_hand, timed(|| recreate(&without, "a", &image))),
        ];
        for (times, time) in measured {
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }

    let label = Summary::of(label);
    println!("{rounds} rounds; milliseconds");
    println!("{:<10} {:>8} {:>8} {:>8} {:>12}", "", "median", "p90", "max", "to label");
    for (name, summary) in
        [("label", &label), ("replace", &Summary::of(replace)), ("by hand", &Summary::of(by_hand))]
    {
        let ratio = summary.median / label.median;
        let Summary { median, p90, max } = summary;
        println!("{name:<10} {median:>8.1} {p90:>8.1} {max:>8.1} {ratio:>11.1}x");
    }
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

fn labels(round: usize) -> Value {
    json!({ "metadata": { "labels": { "round": round.to_string() } } })
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
