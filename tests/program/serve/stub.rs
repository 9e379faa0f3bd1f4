//! A server in this process, with a reviewer that does what the policy's name says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rejob::certs::{AcceptedTokens, CertResolver, self_signed};
use rejob::metrics::{Format, Metrics};
use rejob::server::admin::ReadinessChecks;
use rejob::server::{Call, Limits, ReviewError, Reviewer, Server, Setup, tls};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Client, eventually, post};

/// Answers by policy: `ok` with the body's length, `echo` with the body, `strict` only JSON objects, `deadline` with the
/// milliseconds it has, `slow` when the gate opens, `left` when the client has hung up, `hang` never,
/// `panic` and `late-panic` not.
#[derive(Debug)]
pub struct Stub {
    pub started: AtomicUsize,
    pub finished: AtomicUsize,
    pub gate: Semaphore,
}

impl Reviewer for Stub {
    async fn review(&self, policy: &str, body: Bytes, call: Call) -> Result<Bytes, ReviewError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let answer = match policy {
            "ok" => format!("{{\"length\":{}}}", body.len()),
            "echo" => String::from_utf8_lossy(&body).into_owned(),
            "strict" => match serde_json::from_slice::<serde_json::Value>(&body) {
                Ok(serde_json::Value::Object(_)) => "{}".to_owned(),
                Ok(_) => return Err(ReviewError::NotAReview("not an object".to_owned())),
                Err(error) => return Err(ReviewError::NotAReview(error.to_string())),
            },
            "deadline" => (call.deadline - Instant::now()).as_millis().to_string(),
            "slow" => {
                self.gate.acquire().await.unwrap().forget();
                "{}".to_owned()
            }
            "left" => {
                call.abandoned.cancelled().await;
                "{}".to_owned()
            }
            "hang" => std::future::pending().await,
            "panic" => panic!("asked to"),
            "late-panic" => {
                tokio::task::yield_now().await;
                panic!("asked to");
            }
            _ => {
                return Err(ReviewError::UnknownPolicy {
                    name: policy.to_owned(),
                    known: "ok, slow".to_owned(),
                });
            }
        };
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(answer.into())
    }
}

/// The running server.
pub struct TestServer {
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    pub ca_pem: String,
    pub stub: Arc<Stub>,
    pub metrics: Metrics,
    stop: Option<oneshot::Sender<()>>,
    pub running: JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(Limits::default(), AcceptedTokens::not_required()).await
    }

    pub async fn limited(limits: Limits) -> Self {
        Self::with(limits, AcceptedTokens::not_required()).await
    }

    pub async fn with(limits: Limits, tokens: AcceptedTokens) -> Self {
        let issued = self_signed(&["127.0.0.1"]).unwrap();
        let slot = Arc::new(CertResolver::new(issued.pair));
        let tls = tls::config(slot, Arc::new(rustls::server::NoClientAuth)).unwrap();
        let metrics = Metrics::new();
        let stub = Arc::new(Stub {
            started: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let server = Server::bind(Setup {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin_listen: "127.0.0.1:0".parse().unwrap(),
            tls: Arc::new(tls),
            limits,
            tokens,
            readiness: ReadinessChecks::default(),
            metrics: metrics.clone(),
            reviewer: Arc::clone(&stub),
        })
        .await
        .unwrap();
        let (webhook, admin) = server.addresses().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let (ca_pem, stop) = (issued.ca_pem, Some(stop));
        Self { webhook, admin, ca_pem, stub, metrics, stop, running }
    }

    pub async fn connect(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    pub async fn try_connect(&self) -> std::io::Result<Client> {
        Client::tls(self.webhook, &self.ca_pem).await
    }

    /// A client whose review by that policy has begun, as the one of that number.
    pub async fn reviewing(&self, policy: &str, number: usize) -> Client {
        let mut client = self.connect().await;
        client.send(post(&format!("/v1/policies/{policy}"), "{}")).await.unwrap();
        self.started(number).await;
        client
    }

    pub async fn admin(&self, path: &str) -> (u16, String) {
        let response = Client::plain(self.admin).await.unwrap().get(path).await;
        (response.status, response.body)
    }

    /// Asks the server to end, as SIGTERM does.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until as many reviews have begun.
    pub async fn started(&self, count: usize) {
        eventually("the reviews have begun", || async {
            self.stub.started.load(Ordering::SeqCst) >= count
        })
        .await;
    }

    /// Waits until as many reviews have ended.
    pub async fn finished(&self, count: usize) {
        eventually("the reviews have ended", || async {
            self.stub.finished.load(Ordering::SeqCst) == count
        })
        .await;
    }

    /// Waits until a metric has a value.
    pub async fn metric(&self, sample: &str, value: u64) {
        let line = format!("{sample} {value}");
        eventually(&line, || async {
            self.metrics.exposition(Format::Prometheus).lines().any(|have| have == line)
        })
        .await;
    }

    /// The server still answers.
    pub async fn is_fine(&self) {
        let response = self.connect().await.post("/v1/policies/ok", "{}").await;
        assert_eq!((response.status, response.body.as_str()), (200, "{\"length\":2}"));
    }
}
