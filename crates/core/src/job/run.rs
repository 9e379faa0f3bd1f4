//! How a Job's run went, in words: what is kept of the run that a replacement ends.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Job, Progress, progress};

/// State, begin and length of a Job's run, from its status: `Complete, began 2026-01-01T00:00:00Z, took
/// 42s`. `works`, which the status does not show: whether a Pod works that is not ready.
pub fn describe_run(job: Job<'_>, works: bool) -> String {
    let time = |value: Option<&Value>| value?.as_str()?.parse::<Timestamp>().ok();
    let ended = ["Complete", "Failed"].into_iter().find_map(|kind| {
        let condition = job.condition(kind)?;
        Some((
            kind,
            condition,
            job.status("completionTime").or(condition.get("lastTransitionTime")),
        ))
    });
    let mut words = match ended {
        Some(("Failed", condition, _)) => match condition.get("reason").and_then(Value::as_str) {
            Some(reason) => format!("Failed ({reason})"),
            None => "Failed".to_owned(),
        },
        Some((kind, ..)) => kind.to_owned(),
        None if works || progress(job) == Progress::Working => "working".to_owned(),
        None if job.is_suspended() => "suspended".to_owned(),
        None => "unfinished".to_owned(),
    };
    let Some(began) = time(job.status("startTime")) else { return words };
    let _ = write!(words, ", began {began}");
    if let Some(ended) = ended.and_then(|(.., at)| time(at)) {
        let took = SignedDuration::from_secs(ended.as_second() - began.as_second());
        let _ = write!(words, ", took {took:#}");
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_by_its_end_its_begin_and_its_length() {
        let at = |second: u32| format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        let ended = |kind: &str, reason: &str, second| {
            json!([{ "type": "Suspended", "status": "False" },
                { "type": kind, "status": "True", "reason": reason, "lastTransitionTime": at(second) }])
        };
        for (status, works, expected) in [
            (
                json!({ "startTime": at(0), "completionTime": at(42),
                    "conditions": ended("Complete", "CompletionsReached", 43) }),
                false,
                "Complete, began 2026-01-01T00:00:00Z, took 42s",
            ),
            (
                json!({ "startTime": at(5), "conditions": ended("Failed", "BackoffLimitExceeded", 130) }),
                false,
                "Failed (BackoffLimitExceeded), began 2026-01-01T00:00:05Z, took 2m 5s",
            ),
            (
                json!({ "startTime": at(5), "active": 1, "ready": 1 }),
                false,
                "working, began 2026-01-01T00:00:05Z",
            ),
            (
                json!({ "startTime": at(5), "active": 1 }),
                true,
                "working, began 2026-01-01T00:00:05Z",
            ),
            (
                json!({ "startTime": at(5), "active": 1 }),
                false,
                "unfinished, began 2026-01-01T00:00:05Z",
            ),
            (json!({}), false, "unfinished"),
            (json!({ "startTime": "soon", "conditions": 1 }), false, "unfinished"),
        ] {
            let job = json!({ "spec": {}, "status": status });
            assert_eq!(describe_run(Job::new(&job), works), expected, "{status}");
        }
        let suspended = json!({ "spec": { "suspend": true } });
        assert_eq!(describe_run(Job::new(&suspended), false), "suspended");
    }
}
