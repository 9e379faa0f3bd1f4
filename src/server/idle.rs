//! The read side's timeouts of one connection: idle, and within the headers of a request.
//!
//! Between two requests a client may be silent for long; once it has begun one, it must get to the
//! end of the headers soon. HTTP libraries know one timer for both, so the reader itself keeps
//! these two. Nothing is done to the timer while requests simply come and go: it is only moved when
//! a read has to wait.

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

/// A connection whose reads end with [`io::ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    activity: Activity,
    /// The phase that the timer runs for.
    armed: Phase,
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    headers: Duration,
}

impl<S> Timed<S> {
    /// The stream with its timeouts. The first request must begin within the `headers` timeout
    /// too: who connects wants something.
    pub fn new(stream: S, activity: Activity, idle: Duration, headers: Duration) -> Self {
        activity.set(Phase::Headers);
        let timer = Box::pin(tokio::time::sleep(headers));
        Self { stream, activity, armed: Phase::Headers, timer, idle, headers }
    }

    /// A read has to wait in this phase.
    fn wait(&mut self, phase: Phase, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if phase == Phase::Serving {
            self.armed = phase;
            return Poll::Pending;
        }
        if self.armed != phase {
            self.armed = phase;
            let limit = if phase == Phase::Idle { self.idle } else { self.headers };
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let phase = self.activity.get();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.wait(phase, context),
            ready => {
                if phase == Phase::Idle {
                    self.activity.set(Phase::Headers);
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
