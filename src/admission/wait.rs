//! A request that meets another one's dormant Job waits a moment until that one is through.
//!
//! It is usually a matter of milliseconds, so the client need not be sent away. A dormant Job that
//! nobody comes back for stays for the reaper, and the client gets its 429.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::job::Job;
use crate::replace::Cluster;
use crate::review::Request;

/// How long a request waits; the API server's own retry comes at once.
const LONGEST: Duration = Duration::from_secs(2);
/// What is left for the answer.
const MARGIN: Duration = Duration::from_millis(200);
/// The first pause between two looks; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// Whether the stored Job is no longer the old object of the request.
pub(super) async fn until_changed<C: Cluster>(
    cluster: &C,
    request: &Request,
    deadline: Instant,
) -> bool {
    let Some(old) = request.old_object.as_ref().map(Job::new) else { return false };
    let name = old.name().unwrap_or(&request.name);
    let begun = Instant::now();
    let until = (begun + LONGEST).min(deadline.checked_sub(MARGIN).unwrap_or(begun));
    let mut pause = FIRST_PAUSE;
    while Instant::now() + pause < until {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match timeout_at(until, cluster.get(&request.namespace, name)).await {
            Ok(Ok(Some(stored))) => {
                let stored = Job::new(&stored);
                let same = stored.uid() == old.uid()
                    && stored.resource_version() == old.resource_version();
                if !same {
                    return true;
                }
            }
            Ok(Ok(None)) => return true,
            Ok(Err(_)) => {}
            Err(_) => return false,
        }
    }
    false
}
