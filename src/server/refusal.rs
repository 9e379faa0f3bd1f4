//! Answers to what is not a request: bytes that HTTP/1 cannot be read from.
//!
//! hyper answers those itself, with a status and no body, or closes without a word. Here its own
//! answer is kept back ([`Muted`]), the stream is taken over when hyper is done with it, and the
//! client is told what was wrong, as JSON like everywhere else. What it still sends is read away
//! for a moment, or its kernel would throw the answer away.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

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

    /// What to say after `error`, with which hyper ended; `None` when nothing was begun that could
    /// be answered. `unread` are the bytes that hyper had read and not understood, of at most
    /// `most`; `timed_out` tells whether waiting for more of them ended it.
    pub fn of(error: &hyper::Error, unread: &[u8], most: usize, timed_out: bool) -> Option<Self> {
        let first_line = unread.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_head = contains(first_line, b" HTTP/1.");
        let (status, sentence) = if error.is_parse_version_h2()
            || (error.is_parse() && unread.starts_with(b"PRI * HTTP/2"))
        {
            let sentence = "this port speaks HTTP/1.1 only, not HTTP/2";
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, sentence.to_owned())
        } else if error.is_parse_too_large() {
            let long_line = unread.len() >= most && !unread.contains(&b'\n');
            if long_line || error.to_string().contains("URI") {
                (StatusCode::URI_TOO_LONG, "the URI is too long".to_owned())
            } else if unread.len() >= most || is_head {
                let sentence = "the header fields are too many or too large";
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, sentence.to_owned())
            } else {
                // The head is understood, and announces more than can be counted.
                (StatusCode::PAYLOAD_TOO_LARGE, "the Content-Length is too large".to_owned())
            }
        } else if error.is_parse() {
            (StatusCode::BAD_REQUEST, format!("the request cannot be read: {error}"))
        } else if unread.is_empty() {
            return None;
        } else if timed_out {
            let sentence = "the header fields of the request did not arrive in time";
            (StatusCode::REQUEST_TIMEOUT, sentence.to_owned())
        } else if error.is_incomplete_message() {
            let sentence = "the request breaks off in its header fields";
            (StatusCode::BAD_REQUEST, sentence.to_owned())
        } else {
            return None;
        };
        Some(Self { status, sentence })
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
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A client that is gone, or does not listen, has no use for the answer.
        let _ = tokio::time::timeout(LINGER, exchange).await;
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A stream that keeps back the answer that hyper gives of its own accord, and is then left open.
#[derive(Debug)]
pub struct Muted<S> {
    stream: S,
    muted: bool,
}

impl<S> Muted<S> {
    /// The stream, which says everything but that.
    pub fn new(stream: S) -> Self {
        Self { stream, muted: false }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

/// How many of the last bytes are hyper's own answer: a 4xx without a body and without a content
/// type, which the answers of this server always have.
fn own_answer(bytes: &[u8]) -> usize {
    const START: &[u8] = b"HTTP/1.1 4";
    if !bytes.ends_with(b"\r\n\r\n") {
        return 0;
    }
    let start = bytes.windows(START.len()).rposition(|window| window == START);
    match start.and_then(|start| bytes.get(start..)) {
        Some(head)
            if contains(head, b"\r\ncontent-length: 0\r\n")
                && !contains(head, b"\r\ncontent-type:") =>
        {
            head.len()
        }
        _ => 0,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Muted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Muted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let others = bytes.len() - own_answer(bytes);
        match bytes.get(..others) {
            Some(others) if !others.is_empty() || bytes.is_empty() => {
                Pin::new(&mut self.stream).poll_write(context, others)
            }
            _ => {
                self.muted = true;
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper writes its own answer as one slice.
        match slices {
            [slice] => self.poll_write(context, slice),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.muted {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_answer_that_nobody_here_gave_is_kept_back() {
        let given = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\
                     content-length: 0\r\n\r\n";
        let own = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        for (written, passed) in [
            (vec![given], given.to_owned()),
            (
                vec!["HTTP/1.1 100 Continue\r\n\r\n", given],
                format!("HTTP/1.1 100 Continue\r\n\r\n{given}"),
            ),
            (vec![own], String::new()),
            (vec![given, own], given.to_owned()),
            (vec![&format!("{given}{own}")], given.to_owned()),
        ] {
            let (mut client, server) = tokio::io::duplex(4096);
            let mut server = Muted::new(server);
            for bytes in written {
                server.write_all(bytes.as_bytes()).await.unwrap();
            }
            server.shutdown().await.unwrap();
            drop(server);
            let mut received = String::new();
            client.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, passed);
        }
    }
}
