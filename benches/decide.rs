//! What one decision costs, without server and network: reading a review, deciding, answering.
//!
//! The reviews are captured ones (`tests/cases/reviews/captured`). Each step is run in turns with
//! the others, so that whatever else the machine does falls on all; the fastest turn counts.
//!
//! `cargo bench --bench decide`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use rejob::decide::{Context, decide};
use rejob::job::TemplateHash;
use rejob::policy::PolicySet;
use rejob::review;

/// As the server: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TURNS: usize = 200;
const RUNS: u32 = 100;

fn main() {
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "review", "bytes", "read", "decide", "hash", "answer"
    );
    for (name, policy) in [
        ("01-csa-create-nightly", "hash-name"),
        ("01-csa-create-nightly", "replace"),
        ("02-csa-update-nightly", "replace"),
        ("08-ssa-update-nightly", "replace"),
    ] {
        bench(name, policy);
    }
}

fn bench(name: &str, policy: &str) {
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/reviews/captured/1.37");
    let file = captured.join(format!("{name}.json"));
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let body = value.to_string().into_bytes();
    let policies = PolicySet::builtin();
    let by = policies.get(policy).unwrap();
    let context = Context::default();
    let request = review::parse(&body).unwrap();
    let decision = decide(&request, by, &context);
    let mut best = [Duration::MAX; 4];
    for _ in 0..TURNS {
        let times = [
            time(|| drop(black_box(review::parse(black_box(&body))))),
            time(|| drop(black_box(decide(black_box(&request), by, &context)))),
            time(|| drop(black_box(TemplateHash::of(black_box(request.object.as_ref().unwrap()))))),
            time(|| drop(black_box(rejob::answer::answer("uid", black_box(&decision))))),
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
    }
    let [read, decided, hash, answer] = best.map(|best| best / RUNS);
    println!(
        "{:<34} {:>7} {read:>9.1?} {decided:>9.1?} {hash:>9.1?} {answer:>9.1?}",
        format!("{name}, {policy}"),
        body.len()
    );
}

fn time(run: impl Fn()) -> Duration {
    let start = Instant::now();
    for _ in 0..RUNS {
        run();
    }
    start.elapsed()
}
