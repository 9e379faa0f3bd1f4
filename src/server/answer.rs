//! Answers: JSON for everybody who posts, a word for probes.

use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// An answer as the server sends it.
pub type Answer = Response<Body>;

/// An answer with one content type.
fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An AdmissionReview that was answered.
pub fn review(body: Bytes) -> Answer {
    answer(StatusCode::OK, "application/json", body)
}

/// `{"error": "…"}` with a status.
pub fn error(status: StatusCode, sentence: &str) -> Answer {
    let body = serde_json::json!({ "error": sentence }).to_string();
    answer(status, "application/json", body.into())
}

/// A wrong method; `allow` lists the right ones.
pub fn method_not_allowed(allow: &'static str) -> Answer {
    let sentence = format!("this path takes {allow} only");
    with(error(StatusCode::METHOD_NOT_ALLOWED, &sentence), ALLOW, allow)
}

/// More work than the server takes on at once. The API server tries again after the second that
/// the answer names, inside the timeout of the webhook.
pub fn shed() -> Answer {
    let sentence = "too many reviews at once; try again in a second";
    with(error(StatusCode::SERVICE_UNAVAILABLE, sentence), RETRY_AFTER, "1")
}

/// Plain text, never cached: probes and metrics.
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    with(answer(status, content_type, body.into()), CACHE_CONTROL, "no-store")
}

/// The answer, after which the connection closes.
pub fn closing(answer: Answer) -> Answer {
    with(answer, CONNECTION, "close")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
