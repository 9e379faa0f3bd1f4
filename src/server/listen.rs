//! Accepting connections, and serving HTTP on each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower_service::Service as _;

use super::answer;
use super::drain::Drain;
use super::idle::{Activity, Timed};
use super::limits::Limits;
use super::refusal::{Refusal, given_by_hyper, read_away};

/// Buffer for the headers of a request, in bytes; a body is read in pieces up to this size.
const MAX_BUFFER: usize = 64 * 1024;

/// The pause after a failed accept: out of file descriptors, it fails again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}; {advice}")]
pub struct ListenError {
    address: SocketAddr,
    reason: io::Error,
    advice: String,
}

/// Listens on `address`; `flag` is the flag that sets it, for the message.
pub(super) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|reason| {
        let advice = match reason.kind() {
            io::ErrorKind::AddrInUse => {
                format!("end the process that uses the port or choose another one with {flag}")
            }
            io::ErrorKind::PermissionDenied => format!("choose a port from 1024 up with {flag}"),
            io::ErrorKind::AddrNotAvailable => {
                format!("choose an address of this machine with {flag}")
            }
            _ => format!("choose another address with {flag}"),
        };
        ListenError { address, reason, advice }
    })
}

/// How many connections over the limit are refused at once. More wait until one of these ends, which
/// is soon.
const REFUSED_AT_ONCE: usize = 64;

/// How often the log says that the limit is reached.
const WARNING_PAUSE: Duration = Duration::from_mins(1);

/// The place of a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    /// Whether the connection is over the limit: then the client gets a refusal and nothing else.
    pub over: bool,
    _permit: OwnedSemaphorePermit,
}

/// Accepts connections until `drain` closes, and spawns what `serve` makes of each. `max` at once
/// are served; a few more get a place to be refused.
pub(super) async fn accept<F>(
    listener: TcpListener,
    max: usize,
    drain: Drain,
    serve: impl Fn(TcpStream, ConnectionPlace) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let served = Arc::new(Semaphore::new(max));
    let refused = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    let mut warned: Option<Instant> = None;
    loop {
        let next = async {
            // Accept only when there is a place to refuse the connection.
            let spare = Arc::clone(&refused).acquire_owned().await;
            (spare, listener.accept().await)
        };
        let (spare, accepted) = tokio::select! {
            next = next => next,
            () = drain.closing() => return,
        };
        match (spare, accepted) {
            (Ok(spare), Ok((stream, _))) => {
                // Answers are one write each; waiting to fill a segment only adds delay.
                let _ = stream.set_nodelay(true);
                let place = match Arc::clone(&served).try_acquire_owned() {
                    Ok(permit) => ConnectionPlace { over: false, _permit: permit },
                    Err(_) => ConnectionPlace { over: true, _permit: spare },
                };
                if place.over && warned.is_none_or(|last| last.elapsed() >= WARNING_PAUSE) {
                    warned = Some(Instant::now());
                    let address = listener.local_addr().ok();
                    tracing::warn!(max, ?address, "as many connections are open as may be");
                }
                drain.tasks().spawn(serve(stream, place));
            }
            (_, Err(error)) if is_of_the_connection(&error) => {}
            (_, Err(error)) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => return,
        }
    }
}

/// Whether accepting failed because of that one connection.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Serves HTTP/1 on a connection until it ends; when `drain` closes, a request in flight is
/// answered first. Returns the status that was answered to what is no request, if anything was.
pub(super) async fn http<S>(
    stream: S,
    limits: &Limits,
    drain: &Drain,
    router: Router,
) -> Option<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let activity = Activity::default();
    let stream = Timed::new(stream, activity.clone(), limits.idle_timeout, limits.header_timeout);
    let service = service_fn(|mut request: Request<Incoming>| {
        activity.begins();
        request.extensions_mut().insert(activity.clone());
        // A router is always ready.
        let answer = router.clone().call(request);
        let activity = activity.clone();
        async move {
            let answer = answer.await;
            activity.ends();
            if activity.client_ended().is_cancelled() {
                answer.map(answer::closing)
            } else {
                answer
            }
        }
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = drain.closing() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let error = ended.err()?;
    tracing::debug!(%error, "a connection ended early");
    let parts = connection.into_parts();
    let (stream, timed_out) = parts.io.into_inner().into_inner();
    if let Some(status) = given_by_hyper(&error) {
        read_away(stream).await;
        return Some(status);
    }
    let refusal = Refusal::of(&error, &parts.read_buf, timed_out)?;
    refusal.send(stream).await;
    Some(refusal.status)
}

/// Answers a client, once it sends something, that there are too many connections. Returns the status
/// of the answer, if there was one.
pub(super) async fn too_many<S>(mut stream: S, limits: &Limits, drain: &Drain) -> Option<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut first = [0];
    let sent = tokio::select! {
        sent = tokio::time::timeout(limits.header_timeout, stream.read(&mut first)) => sent,
        () = drain.closing() => return None,
    };
    if !matches!(sent, Ok(Ok(1))) {
        return None;
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let sentence = "too many connections at once (--max-connections); try again in a second";
    Refusal::new(status, sentence).send(stream).await;
    Some(status)
}

/// Logs why a handshake failed: loudly when the client refused the certificate, since then the API
/// server cannot call at all; quietly for port scanners and probes.
pub(super) fn report_handshake(error: &io::Error) {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::AlertReceived(alert)) = tls {
        tracing::warn!(
            ?alert,
            "a client refused the certificate; does the caBundle of the webhook configuration fit?"
        );
    } else {
        tracing::debug!(%error, "a TLS handshake failed");
    }
}

/// Whether the first byte of a connection begins an HTTP request instead of a TLS handshake. If
/// so, the client has got an answer that says it.
pub(super) async fn speaks_plain_http(stream: &mut TcpStream) -> bool {
    let mut first = [0];
    // A TLS record begins with its type, 22; an HTTP request with a method's first letter.
    if !matches!(stream.peek(&mut first).await, Ok(1)) || !first[0].is_ascii_uppercase() {
        return false;
    }
    let sentence = "this port speaks HTTPS; use an https:// URL";
    Refusal::new(StatusCode::BAD_REQUEST, sentence).send(stream).await;
    true
}
