//! What became of a Job's run, for people and for programs.

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::job::Job;
use crate::replacement::Record;
use crate::words::between;

/// A Job's run, off its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRun {
    /// Where it stands.
    pub state: RunState,
    /// Why it failed: `BackoffLimitExceeded: Job has reached the specified backoff limit`.
    pub failure: Option<String>,
    /// Pods that are pending or run.
    pub active: i64,
    /// Pods that have succeeded.
    pub succeeded: i64,
    /// Pods that have failed.
    pub failed: i64,
    /// How many Pods are to succeed; `null` where one success is the end of a work queue.
    pub completions: Option<i64>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RunState {
    /// It has succeeded.
    Complete,
    /// It has failed.
    Failed,
    /// `spec.suspend` holds it.
    Suspended,
    /// rejob made it, and its replacement is not done.
    Dormant,
    /// It has Pods.
    Running,
    /// It has none yet.
    Waiting,
}

impl JobRun {
    /// Reads it off a Job.
    pub fn of(value: &Value) -> Self {
        let job = Job::new(value);
        let count = |field| job.status(field).and_then(Value::as_i64).unwrap_or(0);
        let time = |value: Option<&Value>| value.and_then(Value::as_str)?.parse().ok();
        let failure = job.condition("Failed");
        let state = if job.condition("Complete").is_some() {
            RunState::Complete
        } else if failure.is_some() {
            RunState::Failed
        } else if Record::of(job).is_some() {
            RunState::Dormant
        } else if job.is_suspended() {
            RunState::Suspended
        } else if count("active") > 0 {
            RunState::Running
        } else {
            RunState::Waiting
        };
        let text = |field| {
            let text = failure.and_then(|one| one.get(field)).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        Self {
            state,
            failure: match (text("reason"), text("message")) {
                (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
                (reason, message) => reason.or(message).map(str::to_owned),
            },
            active: count("active"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            completions: job.completions(),
            started: time(job.status("startTime")),
            ended: time(job.status("completionTime"))
                .or_else(|| time(failure.and_then(|one| one.get("lastTransitionTime")))),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, RunState::Complete | RunState::Failed)
    }

    /// Its Pods in words: `0/1 done, 1 active`.
    pub fn counts(&self) -> String {
        let mut text = match self.completions {
            Some(all) => format!("{}/{all} done", self.succeeded),
            None => format!("{} done", self.succeeded),
        };
        for (count, what) in [(self.active, "active"), (self.failed, "failed")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }

    /// Where it stands, and how long it has taken: `Complete in 12 s`, `Running for 3 min`.
    pub fn summary(&self, now: Timestamp) -> String {
        let state = self.state;
        let Some(started) = self.started else { return format!("{state:?}") };
        let (word, end) = self.ended.map_or(("for", now), |ended| ("in", ended));
        format!("{state:?} {word} {}", between(started, end))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_as_the_status_says() {
        let began = "2026-01-01T00:00:00Z";
        let condition = |kind: &str| {
            json!([{ "type": kind, "status": "True", "reason": "BackoffLimitExceeded",
                     "message": "too often", "lastTransitionTime": "2026-01-01T00:05:00Z" }])
        };
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        for (spec, status, counts, summary) in [
            (json!({}), json!({}), "0 done", "Waiting"),
            (
                json!({ "completions": 1 }),
                json!({ "active": 1, "startTime": began }),
                "0/1 done, 1 active",
                "Running for 10 min",
            ),
            (
                json!({ "completions": 1 }),
                json!({ "succeeded": 1, "startTime": began, "conditions": condition("Complete"),
                        "completionTime": "2026-01-01T00:00:12Z" }),
                "1/1 done",
                "Complete in 12 s",
            ),
            (
                json!({ "completions": 2 }),
                json!({ "failed": 3, "startTime": began, "conditions": condition("Failed") }),
                "0/2 done, 3 failed",
                "Failed in 5 min",
            ),
            (json!({ "suspend": true }), json!({}), "0 done", "Suspended"),
        ] {
            let run = JobRun::of(&json!({ "spec": spec, "status": status }));
            assert_eq!((run.counts().as_str(), run.summary(now).as_str()), (counts, summary));
        }
        let silent =
            json!([{ "type": "Failed", "status": "True", "reason": "Lost", "message": "" }]);
        let silent = JobRun::of(&json!({ "status": { "conditions": silent } }));
        assert_eq!(silent.failure.as_deref(), Some("Lost"));
        let failed = JobRun::of(&json!({ "status": { "conditions": condition("Failed") } }));
        assert_eq!(failed.failure.as_deref(), Some("BackoffLimitExceeded: too often"));
    }
}
