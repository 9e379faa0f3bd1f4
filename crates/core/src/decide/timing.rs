//! What follows from a time in a Job and the clock, `now`. That this clock and the cluster's differ costs
//! no more than a wait too much or too little.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::job::{Job, Progress, last_apply, progress};
use crate::review::Request;

/// The longest that a request to the API server lives: until then a dormant Job may be released.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(34);

/// How long the first Pods of a Job may take to be made; where there are none later, they are
/// refused (a quota, a policy), and the Job only hangs.
const STARTING: Duration = Duration::from_secs(10);

/// How long ago an apply may be for the next one to leave no trace: its time is in whole seconds.
const JUST_NOW: Duration = Duration::from_secs(3);

fn is_within(span: Duration, time: Timestamp, now: Timestamp) -> bool {
    now.duration_since(time).unsigned_abs() <= span
}

/// Whether the Job controller may be making the first Pods of a Job: it has not counted any, has not
/// seen any end, and is to start some.
pub fn is_being_started(job: Job<'_>, now: Timestamp) -> bool {
    let started = job.status("startTime").map(|time| time.as_str()?.parse().ok());
    let begun = started.unwrap_or_else(|| job.created());
    let ended = job.value().pointer("/status/uncountedTerminatedPods").and_then(Value::as_object);
    let counted = |field: &&str| job.status(field).and_then(Value::as_i64) > Some(0);
    begun.is_none_or(|begun| is_within(STARTING, begun, now))
        && ended.is_none_or(serde_json::Map::is_empty)
        && job.parallelism() != Some(0)
        && !job.is_suspended()
        && progress(job) == Progress::Idle
        && !["active", "succeeded", "failed", "terminating"].iter().any(counted)
}

/// Whether the dormant Job that a request meets may still be released: the request that made it may
/// live.
pub fn may_be_released(request: &Request, now: Timestamp) -> bool {
    let created = request.old_object.as_ref().and_then(|old| Job::new(old).created());
    created.is_none_or(|created| is_within(LONGEST_REQUEST, created, now))
}

/// Whether the request's manager applied the Job within the last three seconds by this clock; a clock
/// that is behind the API server's by more must not make every apply a recent one.
pub fn applied_just_now(request: &Request, now: Timestamp) -> bool {
    let last = || {
        let old = Job::new(request.old_object.as_ref()?);
        last_apply(old, request.field_manager.as_deref()?)?.parse().ok()
    };
    last().is_some_and(|last| is_within(JUST_NOW, last, now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_whose_first_pods_are_to_come_is_being_started() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
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
            assert_eq!(is_being_started(Job::new(&job), now), expected, "{spec} {status}");
        }
    }
}
