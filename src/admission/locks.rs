//! Replacements of one Job, one after the other.
//!
//! Many writers of one Job otherwise run all checks against views that are stale by the time they
//! are through, and a writer whose checks take long loses every race until its request times out.
//! What other replicas do is not seen, and not needed: the preconditions of the deletion decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::replacement::Plan;

/// Namespace and name.
type Name = (String, String);

/// The locks of the Jobs that are being replaced.
#[derive(Debug, Default)]
pub struct JobLocks(Mutex<HashMap<Name, Arc<Lock<()>>>>);

impl JobLocks {
    /// Waits for the lock of a plan's Job, until half of the time is over, or not at all where it may
    /// not wait: then it goes on without.
    pub async fn wait(
        &self,
        plan: &Plan,
        deadline: Instant,
        may_wait: impl Future<Output = bool>,
    ) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds or awaits those.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            let key = (plan.namespace.clone(), plan.name.clone());
            Arc::clone(locks.entry(key).or_default())
        };
        if let Ok(free) = Arc::clone(&lock).try_lock_owned() {
            return Some(free);
        }
        if !may_wait.await {
            return None;
        }
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        timeout_at(half, lock.lock_owned()).await.ok()
    }
}
