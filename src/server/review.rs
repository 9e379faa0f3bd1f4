//! One request on the webhook's port: from the headers to the answer.
//!
//! Whatever is wrong with a request is answered, as JSON with the right status, and counted. A
//! review that has begun is never broken off: when its client hangs up or its time is over, it goes
//! on in the background, because half of a replacement is worse than a late one. The review is told
//! ([`Call::abandoned`]), so that it does not begin one then.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer};
use super::body::{self, BodyError, Budget, Share};
use super::drain::Drain;
use super::idle::Activity;
use super::limits::Limits;
use super::reviewer::{Call, ReviewError, Reviewer};
use super::timeout::{self, Deadline};
use crate::certs::AcceptedTokens;
use crate::metrics::Metrics;

/// What all connections of the webhook's port share.
pub(super) struct Webhook<R> {
    pub reviewer: Arc<R>,
    pub limits: Limits,
    pub tokens: AcceptedTokens,
    pub metrics: Metrics,
    pub drain: Drain,
    pub review_slots: Arc<Semaphore>,
    pub bodies: Budget,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A policy.
    Review {
        /// The capability, if the path has one.
        token: Option<String>,
        /// The policy's name, as it stands in the path.
        policy: String,
    },
    /// `/livez`: the process answers.
    Live,
    /// Anything else.
    Unknown,
}

/// An answer that holds its shares of the budget until it is written: the client may not read it.
struct HeldAnswer {
    bytes: Bytes,
    _shares: (Share, Share),
}

impl AsRef<[u8]> for HeldAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a reviewer made of a body; the error is a panic.
type Reviewed = Result<Result<Bytes, ReviewError>, Box<dyn std::any::Any + Send>>;

impl<R: Reviewer> Webhook<R> {
    /// Answers one request.
    pub async fn answer(&self, target: Route, request: Request<Body>) -> Answer {
        let received = Instant::now();
        let (head, mut body) = request.into_parts();
        let activity = head.extensions.get::<Activity>().cloned().unwrap_or_default();
        let answer = match target {
            Route::Review { token, policy } if self.admits(token.as_deref()) => {
                self.review(&head, policy, &mut body, received, activity.client_ended()).await
            }
            Route::Live if matches!(head.method, Method::GET | Method::HEAD) => {
                answer::text(StatusCode::OK, "text/plain", "ok")
            }
            Route::Live => answer::method_not_allowed("GET, HEAD"),
            Route::Review { .. } | Route::Unknown => answer::error(
                StatusCode::NOT_FOUND,
                "no such path; reviews are posted to /v1/policies/{policy}",
            ),
        };
        let answer = self.refused(&head, body, &activity, answer);
        if self.drain.is_draining() { answer::closing(answer) } else { answer }
    }

    fn admits(&self, token: Option<&str>) -> bool {
        !self.tokens.required() || token.is_some_and(|token| self.tokens.accepts(token))
    }

    async fn review(
        &self,
        head: &Parts,
        policy: String,
        body: &mut Body,
        received: Instant,
        client_ended: &CancellationToken,
    ) -> Answer {
        if head.method != Method::POST {
            return answer::method_not_allowed("POST");
        }
        if !is_json(head.headers.get(CONTENT_TYPE)) {
            return answer::error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the Content-Type must be application/json, in UTF-8",
            );
        }
        if !is_plain(head.headers.get(CONTENT_ENCODING)) {
            return answer::error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed; send it without a Content-Encoding",
            );
        }
        let timeout = match timeout::from_query(head.uri.query()) {
            Ok(timeout) => timeout.unwrap_or(timeout::DEFAULT),
            Err(sentence) => return answer::error(StatusCode::BAD_REQUEST, &sentence),
        };
        let deadline = Deadline::new(received, timeout);
        let limit = self.limits.max_body_bytes;
        if let Err(error) = body::announced(body, limit) {
            return unread(&error);
        }
        let slot = Arc::clone(&self.review_slots).try_acquire_owned();
        let (Ok(slot), Some(share)) = (slot, self.bodies.share(body, limit)) else {
            self.metrics.shed();
            return answer::shed();
        };
        // A slot is not for who sends nothing.
        let until = deadline.review.min(received + self.limits.header_timeout);
        let bytes = match body::read(body, limit, until, client_ended).await {
            Ok(bytes) => bytes,
            Err(error) => {
                // Whoever waits for "100 Continue" has got it by now, and sends.
                body::discard(std::mem::take(body), None);
                return unread(&error);
            }
        };
        let values = match self.bodies.values(&bytes) {
            Ok(Some(values)) => values,
            Ok(None) => {
                self.metrics.shed();
                return answer::shed();
            }
            Err(error) => return unread(&error),
        };
        let in_flight = self.metrics.review_in_flight();
        let reviewer = Arc::clone(&self.reviewer);
        let call = Call { deadline: deadline.review, abandoned: client_ended.child_token() };
        // Dropped with this future when the connection breaks.
        let _waits = call.abandoned.clone().drop_guard();
        let review = async move {
            let outcome = reviewer.review(&policy, bytes, call).await;
            drop((slot, in_flight));
            outcome.map(|bytes| Bytes::from_owner(HeldAnswer { bytes, _shares: (share, values) }))
        };
        self.finish(AssertUnwindSafe(review).catch_unwind(), deadline).await
    }

    /// Runs a review to its end, in the background if it does not end at once.
    async fn finish(
        &self,
        review: impl Future<Output = Reviewed> + Send + 'static,
        deadline: Deadline,
    ) -> Answer {
        let mut review = Box::pin(review);
        let outcome = match futures::poll!(review.as_mut()) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                let review = self.drain.tasks().spawn(review);
                match tokio::time::timeout_at(deadline.answer, review).await {
                    Ok(outcome) => outcome.unwrap_or_else(|error| Err(Box::new(error))),
                    Err(_) => {
                        return answer::error(
                            StatusCode::GATEWAY_TIMEOUT,
                            "the review did not end within the request's timeout",
                        );
                    }
                }
            }
        };
        match outcome {
            Ok(Ok(bytes)) => answer::review(bytes),
            Ok(Err(error)) => answer::error(error.status(), &error.to_string()),
            Err(_) => {
                tracing::error!("a review ended in a panic; please report it with the lines above");
                answer::error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the review failed inside rejob; its log says where",
                )
            }
        }
    }

    /// Counts an answer that is an error, and sees to a body that was not read.
    fn refused(&self, head: &Parts, body: Body, activity: &Activity, answer: Answer) -> Answer {
        if answer.status().is_success() {
            return answer;
        }
        self.metrics.http_error(answer.status().as_u16());
        // A client that waits for "100 Continue" has not sent its body and now will not.
        let waits = head.headers.contains_key(EXPECT);
        if !waits {
            body::discard(body, Some(activity.clone()));
        }
        let ends =
            matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
        if waits || ends { answer::closing(answer) } else { answer }
    }
}

fn unread(error: &BodyError) -> Answer {
    let status = match error {
        BodyError::TooLarge { .. } | BodyError::TooManyValues => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::BrokenOff | BodyError::Broken(_) => StatusCode::BAD_REQUEST,
    };
    answer::error(status, &error.to_string())
}

/// Whether a content type is JSON in UTF-8, the only charset that JSON is exchanged in (RFC 8259).
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let Some(Ok(value)) = content_type.map(HeaderValue::to_str) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|type_| type_.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset") || is_utf8(value.trim().trim_matches('"'))
        })
}

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
}

/// Whether a body is sent as it is.
fn is_plain(encoding: Option<&HeaderValue>) -> bool {
    encoding.is_none_or(|value| {
        let value = value.as_bytes().trim_ascii();
        value.is_empty() || value.eq_ignore_ascii_case(b"identity")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_essence() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json; charset=\"UTF-8\"; v=1", true),
            ("application/json;", true),
            ("application/json; charset=utf-16", false),
            ("application/json; Charset = latin1", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(Some(&HeaderValue::from_static(value))), json, "{value}");
        }
        assert!(!is_json(None));
    }

    #[test]
    fn a_compressed_body_is_known_by_its_header() {
        for (value, plain) in [
            ("", true),
            ("identity", true),
            ("Identity ", true),
            ("gzip", false),
            ("br, gzip", false),
        ] {
            assert_eq!(is_plain(Some(&HeaderValue::from_static(value))), plain, "{value}");
        }
        assert!(is_plain(None));
    }
}
