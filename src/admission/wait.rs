//! Short waits, so that the client does not have to retry.
//!
//! A request that meets a dormant Job of another request waits until that request is done. If nobody
//! comes back for the dormant Job, it stays for the reaper, and the client gets a 429.
//!
//! A request that replaces a Job that has just started waits until the Job controller has counted its
//! Pods. Before Kubernetes 1.37.2 the controller stores the Pods that it expects under the Job's name:
//! a Pod that appears after its Job was replaced is never counted, and the new Job gets no Pod until
//! it is changed again, over five minutes later.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::job::Job;
use crate::kubernetes::Cluster;
use crate::kubernetes::ServerVersion;
use crate::review::Request;

/// How long a request waits; the API server's own retry comes at once.
pub(super) const LONGEST: Duration = Duration::from_secs(2);
/// What is left for the answer.
const MARGIN: Duration = Duration::from_millis(200);
/// The first pause between two looks; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// The first version of Kubernetes whose Job controller forgets what it expects of Pods when a Job
/// is deleted (`deleteJob` in `pkg/controller/job/job_controller.go`).
const FORGETS: ServerVersion = ServerVersion { minor: 37, patch: 2 };

/// How long to wait for the Pods of a Job that is just being started: a good part of the time is
/// left for the replacement.
pub(super) fn for_a_start(deadline: Instant) -> Duration {
    LONGEST.min(deadline.saturating_duration_since(Instant::now()) / 4)
}

/// Whether the Pods of a Job that is just being started must be waited for.
pub(super) fn must_count_pods(server: Option<ServerVersion>) -> bool {
    server.is_none_or(|version| version < FORGETS)
}

/// Whether the stored Job is no longer the old object of the request.
pub(super) async fn until_changed<C: Cluster>(
    cluster: &C,
    request: &Request,
    longest: Duration,
    deadline: Instant,
) -> bool {
    let Some(old) = request.old_object.as_ref().map(Job::new) else { return false };
    let name = old.name().unwrap_or(&request.name);
    let begun = Instant::now();
    let left = deadline.saturating_duration_since(begun).saturating_sub(MARGIN);
    let until = begun + longest.min(left);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_versions_forget_what_they_expect() {
        let server = |patch| Some(ServerVersion { minor: 37, patch });
        assert!(must_count_pods(server(1)) && !must_count_pods(server(2)));
        assert!(must_count_pods(None), "an unknown version may be old");
    }
}
