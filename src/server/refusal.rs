//! Answers to what is not a request: bytes that HTTP/1 cannot be read from.
//!
//! hyper answers most of those itself, with a status and no body; if it would close
//! without an answer, rejob takes the stream over and answers in JSON, like everywhere else. Input
//! that the client still sends is read and dropped for a moment, or its kernel would drop the answer.

use std::io;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a client has to take the answer and to hang up.
const LINGER: Duration = Duration::from_secs(5);

/// An answer, and the status to count it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    sentence: String,
}

impl Refusal {
    /// `{"error": sentence}` with this status.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    /// What to say after `error`, with which hyper ended without an answer; `None` when nothing was
    /// begun that could be answered. `unread` are the bytes that hyper had read and not understood;
    /// `timed_out`: whether waiting for more of them ended it.
    pub fn of(error: &hyper::Error, unread: &[u8], timed_out: bool) -> Option<Self> {
        if error.is_parse_version_h2() {
            let sentence = "this port speaks HTTP/1.1 only, not HTTP/2";
            return Some(Self::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, sentence));
        }
        if unread.is_empty() {
            return None;
        }
        if timed_out {
            let sentence = "the header fields of the request did not arrive in time";
            return Some(Self::new(StatusCode::REQUEST_TIMEOUT, sentence));
        }
        let sentence = "the request ends too early, in its header fields";
        error.is_incomplete_message().then(|| Self::new(StatusCode::BAD_REQUEST, sentence))
    }

    /// Sends it, and closes the stream.
    pub async fn send<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let body = serde_json::json!({ "error": self.sentence }).to_string();
        let retry = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => "retry-after: 1\r\n",
            _ => "",
        };
        let answer = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\nconnection: close\r\n{retry}\
             content-length: {}\r\n\r\n{body}",
            self.status,
            body.len()
        );
        let exchange = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            stream.shutdown().await?;
            io::Result::Ok(())
        };
        // A client that is gone, or does not listen, has no use for the answer.
        if let Ok(Ok(())) = tokio::time::timeout(LINGER, exchange).await {
            read_away(stream).await;
        }
    }
}

/// The status with which hyper itself answers what it cannot read (`on_error` of its
/// `proto/h1/role.rs`); `None` when it says nothing.
pub fn given_by_hyper(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_too_large() {
        let is_uri = error.to_string().contains("URI");
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Some(if is_uri { StatusCode::URI_TOO_LONG } else { too_large })
    } else {
        (error.is_parse() && !error.is_parse_version_h2()).then_some(StatusCode::BAD_REQUEST)
    }
}

/// Reads away what a client still sends, until it hangs up or has had long enough to.
pub async fn read_away<S: AsyncRead + Unpin>(mut stream: S) {
    let mut rest = [0; 4096];
    let read = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(LINGER, read).await;
}
