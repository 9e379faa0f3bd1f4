//! Whether a Job makes progress, so that replacing it would throw work away.

use serde_json::Value;

use super::Job;

/// What an old Job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Complete or Failed.
    Finished,
    /// Some Pod is ready, or some Pods have succeeded and others are to come.
    Running,
    /// Neither: not started, suspended, pulling an image, crash-looping.
    Idle,
}

/// Reads progress off `status`: `ready` > 0, or some Pods succeeded; without `ready`, `active`.
///
/// A Job that hangs in an image pull or a crash loop has active Pods and no ready one: it is Idle.
#[must_use]
pub fn progress(job: Job<'_>) -> Progress {
    let count = |field| job.status(field).and_then(Value::as_i64);
    if is_finished(job) {
        Progress::Finished
    } else if count("ready").or_else(|| count("active")).unwrap_or(0) > 0
        || count("succeeded").unwrap_or(0) > 0
    {
        Progress::Running
    } else {
        Progress::Idle
    }
}

fn is_finished(job: Job<'_>) -> bool {
    job.status("conditions").and_then(Value::as_array).is_some_and(|conditions| {
        conditions.iter().any(|condition| {
            let text = |field| condition.get(field).and_then(Value::as_str);
            matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_read_off_the_status() {
        let finished = |kind: &str, status: &str| json!([{ "type": kind, "status": status }]);
        for (status, expected) in [
            (json!({}), Progress::Idle),
            (json!({ "active": 1, "ready": 0 }), Progress::Idle),
            (json!({ "active": 1, "ready": 1 }), Progress::Running),
            (json!({ "active": 1 }), Progress::Running),
            (json!({ "active": 0 }), Progress::Idle),
            (json!({ "active": 2, "ready": 0, "succeeded": 1 }), Progress::Running),
            (json!({ "active": 2, "ready": 0, "failed": 3 }), Progress::Idle),
            (
                json!({ "succeeded": 1, "conditions": finished("Complete", "True") }),
                Progress::Finished,
            ),
            (json!({ "failed": 1, "conditions": finished("Failed", "True") }), Progress::Finished),
            (json!({ "ready": 1, "conditions": finished("Complete", "False") }), Progress::Running),
            (json!({ "ready": 1, "conditions": finished("Suspended", "True") }), Progress::Running),
        ] {
            let job = json!({ "status": status });
            assert_eq!(progress(Job::new(&job)), expected, "{status}");
        }
    }
}
