//! A proxy between rejob and the API server, which makes one call of a replacement fail.
//!
//! A call is told by its method, path and body, so that a test names it by what it is for. A fault is
//! armed for a namespace and happens once, but for [`Fault::Always`]; every other call goes through as it
//! is, with the caller's own credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::plane::ControlPlane;
use super::tls;
use super::user::{User, runtime};

/// A call of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// GET of the Namespace.
    OptIn,
    /// SubjectAccessReview: may the user delete the Job?
    MayDelete,
    /// SubjectAccessReview: may the user create Jobs?
    MayCreate,
    /// Dry run of the new Job under another name.
    Probe,
    /// Dry run of the dormant Job under another name.
    ProbeDormant,
    /// Dry run of the new Job under its own name.
    DryRun,
    /// Dry run of the dormant Job under its own name.
    DryRunDormant,
    /// The first list of the old Job's Pods since the fault was armed.
    Pods,
    /// Each later one: the look right before the deletion.
    PodsAgain,
    /// The deletion of the old Job.
    Delete,
    /// The creation of the dormant Job.
    Create,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is held until rejob has given it up, and carried out then.
    Late,
    /// As [`Self::Late`], but only when the test lets it go ([`ApiProxy::let_go`]).
    Stray,
    /// It is held until the test lets it go, and carried out and answered then.
    Held,
    /// The connection is cut; the call does not reach the API server.
    CutBefore,
    /// It is carried out, and the connection is cut instead of the answer.
    CutAfter,
    /// It is answered with that status and does not reach the API server.
    Status(u16),
    /// As [`Self::Status`], each time, until the test lets it go.
    Always(u16),
}

/// The proxy; dropping it ends it.
pub struct ApiProxy {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    upstream: kube::Client,
    armed: Mutex<BTreeMap<String, Armed>>,
    // Namespaces in which a late call has not been carried out yet.
    late: Mutex<BTreeSet<String>>,
    // What a call of a namespace that is held waits for; dropping it lets it go.
    held: Mutex<BTreeMap<String, oneshot::Sender<Infallible>>>,
}

/// The faults of a namespace.
#[derive(Default)]
struct Armed {
    /// Whether each has happened.
    faults: Vec<(Call, Fault, bool)>,
    /// The Pods were listed since.
    listed_pods: bool,
}

impl Armed {
    /// What becomes of that call.
    fn meet(&mut self, call: Call) -> Option<Fault> {
        let again = call == Call::Pods && mem::replace(&mut self.listed_pods, true);
        let call = if again { Call::PodsAgain } else { call };
        let (_, fault, happened) = self.faults.iter_mut().find(|(wanted, fault, happened)| {
            *wanted == call && (!*happened || matches!(fault, Fault::Always(_)))
        })?;
        *happened = true;
        Some(*fault)
    }
}

impl ApiProxy {
    /// Starts it on a loopback port, with a certificate of the control plane's CA.
    pub fn start(plane: &ControlPlane) -> Self {
        let shared = Arc::new(Shared {
            upstream: User::outsider(plane, &plane.url()).client(),
            armed: Mutex::default(),
            late: Mutex::default(),
            held: Mutex::default(),
        });
        let tls = tls::acceptor(plane.pki());
        let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("bind a loopback port");
        let port = listener.local_addr().expect("the port of a listener").port();
        let of_server = shared.clone();
        let server = runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, shared) = (tls.clone(), of_server.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service =
                        hyper::service::service_fn(|request| serve(request, shared.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A cut connection is an error of the service.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url: format!("https://127.0.0.1:{port}"), shared, server }
    }

    /// Its address, for a kubeconfig.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets those calls of the namespace fail, each in its way.
    pub fn arm(&self, namespace: &str, faults: &[(Call, Fault)]) {
        let faults = faults.iter().map(|&(call, fault)| (call, fault, false)).collect();
        let armed = Armed { faults, ..Armed::default() };
        lock(&self.shared.armed).insert(namespace.to_owned(), armed);
    }

    /// Whether the faults have happened, each at least once.
    pub fn has_happened(&self, namespace: &str) -> bool {
        let armed = lock(&self.shared.armed);
        armed.get(namespace).is_none_or(|armed| armed.faults.iter().all(|fault| fault.2))
    }

    /// Lets the call of the namespace go that is held, and those that follow go through.
    pub fn let_go(&self, namespace: &str) {
        lock(&self.shared.armed).remove(namespace);
        lock(&self.shared.held).remove(namespace);
    }

    /// Whether no call of the namespace is still to be carried out late.
    pub fn is_settled(&self, namespace: &str) -> bool {
        !lock(&self.shared.late).contains(namespace)
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

async fn serve(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let told = recognize(&head.method, &head.uri, &body);
    let fault = told.as_ref().and_then(|(namespace, call)| {
        let fault = lock(&shared.armed).get_mut(namespace)?.meet(*call)?;
        if matches!(fault, Fault::Late | Fault::Stray) {
            lock(&shared.late).insert(namespace.clone());
        }
        Some(fault)
    });
    match fault {
        None => forward(&shared, head, body).await,
        Some(Fault::Held) => {
            let (hold, let_go) = oneshot::channel::<Infallible>();
            lock(&shared.held).insert(told.map(|told| told.0).unwrap_or_default(), hold);
            let _ = let_go.await;
            forward(&shared, head, body).await
        }
        Some(Fault::CutBefore) => Err(Cut),
        Some(Fault::CutAfter) => {
            forward(&shared, head, body).await?;
            Err(Cut)
        }
        Some(Fault::Status(code) | Fault::Always(code)) => Ok(refusal(code)),
        Some(fault @ (Fault::Late | Fault::Stray)) => {
            // Dropped with this future, which is when the caller has closed the connection.
            let (_waits, given_up) = oneshot::channel::<Infallible>();
            let (hold, let_go) = oneshot::channel::<Infallible>();
            let namespace = told.map(|(namespace, _)| namespace).unwrap_or_default();
            if fault == Fault::Stray {
                lock(&shared.held).insert(namespace.clone(), hold);
            } else {
                drop(hold);
            }
            tokio::spawn(async move {
                let _ = given_up.await;
                let _ = let_go.await;
                let _ = forward(&shared, head, body).await;
                lock(&shared.late).remove(&namespace);
            });
            std::future::pending().await
        }
    }
}

async fn forward(
    shared: &Shared,
    head: http::request::Parts,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Cut> {
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::builder().method(head.method).uri(target);
    for (name, value) in &head.headers {
        if ![header::HOST, header::ACCEPT_ENCODING, header::CONTENT_LENGTH].contains(name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Body::from(body.to_vec())).map_err(|_| Cut)?;
    let (head, body) = shared.upstream.send(request).await.map_err(|_| Cut)?.into_parts();
    let body = body.collect_bytes().await.map_err(|_| Cut)?;
    let mut answer = Response::builder().status(head.status);
    for (name, value) in &head.headers {
        if ![header::TRANSFER_ENCODING, header::CONTENT_LENGTH].contains(name) {
            answer = answer.header(name, value);
        }
    }
    answer.body(Full::new(body)).map_err(|_| Cut)
}

/// An answer as the API server gives it when it refuses, is overloaded or in trouble.
fn refusal(code: u16) -> Response<Full<Bytes>> {
    let reason = match code {
        403 => "Forbidden",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "a fault of the test", "reason": reason, "code": code,
    });
    let answer = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    let answer = if code == 429 { answer.header(header::RETRY_AFTER, "1") } else { answer };
    answer.body(Full::new(Bytes::from(status.to_string()))).expect("an answer")
}

/// The namespace of a call and what it is for; `None` for a call that no replacement makes.
fn recognize(method: &Method, uri: &hyper::Uri, body: &[u8]) -> Option<(String, Call)> {
    let object = || serde_json::from_slice::<Value>(body).ok();
    let segments: Vec<_> = uri.path().split('/').skip(1).collect();
    let (namespace, call) = match (method, segments.as_slice()) {
        (&Method::GET, ["api", "v1", "namespaces", namespace]) => (*namespace, Call::OptIn),
        (&Method::GET, ["api", "v1", "namespaces", namespace, "pods"]) => (*namespace, Call::Pods),
        (&Method::POST, ["apis", "authorization.k8s.io", "v1", "subjectaccessreviews"]) => {
            let review = object()?;
            let attributes = &review["spec"]["resourceAttributes"];
            let verb = attributes["verb"].as_str()?;
            let call = if verb == "delete" { Call::MayDelete } else { Call::MayCreate };
            return Some((attributes["namespace"].as_str()?.to_owned(), call));
        }
        (&Method::DELETE, ["apis", "batch", "v1", "namespaces", namespace, "jobs", _]) => {
            (*namespace, Call::Delete)
        }
        (&Method::POST, ["apis", "batch", "v1", "namespaces", namespace, "jobs"]) => {
            let metadata = object()?["metadata"].take();
            let another_name = metadata["name"].is_null();
            let dormant = !metadata["labels"]["rejob.dev/dormant"].is_null();
            let dry_run = uri.query().is_some_and(|query| query.contains("dryRun"));
            let call = match (dry_run, another_name, dormant) {
                (false, ..) => Call::Create,
                (true, true, false) => Call::Probe,
                (true, true, true) => Call::ProbeDormant,
                (true, false, false) => Call::DryRun,
                (true, false, true) => Call::DryRunDormant,
            };
            (*namespace, call)
        }
        _ => return None,
    };
    Some((namespace.to_owned(), call))
}
