//! The admin port: plain HTTP for the kubelet and Prometheus, apart from the webhook's port.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::answer::{self, Answer};
use super::drain::Drain;
use crate::metrics::{Format, Metrics};

/// A named condition of readiness: the error says why it is not met.
type ReadinessCheck = (&'static str, Box<dyn Fn() -> Result<(), String> + Send + Sync>);

/// What must hold for the server to be ready.
#[derive(Default, Clone)]
pub struct ReadinessChecks(Arc<Vec<ReadinessCheck>>);

impl ReadinessChecks {
    /// The sum of these named checks. They run at each probe, so they only look.
    pub fn of(checks: Vec<ReadinessCheck>) -> Self {
        Self(Arc::new(checks))
    }

    /// Whether all checks pass, with a line for each, as the API server's own `/readyz` writes.
    fn probe(&self, draining: bool) -> (bool, String) {
        let mut ready = !draining;
        let mut lines = String::new();
        for (name, check) in self.0.iter() {
            match check() {
                Ok(()) => lines.extend(["[+]", name, " ok\n"]),
                Err(why) => {
                    ready = false;
                    lines.extend(["[-]", name, " failed: ", &why, "\n"]);
                }
            }
        }
        lines.push_str(if draining {
            "[-]shutdown failed: draining\n"
        } else {
            "[+]shutdown ok\n"
        });
        (ready, lines)
    }
}

/// What the admin port serves.
#[derive(Clone)]
pub(super) struct Admin {
    pub readiness: ReadinessChecks,
    pub metrics: Metrics,
    pub drain: Drain,
}

impl Admin {
    /// Each answer closes its connection, so that who connects holds nothing.
    pub fn answer<B>(&self, request: &Request<B>) -> Answer {
        answer::closing(self.page(request))
    }

    fn page<B>(&self, request: &Request<B>) -> Answer {
        let page = match request.uri().path() {
            "/livez" => |_: &Self, _: &HeaderMap| answer::text(StatusCode::OK, "text/plain", "ok"),
            "/readyz" => Self::ready,
            "/metrics" => Self::metrics,
            _ => {
                let sentence = "no such path; there are /livez, /readyz and /metrics";
                return answer::error(StatusCode::NOT_FOUND, sentence);
            }
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::method_not_allowed("GET, HEAD");
        }
        page(self, request.headers())
    }

    fn ready(&self, _: &HeaderMap) -> Answer {
        let (ready, lines) = self.readiness.probe(self.drain.is_draining());
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        answer::text(status, "text/plain", lines)
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        self.metrics.ready(self.readiness.probe(self.drain.is_draining()).0);
        let accept = headers.get(ACCEPT).map(HeaderValue::to_str);
        let format = Format::accepted(accept.and_then(Result::ok).unwrap_or_default());
        answer::text(StatusCode::OK, format.content_type(), self.metrics.exposition(format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_is_enough_to_be_unready() {
        let readiness = ReadinessChecks::of(vec![
            ("policies", Box::new(|| Ok(()))),
            ("certificate", Box::new(|| Err("expired".to_owned()))),
        ]);
        let (ready, lines) = readiness.probe(false);
        assert!(!ready);
        assert_eq!(lines, "[+]policies ok\n[-]certificate failed: expired\n[+]shutdown ok\n");
    }

    #[test]
    fn draining_is_unready_but_alive() {
        assert!(ReadinessChecks::default().probe(false).0);
        assert!(!ReadinessChecks::default().probe(true).0);
    }
}
