//! rejob at half the load that it can take, for as long as one wants to watch it.
//!
//! First the reviews a second that eight connections get out of it; then half of that, with the
//! resident memory each minute; then the same half beside 10,000 idle connections, and beside
//! clients that never come to the end of their handshake, headers or body.
//!
//! `cargo bench --bench soak` (`REJOB_SOAK_MINUTES`, 10 by default). The limit of open files must be
//! above 10,500.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::load::{Connection, Pace, Request, Server, Summary, Target, measure, steady};

const CONNECTIONS: usize = 8;
const IDLE: usize = 10_000;
/// How many clients are slow in each way.
const SLOW: usize = 100;
const MINUTE: Duration = Duration::from_mins(1);

fn main() {
    let minutes = support::setting("REJOB_SOAK_MINUTES", 10);
    // Slow clients are let go on: they are to be there until the end.
    let server = Server::start(&[
        "--drain-grace=0s",
        "--max-connections=12000",
        "--handshake-timeout=5m",
        "--header-timeout=5m",
        "--idle-timeout=10m",
    ]);
    let target = &server.target;
    let request = Request::captured("/v1/policies/ttl", "01-csa-create-nightly.json");
    let pace = Pace { rounds: 10, turn: Duration::from_secs(1) };
    let full = measure(&[(target, &request)], CONNECTIONS, pace)[0];
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "", "a second", "p50", "p99", "max", "resident"
    );
    line("as much as it takes", &full, target);

    let half = full.rate / 2.0;
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| target.connect()).collect();
    let mut for_a_minute = |name: &str| {
        line(name, &steady(target, &request, &mut connections, half, MINUTE), target);
    };
    for minute in 1..=minutes {
        for_a_minute(&format!("half of it, minute {minute}"));
    }
    let idle: Vec<Connection> = (0..IDLE)
        .map(|_| {
            let mut connection = target.connect();
            connection.exchange(&request);
            connection
        })
        .collect();
    for_a_minute("beside 10,000 idle connections");
    drop(idle);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| be_slow(target, &request, &ended));
        for_a_minute("beside 300 slow clients");
        ended.store(true, Ordering::Relaxed);
    });
    for_a_minute("afterwards");
}

fn line(name: &str, measured: &Summary, target: &Target) {
    let Summary { rate, p50, p99, max, .. } = measured;
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let resident = target.resident() as f64 / 1e6;
    println!("{name:<34} {rate:>9.0} {p50:>9.1?} {p99:>9.1?} {max:>9.1?} {resident:>7.1} MB");
}

/// Sends a byte a second in the handshake, the headers and the body, on connections of their own. One
/// that the server has closed is opened anew.
fn be_slow(target: &Target, request: &Request, ended: &AtomicBool) {
    // The beginning of a ClientHello: a record that never ends.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 400]].concat();
    let body = request.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let begin_a_body = || {
        let mut connection = target.connect();
        connection.send(&request.bytes[..body]).map(|()| connection)
    };
    let open = || TcpStream::connect(&target.address).unwrap();
    let mut handshakes: Vec<_> = (0..SLOW).map(|_| (open(), 0)).collect();
    let mut headers: Vec<_> = (0..SLOW).map(|_| (target.connect(), 0)).collect();
    let mut bodies: Vec<_> = (0..SLOW).map(|_| (begin_a_body().unwrap(), body)).collect();
    while !ended.load(Ordering::Relaxed) {
        send_a_byte(&mut handshakes, &hello, TcpStream::write_all, || (open(), 0));
        send_a_byte(&mut headers, &request.bytes, Connection::send, || (target.connect(), 0));
        send_a_byte(&mut bodies, &request.bytes, Connection::send, || {
            (begin_a_body().unwrap(), body)
        });
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Sends the next byte on each connection, or opens it anew; with each is how much of it was sent.
fn send_a_byte<C>(
    connections: &mut [(C, usize)],
    bytes: &[u8],
    send: impl Fn(&mut C, &[u8]) -> io::Result<()>,
    open: impl Fn() -> (C, usize),
) {
    for one in connections {
        let gone = send(&mut one.0, &bytes[one.1..=one.1]).is_err();
        one.1 += 1;
        if gone {
            *one = open();
        }
    }
}
