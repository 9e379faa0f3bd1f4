//! The one client of API servers: JSON out, JSON in.
//!
//! Objects go through as raw JSON: a typed round trip would drop fields that this build does not
//! know. Nothing is ever sent again by the client itself: a deletion whose answer was lost and that
//! is sent again would be answered with 404, as if somebody else had deleted the Job.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures::AsyncBufRead;
use http::{HeaderMap, Method, Request};
use jiff::Timestamp;
use kube::Config;
use kube::client::Body;
use serde_json::Value;

use super::connect::ConnectError;
use super::redact::redact;
use crate::error::with_causes;
use crate::replacement::ApiError;

/// Who rejob is in what it writes when no client named a field manager.
pub const FIELD_MANAGER: &str = "rejob";

/// The media type of a body that is not a patch, and of every answer.
const JSON: &str = "application/json";

/// A connection to an API server; clones share it.
#[derive(Clone)]
pub struct ApiClient(kube::Client);

impl ApiClient {
    /// A connection by that configuration.
    ///
    /// # Errors
    /// When the configuration makes no client.
    pub fn new(mut config: Config) -> Result<Self, ConnectError> {
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        kube::Client::try_from(config)
            .map(Self)
            .map_err(|error| ConnectError::NoClient { server, message: with_causes(&error) })
    }

    #[cfg(test)]
    pub(super) fn of(client: kube::Client) -> Self {
        Self(client)
    }

    /// Sends one request; whatever the API server answers is an answer.
    ///
    /// # Errors
    /// Half a sentence on why no answer came.
    pub async fn send(&self, request: ApiRequest<'_>) -> Result<ApiAnswer, String> {
        let ApiRequest { method, path, body, media, headers } = request;
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, media)
            .header(http::header::ACCEPT, JSON)
            .body(Body::from(bytes))
            .map_err(|error| format!("cannot make the request: {error}"))?;
        request.headers_mut().extend(headers);
        let begun = Instant::now();
        let response = self.0.send(request).await.map_err(|error| with_causes(&error))?;
        let code = response.status().as_u16();
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|date| http_date(date.to_str().ok()?));
        let warnings = response.headers().get_all(http::header::WARNING).iter();
        let warnings = warnings.filter_map(|text| Some(redact(text.to_str().ok()?))).collect();
        let bytes = response.into_body().collect_bytes().await;
        let bytes = bytes.map_err(|error| with_causes(&error))?;
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            // A proxy's page is no list without items.
            Err(_) if (200..300).contains(&code) => {
                return Err(format!("the answer with code {code} is not JSON"));
            }
            Err(_) => Value::Null,
        };
        Ok(ApiAnswer { code, body, date, warnings, took: begun.elapsed() })
    }

    /// Reads an answer as it comes, which may take forever.
    ///
    /// # Errors
    /// Half a sentence on why there is none.
    pub async fn stream(&self, path: &str) -> Result<impl AsyncBufRead, String> {
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| format!("cannot make the request: {error}"))?;
        self.0.request_stream(request).await.map_err(|error| with_causes(&error))
    }
}

/// A request to an API server.
pub struct ApiRequest<'a> {
    /// The method.
    pub method: Method,
    /// The path, with its query.
    pub path: &'a str,
    /// The body.
    pub body: Option<&'a Value>,
    /// The media type of the body.
    pub media: &'static str,
    /// Further headers.
    pub headers: HeaderMap,
}

impl<'a> ApiRequest<'a> {
    /// A request with a body of JSON, or without a body.
    pub fn new(method: Method, path: &'a str, body: Option<&'a Value>) -> Self {
        Self { method, path, body, media: JSON, headers: HeaderMap::new() }
    }

    /// A read.
    pub fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// A merge patch.
    pub fn merge_patch(path: &'a str, patch: &'a Value) -> Self {
        let media = "application/merge-patch+json";
        Self { media, ..Self::new(Method::PATCH, path, Some(patch)) }
    }
}

/// An answer of the API server.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub code: u16,
    /// The body; `null` when it is not JSON.
    pub body: Value,
    /// The `Date` header.
    pub date: Option<Timestamp>,
    /// The `Warning` headers.
    pub warnings: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl ApiAnswer {
    /// Whether the API server did what was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What the API server says about a failure, without path tokens.
    pub fn message(&self) -> String {
        match self.text("message") {
            "" => format!("the API server answered with code {}", self.code),
            message => redact(message),
        }
    }

    /// The object of a success.
    ///
    /// # Errors
    /// Every other answer.
    pub fn object(self) -> Result<Value, ApiError> {
        if self.is_success() {
            return Ok(self.body);
        }
        let (reason, message) = (self.text("reason").to_owned(), self.message());
        Err(ApiError { code: self.code, reason, message })
    }

    /// The object of a success, or `None` where there is none.
    ///
    /// # Errors
    /// Every other answer.
    pub fn found(self) -> Result<Option<Value>, ApiError> {
        if self.code == 404 { Ok(None) } else { self.object().map(Some) }
    }

    fn text(&self, field: &str) -> &str {
        self.body.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A path segment or query value: everything but unreserved characters escaped.
pub fn encode(text: &str) -> String {
    escape(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// The text with `%XX` for each byte that is not safe.
pub(super) fn escape(text: &str, is_safe: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_safe(byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The path of a namespace.
pub fn namespace_path(name: &str) -> String {
    format!("/api/v1/namespaces/{}", encode(name))
}

/// The path of the Jobs of a namespace.
pub fn jobs_path(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs", encode(namespace))
}

/// The path of a Job.
pub fn job_path(namespace: &str, name: &str) -> String {
    format!("{}/{}", jobs_path(namespace), encode(name))
}

/// The items of a list.
pub fn items(mut list: Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// The time of an HTTP `Date` header: `Tue, 24 Nov 2026 14:54:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(encode("a-b.c/../d?e=%"), "a-b.c%2F..%2Fd%3Fe%3D%25");
    }

    #[test]
    fn the_date_header_is_read_as_servers_write_it() {
        let date = http_date("Tue, 24 Nov 2026 14:54:07 GMT");
        assert_eq!(date, Some("2026-11-24T14:54:07Z".parse().unwrap()));
        assert_eq!(http_date("yesterday"), None);
    }
}
