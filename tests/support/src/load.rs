//! Load on a webhook: keep-alive connections that send one request after another.
//!
//! Several subjects are measured in turns, so that whatever else the machine does falls on all of
//! them. The load comes from this process, so on a small machine server and load share the
//! processors.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::paths;

/// A server under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its process.
    pub pid: u32,
    /// Address and port.
    pub address: String,
    tls: Arc<ClientConfig>,
}

/// A request that is sent again and again, and the status that answers it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// The status, three digits.
    pub status: &'static str,
}

/// One server with one request.
pub type Subject<'a> = (&'a Target, &'a Request);

/// How long and how often each subject is measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The rounds; one more comes before them, to warm up.
    pub rounds: usize,
    /// How long a subject has its turn in a round.
    pub turn: Duration,
}

/// What was measured of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// The answers.
    pub count: usize,
    /// Answers a second.
    pub rate: f64,
    /// The median latency.
    pub p50: Duration,
    /// The latency that one in a hundred exceeds; of few answers no more than one of the slowest.
    pub p99: Duration,
    /// The longest latency.
    pub max: Duration,
    /// What the server's process used of the processors, per request.
    pub processor: Duration,
}

impl Request {
    /// A captured review of the tests' cases.
    pub fn captured(path: &str, name: &str) -> Self {
        let file = paths::sources().join("tests/cases/reviews/captured/1.37").join(name);
        let review = std::fs::read(&file).expect("read a captured review");
        Self::review(path, &serde_json::from_slice(&review).unwrap())
    }

    /// A review as the API server posts it, without insignificant space.
    pub fn review(path: &str, review: &serde_json::Value) -> Self {
        let body = review.to_string();
        let head = format!(
            "POST {path}?timeout=10s HTTP/1.1\r\nHost: rejob.rejob.svc:443\r\n\
             User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n\
             Accept: application/json, */*\r\nContent-Type: application/json\r\n\
             Accept-Encoding: gzip\r\n\r\n",
            body.len()
        );
        Self { bytes: (head + &body).into_bytes(), status: "200" }
    }
}

impl Target {
    /// The server of that process at `127.0.0.1:PORT`; `ca` is the file of what signed its certificate.
    pub fn new(pid: u32, address: &str, ca: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { pid, address: address.to_owned(), tls: Arc::new(tls) }
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        Connection { stream: StreamOwned::new(tls, stream), buffer: vec![0; 64 * 1024] }
    }

    /// The JSON that answers the request, on a connection of its own.
    pub fn answer(&self, request: &Request) -> serde_json::Value {
        let mut connection = self.connect();
        let answer = connection.exchange(request);
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        serde_json::from_slice(&answer[head + 4..]).unwrap()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.expect("resident memory is read from /proc, which Linux has");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What the process has used of the processors so far, in steps of 10 ms.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        let stat = stat.expect("processor time is read from /proc, which Linux has");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // `utime` and `stime` of proc(5), the 14th and the 15th field; the name before is the 2nd.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(10 * ticks)
    }
}

/// `rejob serve` without a cluster, under the certificate that it makes.
#[derive(Debug)]
pub struct Server {
    /// What it is called by.
    pub target: Target,
    process: Child,
}

impl Server {
    /// Starts it with these flags beside its addresses. Its log goes nowhere.
    pub fn start(flags: &[&str]) -> Self {
        let mut process = Command::new(paths::rejob())
            .args(["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut after = |text: &str| {
            lines.find_map(|line| Some(line.unwrap().split_once(text)?.1.to_owned())).unwrap()
        };
        let address = after("https://").split(' ').next().unwrap().to_owned();
        let target = Target::new(process.id(), &address, &after("its CA is "));
        Self { target, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a part of a request.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub fn send(&mut self, part: &[u8]) -> io::Result<()> {
        self.stream.write_all(part)?;
        self.stream.flush()
    }

    /// Sends the request, and reads the answer to its end: it, with its head.
    pub fn exchange(&mut self, request: &Request) -> &[u8] {
        self.stream.write_all(&request.bytes).unwrap();
        let mut filled = 0;
        let mut whole = None;
        while whole != Some(filled) {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            whole = whole.or_else(|| length(&self.buffer[..filled], request.status));
        }
        &self.buffer[..filled]
    }
}

/// The length of an answer with its head, once the head is there.
fn length(received: &[u8], status: &str) -> Option<usize> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&received[..head]).unwrap().to_ascii_lowercase();
    assert_eq!(text.get(9..12), Some(status), "{}", String::from_utf8_lossy(received));
    let length = text.split_once("content-length: ").unwrap().1;
    Some(head + 4 + length.split('\r').next().unwrap().parse::<usize>().unwrap())
}

/// Measures all subjects in turns, on so many connections each.
pub fn measure(subjects: &[Subject<'_>], connections: usize, pace: Pace) -> Vec<Summary> {
    let barrier = Barrier::new(connections);
    let mut all: Vec<Measured> = subjects.iter().map(|_| Measured::default()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                let barrier = &barrier;
                scope.spawn(move || one_connection(subjects, barrier, index == 0, pace))
            })
            .collect();
        for thread in threads {
            for (all, one) in all.iter_mut().zip(thread.join().unwrap()) {
                all.latencies.extend(one.latencies);
                all.time = all.time.max(one.time);
                all.processor += one.processor;
            }
        }
    });
    all.into_iter().map(Measured::summary).collect()
}

/// What one of the connections to each subject measures; the first also reads the processor time.
fn one_connection(
    subjects: &[Subject<'_>],
    barrier: &Barrier,
    is_first: bool,
    pace: Pace,
) -> Vec<Measured> {
    let mut connections: Vec<_> = subjects.iter().map(|(target, _)| target.connect()).collect();
    let mut results: Vec<_> = subjects.iter().map(|_| Measured::default()).collect();
    for round in 0..=pace.rounds {
        for turn in 0..subjects.len() {
            // Another one is first in each round.
            let index = (round + turn) % subjects.len();
            let (target, request) = subjects[index];
            let used = || if is_first { target.processor_time() } else { Duration::ZERO };
            barrier.wait();
            let before = used();
            barrier.wait();
            let mut turn = Measured::turn(&mut connections[index], request, pace.turn);
            barrier.wait();
            turn.processor = used().saturating_sub(before);
            if round > 0 {
                results[index].add(turn);
            }
        }
    }
    results
}

/// Sends a request at a steady pace on each of these connections for that long: so many a second
/// on all together. What waits because an answer is late counts as waiting.
pub fn steady(
    target: &Target,
    request: &Request,
    connections: &mut [Connection],
    rate: f64,
    time: Duration,
) -> Summary {
    let used = target.processor_time();
    let begun = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "a few connections")]
    let pause = Duration::from_secs_f64(connections.len() as f64 / rate);
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .map(|connection| {
                scope.spawn(move || {
                    let mut latencies = Vec::new();
                    let mut due = begun;
                    while due < begun + time {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        connection.exchange(request);
                        latencies.push(due.elapsed());
                        due += pause;
                    }
                    latencies
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let processor = target.processor_time().saturating_sub(used);
    Measured { latencies, time: begun.elapsed(), processor }.summary()
}

#[derive(Debug, Default)]
struct Measured {
    latencies: Vec<Duration>,
    time: Duration,
    processor: Duration,
}

impl Measured {
    /// Sends the request again and again for one turn.
    fn turn(connection: &mut Connection, request: &Request, turn: Duration) -> Self {
        let start = Instant::now();
        let mut latencies = Vec::with_capacity(16 * 1024);
        let mut now = start;
        while now - start < turn {
            connection.exchange(request);
            let after = Instant::now();
            latencies.push(after - now);
            now = after;
        }
        Self { latencies, time: now - start, processor: Duration::ZERO }
    }

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
            count,
            rate: count as f64 / self.time.as_secs_f64(),
            p50: self.latencies[count / 2],
            p99: self.latencies[count * 99 / 100],
            max: self.latencies[count - 1],
            processor: self.processor.div_f64(count as f64),
        }
    }
}
