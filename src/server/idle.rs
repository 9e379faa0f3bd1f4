//! The timeouts of one connection: idle, within the headers of a request, and in an answer that
//! the client does not take.
//!
//! Between two requests a client may be silent for long; once it has begun one, it must get to the
//! end of the headers soon. HTTP libraries know one timer for both, so the stream itself keeps
//! these, and only while a read or a write waits.
//!
//! It also notices that a client ends its side while its request is served. Most hang up; some only
//! stop sending and wait for the answer. So the request is told, and answered all the same. While
//! bytes of a next request are unread, nothing is noticed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// Nothing of a next request has come.
const IDLE: u8 = 0;
/// Some of a request's headers have come. So a connection begins: who connects wants something.
const HEADERS: u8 = 1;
/// A request is being served; its own deadline counts.
const SERVING: u8 = 2;

/// What a connection is doing, shared between its reader and its service.
#[derive(Debug, Clone)]
pub struct Activity {
    phase: Arc<AtomicU8>,
    client_ended: CancellationToken,
}

impl Default for Activity {
    fn default() -> Self {
        Self { phase: Arc::new(AtomicU8::new(HEADERS)), client_ended: CancellationToken::new() }
    }
}

impl Activity {
    /// The headers of a request are complete.
    pub fn begins(&self) {
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    /// The request is answered.
    pub fn ends(&self) {
        self.phase.store(IDLE, Ordering::Relaxed);
    }

    /// What came after the answer was the rest of a body, and no next request.
    pub fn rests(&self) {
        let _ = self.phase.compare_exchange(HEADERS, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Canceled when the client has ended its side while its request was served.
    pub fn client_ended(&self) -> &CancellationToken {
        &self.client_ended
    }
}

/// A connection whose reads and writes end with [`io::ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    activity: Activity,
    idle: Duration,
    headers: Duration,
    /// Runs while a read waits in that phase; in the headers, from when one first had to.
    reading: Option<(u8, Pin<Box<Sleep>>)>,
    /// Runs while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
    /// Whether a read waited too long.
    expired: bool,
    /// Whether the end of the client's side is kept back until the answer is written.
    ended: bool,
}

impl<S> Timed<S> {
    /// The stream with its timeouts.
    pub fn new(stream: S, activity: Activity, idle: Duration, headers: Duration) -> Self {
        Self {
            stream,
            activity,
            idle,
            headers,
            reading: None,
            writing: None,
            expired: false,
            ended: false,
        }
    }

    /// The stream without timeouts, and whether a read waited too long.
    pub fn into_inner(self) -> (S, bool) {
        (self.stream, self.expired)
    }

    /// The outcome of a write, unless it has waited too long: the client has as long to take an
    /// answer as it has for its headers.
    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            if std::mem::take(&mut self.ended) {
                context.waker().wake_by_ref();
            }
            return outcome;
        }
        let limit = self.headers;
        let timer = self.writing.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let phase = this.activity.phase.load(Ordering::Relaxed);
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        let is_ok = matches!(outcome, Poll::Ready(Ok(())));
        if is_ok && buffer.filled().len() == before {
            if phase == SERVING {
                this.activity.client_ended.cancel();
                return Poll::Pending;
            }
            if this.writing.is_some() {
                this.ended = true;
                return Poll::Pending;
            }
        }
        if outcome.is_ready() && phase == IDLE {
            this.activity.phase.store(HEADERS, Ordering::Relaxed);
            this.reading = None;
        }
        if outcome.is_ready() || phase == SERVING {
            return outcome;
        }
        let limit = if phase == IDLE { this.idle } else { this.headers };
        let timer = match &mut this.reading {
            Some((of, timer)) if *of == phase => timer,
            reading => &mut reading.insert((phase, Box::pin(sleep(limit)))).1,
        };
        ready!(timer.as_mut().poll(context));
        this.expired = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.written(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(outcome, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_hours(1);

    fn connection(
        idle: Duration,
        headers: Duration,
    ) -> (DuplexStream, Timed<DuplexStream>, Activity) {
        let activity = Activity::default();
        let (client, server) = duplex(16);
        (client, Timed::new(server, activity.clone(), idle, headers), activity)
    }

    fn kind<T: std::fmt::Debug>(outcome: io::Result<T>) -> io::ErrorKind {
        outcome.unwrap_err().kind()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_must_begin_and_go_on() {
        let (mut client, mut server, _) = connection(LONG, SHORT);
        client.write_all(b"POST").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(kind(server.read(&mut [0; 4]).await), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn each_idle_time_is_counted_anew() {
        let (mut client, mut server, activity) = connection(10 * SHORT, LONG);
        // Ten times most of the idle timeout: as one it would be far over.
        for _ in 0..10 {
            activity.ends();
            let write = async {
                tokio::time::sleep(3 * SHORT).await;
                client.write_all(b"x").await
            };
            let (read, written) = tokio::join!(server.read_u8(), write);
            assert_eq!(read.unwrap(), b'x');
            written.unwrap();
        }
        activity.ends();
        assert_eq!(kind(server.read_u8().await), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_refused_body_is_no_next_request() {
        let (mut client, mut server, activity) = connection(10 * SHORT, SHORT);
        activity.ends();
        client.write_all(b"body").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        activity.rests();
        let read = tokio::time::timeout(6 * SHORT, server.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_request_is_served_nothing_is_counted() {
        let (_client, mut server, activity) = connection(SHORT, SHORT);
        activity.begins();
        let read = tokio::time::timeout(6 * SHORT, server.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
        activity.ends();
        assert_eq!(kind(server.read_u8().await), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_ends_its_side_while_it_is_served_hangs_up_and_can_be_answered() {
        let (mut client, mut server, activity) = connection(LONG, LONG);
        activity.begins();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        assert!(!activity.client_ended().is_cancelled());
        client.shutdown().await.unwrap();
        let read = tokio::time::timeout(SHORT, server.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
        assert!(activity.client_ended().is_cancelled());
        server.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_clients_side_is_told_when_its_answer_is_written() {
        let (mut client, mut server, activity) = connection(LONG, LONG);
        activity.ends();
        let written = tokio::time::timeout(SHORT, server.write_all(&[0; 24])).await;
        assert!(written.is_err(), "the client has not read yet");
        client.shutdown().await.unwrap();
        let read = tokio::time::timeout(SHORT, server.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
        client.read_exact(&mut [0; 16]).await.unwrap();
        server.write_all(&[0; 8]).await.unwrap();
        assert_eq!(kind(server.read_u8().await), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_times_out() {
        let (mut client, mut server, _) = connection(LONG, SHORT);
        server.write_all(&[0; 16]).await.unwrap();
        assert_eq!(kind(server.write_all(&[0]).await), io::ErrorKind::TimedOut);
        client.read_exact(&mut [0; 16]).await.unwrap();
        server.write_all(&[0; 16]).await.unwrap();
    }
}
