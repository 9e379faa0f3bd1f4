//! The timeouts of one connection: idle, within the headers of a request, and in an answer that
//! the client does not take.
//!
//! Between two requests a client may be silent for long; once it has begun one, it must get to the
//! end of the headers soon. HTTP libraries know one timer for both, so the stream itself keeps
//! these. Nothing is done to the timer while requests simply come and go: it is only moved when a
//! read or a write has to wait.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of a next request has come.
    Idle = 0,
    /// Some of a request's headers have come.
    Headers = 1,
    /// A request is being served; its own deadline counts.
    Serving = 2,
}

/// The phase of one connection, shared between its reader and its service.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<AtomicU8>);

impl Activity {
    /// The headers of a request are complete. Idle again when the guard is dropped.
    #[must_use]
    pub fn serve(&self) -> Serving {
        self.set(Phase::Serving);
        Serving(self.clone())
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Headers,
            _ => Phase::Serving,
        }
    }
}

/// A request is being served while this lives.
#[derive(Debug)]
pub struct Serving(Activity);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

/// A connection whose reads and writes end with [`io::ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    activity: Activity,
    idle: Duration,
    headers: Duration,
    read_timer: Pin<Box<Sleep>>,
    /// The phase that the read timer runs for.
    armed: Option<Phase>,
    /// Whether a read waited too long.
    expired: bool,
    /// Runs while a write waits.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// The stream with its timeouts. The first request must begin within the `headers` timeout
    /// too: who connects wants something.
    pub fn new(stream: S, activity: Activity, idle: Duration, headers: Duration) -> Self {
        activity.set(Phase::Headers);
        let read_timer = Box::pin(tokio::time::sleep(headers));
        let armed = Some(Phase::Headers);
        let (expired, write_timer) = (false, None);
        Self { stream, activity, idle, headers, read_timer, armed, expired, write_timer }
    }

    /// The stream without timeouts, and whether a read waited too long.
    pub fn into_inner(self) -> (S, bool) {
        (self.stream, self.expired)
    }

    /// A read has to wait, for at most `limit` from when it first had to in this phase.
    fn wait(
        &mut self,
        phase: Phase,
        limit: Duration,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.armed != Some(phase) {
            self.armed = Some(phase);
            self.read_timer.as_mut().reset(Instant::now() + limit);
        }
        std::task::ready!(self.read_timer.as_mut().poll(context));
        self.expired = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The outcome of a write, unless it has waited too long: the client has as long to take an
    /// answer as it has for its headers.
    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer = None;
            return outcome;
        }
        let limit = self.headers;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
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
        let phase = this.activity.get();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        match (outcome, phase) {
            // The request's own deadline counts.
            (Poll::Pending, Phase::Serving) => Poll::Pending,
            (Poll::Pending, Phase::Idle) => this.wait(phase, this.idle, context),
            (Poll::Pending, Phase::Headers) => this.wait(phase, this.headers, context),
            (ready, Phase::Idle) => {
                this.activity.set(Phase::Headers);
                this.armed = None;
                ready
            }
            (ready, Phase::Headers | Phase::Serving) => ready,
        }
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
            drop(activity.serve());
            let write = async {
                tokio::time::sleep(3 * SHORT).await;
                client.write_all(b"x").await
            };
            let (read, written) = tokio::join!(server.read_u8(), write);
            assert_eq!(read.unwrap(), b'x');
            written.unwrap();
        }
        drop(activity.serve());
        assert_eq!(kind(server.read_u8().await), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_request_is_served_nothing_is_counted() {
        let (_client, mut server, activity) = connection(SHORT, SHORT);
        let serving = activity.serve();
        let read = tokio::time::timeout(6 * SHORT, server.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
        drop(serving);
        assert_eq!(kind(server.read_u8().await), io::ErrorKind::TimedOut);
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
