//! Reviews a second and their latency, over TLS, beside the floor.
//!
//! Starts the built `rejob serve`, opens one connection, then eight, and posts a review of 3 kB on
//! each as fast as answers come. The floor is `GET /livez` on the same connections: what TLS, HTTP and two
//! processes on one machine cost without any decision. Between them stands a body of the review's size
//! that is refused at its first byte: what the bytes cost that are only received. All are measured in
//! turns of half a second, so that whatever else the machine does falls on all. The load comes from
//! this process, so on a small machine server and load share the processors.
//!
//! `cargo bench --bench serve`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::time::Duration;

use support::load::{Pace, Request, Server, Summary, Target, measure};

const CONNECTIONS: usize = 8;
const PACE: Pace = Pace { rounds: 10, turn: Duration::from_millis(500) };

/// The targets: reviews a second, p99 of a review, review to floor, resident bytes when idle.
const MIN_RATE: f64 = 10_000.0;
const MAX_P99: Duration = Duration::from_millis(2);
const MAX_RATIO: f64 = 1.5;
const MAX_IDLE: u64 = 20 * 1024 * 1024;

fn main() {
    let server = Server::start(&["--drain-grace=0s"]);
    let idle = server.target.resident();
    let kinds = kinds();
    let size = kinds[REVIEW].1.bytes.len();
    println!("a review of {size} bytes with its headers, beside GET /livez as the floor");
    println!(
        "{:<25} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "", "a second", "p50", "p99", "max", "server's CPU"
    );
    // What one request waits where nothing else is going on, then what the server can take.
    let alone = measured(&server.target, &kinds, 1);
    let together = measured(&server.target, &kinds, CONNECTIONS);
    let loaded = server.target.resident();
    drop(server);

    let review = &together[REVIEW];
    let to_floor = |kind: usize| {
        [&alone, &together].map(|all| all[kind].p50.as_secs_f64() / all[FLOOR].p50.as_secs_f64())
    };
    for (what, kind) in [("its bytes", RECEIVED), ("review", REVIEW)] {
        let [alone, together] = to_floor(kind);
        println!(
            "{what} / floor at p50: {alone:.2} alone, {together:.2} with {CONNECTIONS} connections"
        );
    }
    let [alone, together] = to_floor(REVIEW);
    println!("resident: {:.1} MB idle, {:.1} MB after the load", mega(idle), mega(loaded));
    for (what, met) in [
        ("10,000 reviews a second", review.rate >= MIN_RATE),
        ("p99 under 2 ms", review.p99 < MAX_P99),
        ("at most 1.5 times the floor, alone", alone <= MAX_RATIO),
        ("at most 1.5 times the floor, with all connections", together <= MAX_RATIO),
        ("under 20 MB resident when idle", idle < MAX_IDLE),
    ] {
        println!("{}  {what}", if met { "met    " } else { "NOT MET" });
    }
}

const FLOOR: usize = 0;
const RECEIVED: usize = 1;
const REVIEW: usize = 2;

fn kinds() -> [(&'static str, Request); 3] {
    let bytes = b"GET /livez HTTP/1.1\r\nhost: bench\r\n\r\n".to_vec();
    let floor = Request { bytes, status: "200" };
    let review = Request::captured("/v1/policies/hash-name", "01-csa-create-nightly.json");
    let mut bytes = review.bytes.clone();
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    bytes[body] = b'x';
    let refused = Request { bytes, status: "400" };
    [("/livez", floor), ("its bytes", refused), ("review", review)]
}

/// All kinds, in turns, on so many connections.
fn measured(
    server: &Target,
    kinds: &[(&'static str, Request)],
    connections: usize,
) -> Vec<Summary> {
    let subjects: Vec<_> = kinds.iter().map(|(_, request)| (server, request)).collect();
    let summaries = measure(&subjects, connections, PACE);
    for ((name, _), summary) in kinds.iter().zip(&summaries) {
        let Summary { rate, p50, p99, max, processor, .. } = summary;
        let name =
            format!("{name}, {connections} connection{}", if connections == 1 { "" } else { "s" });
        println!(
            "{name:<25} {rate:>10.0} {p50:>10.1?} {p99:>10.1?} {max:>10.1?} {processor:>12.1?}"
        );
    }
    summaries
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
