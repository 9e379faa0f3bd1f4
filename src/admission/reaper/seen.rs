//! What a replica has seen of dormant Jobs, and which of them are due. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::job::Job;
use crate::replacement::Record;

/// A dormant Job that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When the API server created it.
    pub created: Timestamp,
    /// Its uid, a precondition of the deletion.
    pub uid: String,
    /// Its resourceVersion, a precondition of the deletion.
    pub resource_version: String,
}

/// The dormant Jobs that this replica sees, each since when by its monotonic clock.
#[derive(Debug)]
pub struct Seen {
    grace: Duration,
    since: HashMap<String, Instant>,
}

impl Seen {
    /// Nothing is seen yet.
    pub fn new(grace: Duration) -> Self {
        Self { grace, since: HashMap::new() }
    }

    /// Looks at the dormant Jobs there are now; those that are due.
    pub fn look(&mut self, jobs: &[Value], now: Instant) -> Vec<Due> {
        let dormant: Vec<Due> = jobs.iter().filter_map(due).collect();
        self.since.retain(|uid, _| dormant.iter().any(|due| due.uid == *uid));
        dormant
            .into_iter()
            .filter(|due| {
                let first = *self.since.entry(due.uid.clone()).or_insert(now);
                now.saturating_duration_since(first) > self.grace
            })
            .collect()
    }
}

/// A Job that rejob made dormant and that starts no Pod: it has the record, `parallelism: 0` and
/// no active Pod.
fn due(value: &Value) -> Option<Due> {
    let job = Job::new(value);
    Record::of(job)?;
    let active = job.status("active").and_then(Value::as_i64).unwrap_or(0);
    (active == 0 && !job.is_being_deleted()).then_some(())?;
    Some(Due {
        namespace: value.pointer("/metadata/namespace")?.as_str()?.to_owned(),
        name: job.name()?.to_owned(),
        created: job.created()?,
        uid: job.uid()?.to_owned(),
        resource_version: job.resource_version()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::reaper::GRACE;
    use crate::kubernetes::fake::{make_dormant, recorded};

    fn dormant(change: impl FnOnce(&mut Value)) -> Value {
        let mut job = json!({
            "metadata": {
                "name": "nightly", "namespace": "a", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z"
            },
            "status": {}
        });
        make_dormant(&mut job, &recorded("deployer", None));
        change(&mut job);
        job
    }

    #[test]
    fn a_dormant_job_is_due_after_it_was_seen_for_the_grace_period() {
        let mut seen = Seen::new(GRACE);
        let start = Instant::now();
        let jobs = [dormant(|_| ())];
        assert_eq!(seen.look(&jobs, start), []);
        assert_eq!(seen.look(&jobs, start + GRACE), []);
        let due = seen.look(&jobs, start + GRACE + Duration::from_secs(1));
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].uid.as_str(), due[0].resource_version.as_str()), ("u", "7"));
    }

    #[test]
    fn a_job_that_was_released_meanwhile_starts_anew() {
        let mut seen = Seen::new(GRACE);
        let start = Instant::now();
        seen.look(&[dormant(|_| ())], start);
        seen.look(&[], start + GRACE);
        assert_eq!(seen.look(&[dormant(|_| ())], start + 2 * GRACE), []);
    }

    #[test]
    fn only_what_rejob_made_dormant_is_ever_due() {
        type Change = fn(&mut Value);
        let changes: [Change; 6] = [
            |job| job["spec"]["parallelism"] = json!(1),
            |job| job["status"]["active"] = json!(1),
            |job| job["metadata"]["annotations"] = json!({}),
            |job| job["metadata"]["annotations"]["rejob.dev/dormant"] = json!("true"),
            |job| job["metadata"]["labels"] = json!({}),
            |job| job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        ];
        for change in changes {
            let mut seen = Seen::new(Duration::ZERO);
            let start = Instant::now();
            let jobs = [dormant(change)];
            seen.look(&jobs, start);
            assert_eq!(seen.look(&jobs, start + GRACE), [], "{}", jobs[0]);
        }
    }
}
