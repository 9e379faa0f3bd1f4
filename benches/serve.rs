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

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 10;
const TURN: Duration = Duration::from_millis(500);

/// The targets: reviews a second, p99 of a review, review to floor, resident bytes when idle.
const MIN_RATE: f64 = 10_000.0;
const MAX_P99: Duration = Duration::from_millis(2);
const MAX_RATIO: f64 = 1.5;
const MAX_IDLE: u64 = 20 * 1024 * 1024;

fn main() {
    let server = Server::start();
    let idle = server.resident();
    let kinds = kinds();
    let size = kinds[REVIEW].bytes.len();
    println!("a review of {size} bytes with its headers, beside GET /livez as the floor");
    println!(
        "{:<25} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "", "a second", "p50", "p99", "max", "server's CPU"
    );
    // What one request waits where nothing else is going on, then what the server can take.
    let alone = measure(&server, &kinds, 1);
    let together = measure(&server, &kinds, CONNECTIONS);
    let loaded = server.resident();
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

/// A request that is sent again and again, and the status that answers it.
#[derive(Clone)]
struct Kind {
    name: &'static str,
    bytes: Vec<u8>,
    status: &'static str,
}

const FLOOR: usize = 0;
const RECEIVED: usize = 1;
const REVIEW: usize = 2;

fn kinds() -> [Kind; 3] {
    let floor = b"GET /livez HTTP/1.1\r\nhost: bench\r\n\r\n".to_vec();
    let review = review();
    let mut refused = review.clone();
    let body = refused.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    refused[body] = b'x';
    [("/livez", floor, "200"), ("its bytes", refused, "400"), ("review", review, "200")]
        .map(|(name, bytes, status)| Kind { name, bytes, status })
}

/// All kinds, in turns, on so many connections.
fn measure(server: &Server, kinds: &[Kind; 3], connections: usize) -> [Summary; 3] {
    let barrier = Arc::new(Barrier::new(connections));
    let threads: Vec<_> = (0..connections)
        .map(|index| {
            let pid = (index == 0).then(|| server.process.id());
            let (barrier, kinds) = (Arc::clone(&barrier), kinds.clone());
            let mut connection = server.connect();
            std::thread::spawn(move || {
                let mut results: [Measured; 3] = Default::default();
                for round in 0..=ROUNDS {
                    for (kind, result) in kinds.iter().zip(&mut results) {
                        barrier.wait();
                        let before = pid.map(processor_time).unwrap_or_default();
                        let mut turn = connection.turn(kind);
                        let after = pid.map(processor_time).unwrap_or_default();
                        turn.processor = after.saturating_sub(before);
                        // The first round warms up.
                        if round > 0 {
                            result.add(turn);
                        }
                    }
                }
                results
            })
        })
        .collect();
    let mut all: [Measured; 3] = Default::default();
    for thread in threads {
        for (all, one) in all.iter_mut().zip(thread.join().unwrap()) {
            all.latencies.extend(one.latencies);
            all.time = one.time;
            all.processor += one.processor;
        }
    }
    let summaries = all.map(Measured::summary);
    for (kind, summary) in kinds.iter().zip(&summaries) {
        let name = kind.name;
        let Summary { rate, p50, p99, max, processor } = summary;
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

/// The request with a captured review of 3 kB, without insignificant space, as the API server sends
/// it.
fn review() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases/reviews/captured/1.37/01-csa-create-nightly.json"
    );
    let review: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let body = review.to_string();
    format!(
        "POST /v1/policies/hash-name?timeout=10s HTTP/1.1\r\nHost: rejob.rejob.svc:443\r\n\
         User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n\
         Accept: application/json, */*\r\nContent-Type: application/json\r\n\
         Accept-Encoding: gzip\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    time: Duration,
    /// What the server's process used of the processors.
    processor: Duration,
}

struct Summary {
    rate: f64,
    p50: Duration,
    p99: Duration,
    max: Duration,
    /// Per request.
    processor: Duration,
}

impl Measured {
    fn add(&mut self, turn: Self) {
        self.latencies.extend(turn.latencies);
        self.time += turn.time;
        self.processor += turn.processor;
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn summary(mut self) -> Summary {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        Summary {
            rate: count as f64 / self.time.as_secs_f64(),
            p50: self.latencies[count / 2],
            p99: self.latencies[count * 99 / 100],
            max: self.latencies[count - 1],
            processor: self.processor.div_f64(count as f64),
        }
    }
}

/// What a process has used of the processors so far, in steps of 10 ms.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux has /proc");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // `utime` and `stime` of proc(5), the 14th and the 15th field; the name before is the 2nd.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}

/// One keep-alive connection.
struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends the request again and again for one turn.
    fn turn(&mut self, kind: &Kind) -> Measured {
        let start = Instant::now();
        let mut latencies = Vec::with_capacity(16 * 1024);
        let mut now = start;
        while now - start < TURN {
            self.exchange(kind);
            let after = Instant::now();
            latencies.push(after - now);
            now = after;
        }
        Measured { latencies, time: now - start, processor: Duration::ZERO }
    }

    fn exchange(&mut self, kind: &Kind) {
        self.stream.write_all(&kind.bytes).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            let received = &self.buffer[..filled];
            if let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = std::str::from_utf8(&received[..head]).unwrap();
                let status = text.strip_prefix("HTTP/1.1 ").and_then(|text| text.get(..3));
                assert_eq!(status, Some(kind.status), "{text}");
                let length = text.split_once("content-length: ").unwrap().1;
                let length: usize = length.split('\r').next().unwrap().parse().unwrap();
                if filled == head + 4 + length {
                    return;
                }
            }
        }
    }
}

/// The server under load.
struct Server {
    process: Child,
    address: String,
    tls: Arc<ClientConfig>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rejob"))
            .args(["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(["--drain-grace=0s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut after = |text: &str| {
            lines.find_map(|line| Some(line.unwrap().split_once(text)?.1.to_owned())).unwrap()
        };
        let address = after("https://").split(' ').next().unwrap().to_owned();
        let ca = after("its CA is ");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { process, address, tls: Arc::new(tls) }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        Connection { stream: StreamOwned::new(tls, stream), buffer: vec![0; 64 * 1024] }
    }

    /// Resident memory in bytes.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("resident memory is read from /proc, which Linux has");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
