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

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::reaper::LONGEST_REQUEST;
use crate::job::{Job, Progress, progress};
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

/// How long the first Pods of a Job may take to be made; where there are none later, they are
/// refused (a quota, a policy), and the Job only hangs.
const STARTING: Duration = Duration::from_secs(10);

/// How long to wait for the Pods of a Job that is just being started: a good part of the time is
/// left for the replacement.
pub(super) fn for_a_start(deadline: Instant) -> Duration {
    LONGEST.min(deadline.saturating_duration_since(Instant::now()) / 4)
}

/// Whether the Job controller may be making the first Pods of a Job, and a new Job of the name
/// would wait for them: it has not counted any, has not seen any end, and is to start some. `now` is
/// this clock's; that it and the cluster's differ does no harm but a wait too much or too little.
pub(super) fn is_being_started(
    job: Job<'_>,
    server: Option<ServerVersion>,
    now: jiff::Timestamp,
) -> bool {
    let begun = time(job.status("startTime").or_else(|| created(job)));
    if begun.is_some_and(|begun| now.duration_since(begun).unsigned_abs() > STARTING) {
        return false;
    }
    let counts = ["active", "succeeded", "failed", "terminating"];
    let counted = |field| job.status(field).and_then(Value::as_i64).is_some_and(|count| count > 0);
    let ended = job.value().pointer("/status/uncountedTerminatedPods").and_then(Value::as_object);
    let ended = ended.is_some_and(|pods| !pods.is_empty());
    server.is_none_or(|version| version < FORGETS)
        && !ended
        && job.parallelism() != Some(0)
        && !job.is_suspended()
        && progress(job) == Progress::Idle
        && !counts.into_iter().any(counted)
}

fn created(job: Job<'_>) -> Option<&Value> {
    job.value().pointer("/metadata/creationTimestamp")
}

fn time(value: Option<&Value>) -> Option<jiff::Timestamp> {
    value?.as_str()?.parse().ok()
}

/// Whether the dormant Job that a request meets may still be released: the one that made it lives for
/// 34 s. Clocks that differ cost a wait too much or too little.
pub(super) fn is_under_way(request: &Request, now: jiff::Timestamp) -> bool {
    let created = request.old_object.as_ref().and_then(|old| time(created(Job::new(old))));
    created.is_none_or(|created| now.duration_since(created).unsigned_abs() <= LONGEST_REQUEST)
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_whose_first_pods_are_to_come_is_being_started() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let older = ServerVersion { minor: 37, patch: 1 };
        for (spec, status, expected) in [
            (json!({ "parallelism": 1 }), json!({}), true),
            (json!({}), json!({ "startTime": "t", "active": 0, "ready": 0 }), true),
            (json!({}), json!({ "startTime": "2026-01-01T00:00:55Z" }), true),
            (json!({}), json!({ "startTime": "2026-01-01T00:00:00Z" }), false),
            (json!({ "parallelism": 1 }), json!({ "active": 1 }), false),
            (json!({ "parallelism": 1 }), json!({ "active": 1, "ready": 0 }), false),
            (json!({ "parallelism": 1 }), json!({ "active": 0, "failed": 1 }), false),
            (json!({ "parallelism": 1 }), json!({ "active": 0, "terminating": 1 }), false),
            (json!({}), json!({ "active": 0, "uncountedTerminatedPods": {} }), true),
            (
                json!({}),
                json!({ "active": 0, "uncountedTerminatedPods": { "succeeded": ["u"] } }),
                false,
            ),
            (json!({ "parallelism": 0 }), json!({}), false),
            (json!({ "parallelism": 1, "suspend": true }), json!({}), false),
            (
                json!({ "completions": 0 }),
                json!({ "conditions": [{ "type": "Complete", "status": "True" }] }),
                false,
            ),
        ] {
            let job = json!({ "spec": spec, "status": status });
            let job = Job::new(&job);
            assert_eq!(is_being_started(job, Some(older), now), expected, "{spec} {status}");
            assert_eq!(is_being_started(job, None, now), expected, "an unknown version may be old");
            let later = ServerVersion { minor: 37, patch: 2 };
            assert!(!is_being_started(job, Some(later), now), "later versions forget");
        }
    }
}
