//! Going away without losing a request.
//!
//! Three steps: not ready, but everything is still accepted and each answer closes its connection
//! (draining); no new connections, and idle ones are closed (closing); what is still in flight is
//! given up (after the hard limit). The API server does not repeat a POST on a connection that was
//! closed under it, therefore the first step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The state of going away, shared by all that serve.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    draining: Arc<AtomicBool>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// Whether the first step has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// First step: not ready any more, and answers close their connections.
    pub fn begin(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Second step: no new connections, idle ones are closed.
    pub fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
    }

    /// Ends when the second step begins.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// The connections and reviews that are waited for.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }
}
