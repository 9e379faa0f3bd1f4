//! rejob beside two webhooks as a day's work gives them: one on kube's admission types and axum, one
//! on controller-runtime. All three are under the same load in turns of half a second.
//!
//! Each of them answers a CREATE with a patch that gives the Job a TTL and its template's hash, and
//! lets an UPDATE pass without one, having compared the templates: the updates here change nothing.
//! Each writes a line of JSON per review. rejob has no cluster here, as the others have none: what
//! is measured is the review.
//!
//! `cargo bench --bench peers` (`REJOB_BENCH_ROUNDS` rounds, 10 by default; takes Go, and builds both
//! peers once)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

mod reviews;
mod servers;

use std::time::Duration;

use support::load::{Pace, Summary, measure};

use servers::Server;

fn main() {
    let rounds = support::setting("REJOB_BENCH_ROUNDS", 10);
    let pace = Pace { rounds, turn: Duration::from_millis(500) };
    let files = tempfile::tempdir().unwrap();
    let servers = Server::all(files.path());
    let idle: Vec<_> = servers.iter().map(|server| server.target.resident()).collect();
    println!(
        "{:<16} {:>5} {:<26} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>9}",
        "review", "conn.", "webhook", "a second", "p50", "p99", "CPU", "x CPU", "x p99", "resident"
    );
    let mut goals = Vec::new();
    for review in reviews::all() {
        for server in &servers {
            let answer = server.target.answer(&review.request(server.path));
            review.check(server.name, &answer);
        }
        for connections in [1, 8, 64] {
            if connections > review.most_connections {
                continue;
            }
            let requests: Vec<_> =
                servers.iter().map(|server| review.request(server.path)).collect();
            let subjects: Vec<_> =
                servers.iter().map(|server| &server.target).zip(&requests).collect();
            let measured = measure(&subjects, connections, pace);
            for (server, summary) in servers.iter().zip(&measured) {
                line(review.name, connections, server, summary, &measured[0]);
            }
            goals.extend(judged(review.name, connections, &measured));
        }
    }
    for (server, idle) in servers.iter().zip(idle) {
        println!("{}: {:.1} MB resident before the load", server.name, mega(idle));
    }
    for (goal, is_met) in goals {
        println!("{}  {goal}", if is_met { "met    " } else { "NOT MET" });
    }
}

/// The goals for a review on so many connections, and whether they are met.
fn judged(review: &str, connections: usize, measured: &[Summary]) -> Vec<(String, bool)> {
    let [rejob, kube_rs, controller_runtime] = measured else { unreachable!("three webhooks") };
    let goal =
        |what: &str, is_met| (format!("{review}, {connections} connections: {what}"), is_met);
    match connections {
        8 => vec![
            goal(
                "a third of the kube-rs webhook's processor time",
                rejob.processor * 3 <= kube_rs.processor,
            ),
            goal(
                "a tenth of the controller-runtime webhook's processor time",
                rejob.processor * 10 <= controller_runtime.processor,
            ),
        ],
        64 => {
            let both = p99(rejob).zip(p99(kube_rs));
            let is_met = both.is_some_and(|(rejob, kube_rs)| rejob * 4 <= kube_rs);
            vec![goal("a quarter of the kube-rs webhook's p99", is_met)]
        }
        _ => Vec::new(),
    }
}

/// The p99; not of fewer than 1,000 answers, where it is one of the few slowest.
fn p99(measured: &Summary) -> Option<Duration> {
    (measured.count >= 1_000).then_some(measured.p99)
}

fn line(review: &str, connections: usize, server: &Server, measured: &Summary, rejob: &Summary) {
    let Summary { rate, p50, processor, .. } = measured;
    let ratio = |one: &Duration, other: &Duration| one.as_secs_f64() / other.as_secs_f64();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let [own, of_rejob] = [measured, rejob].map(p99);
    let times = own.zip(of_rejob).map(|(own, rejob)| format!("{:.2}", ratio(&own, &rejob)));
    let [own, times] = [own.map(|own| format!("{own:.1?}")), times].map(or_dash);
    println!(
        "{review:<16} {connections:>5} {:<26} {rate:>9.0} {p50:>9.1?} {own:>9} \
         {processor:>9.1?} {:>7.2} {times:>7} {:>6.0} MB",
        server.name,
        ratio(processor, &rejob.processor),
        mega(server.target.resident()),
    );
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
