//! The reaper: dormant Jobs that nobody came back for are deleted.
//!
//! A crash between two steps so always ends in "the client got an error and the Job is absent or
//! untouched", never in a Job that silently does not run. Every replica reaps what it has itself
//! seen for over a minute by its monotonic clock (a request lives at most 34 s): clocks of two
//! machines are never compared.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::job::Job;
use crate::policy::PolicySet;

use super::Record;

/// How often the dormant Jobs are listed.
pub const INTERVAL: Duration = Duration::from_secs(30);
/// How long a dormant Job must have been seen before it is deleted.
pub const GRACE: Duration = Duration::from_mins(1);

/// The longest that a request to the API server lives: until then a dormant Job may be released.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(34);

/// A dormant Job that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, a precondition of the deletion.
    pub uid: String,
    /// Its resourceVersion, a precondition of the deletion.
    pub resource_version: String,
}

/// What this replica has seen.
#[derive(Debug)]
pub struct Reaper {
    grace: Duration,
    seen: HashMap<String, Instant>,
}

/// Whether the webhook guards the marks of dormant Jobs in a namespace with this label value. Where
/// it does not, anyone who may patch a Job could set them, to have it deleted.
#[must_use]
pub fn is_guarded(
    namespace: &str,
    label: Option<&str>,
    policies: &PolicySet,
    own_namespace: Option<&str>,
) -> bool {
    namespace != "kube-system"
        && Some(namespace) != own_namespace
        && label.is_some_and(|label| policies.get(label).is_some())
}

impl Reaper {
    /// A reaper that has seen nothing yet.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, seen: HashMap::new() }
    }

    /// Looks at the dormant Jobs there are now; those that are due.
    pub fn look(&mut self, jobs: &[Value], now: Instant) -> Vec<Due> {
        let dormant: Vec<Due> = jobs.iter().filter_map(due).collect();
        self.seen.retain(|uid, _| dormant.iter().any(|due| due.uid == *uid));
        dormant
            .into_iter()
            .filter(|due| {
                let first = *self.seen.entry(due.uid.clone()).or_insert(now);
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
        uid: job.uid()?.to_owned(),
        resource_version: job.resource_version()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replace::record::{make_dormant, recorded};

    fn dormant(change: impl FnOnce(&mut Value)) -> Value {
        let mut job = json!({
            "metadata": {
                "name": "nightly", "namespace": "a", "uid": "u", "resourceVersion": "7"
            },
            "status": {}
        });
        make_dormant(&mut job, &recorded("deployer", None));
        change(&mut job);
        job
    }

    #[test]
    fn only_where_the_webhook_guards_the_marks_is_anything_reaped() {
        let policies = PolicySet::builtin();
        for (namespace, label, expected) in [
            ("team", Some("replace"), true),
            ("team", Some("ttl"), true),
            ("team", Some("replase"), false),
            ("team", None, false),
            ("kube-system", Some("replace"), false),
            ("rejob", Some("replace"), false),
        ] {
            let guarded = is_guarded(namespace, label, &policies, Some("rejob"));
            assert_eq!(guarded, expected, "{namespace} {label:?}");
        }
    }

    #[test]
    fn a_dormant_job_is_due_after_it_was_seen_for_the_grace_period() {
        let mut reaper = Reaper::new(GRACE);
        let start = Instant::now();
        let jobs = [dormant(|_| ())];
        assert_eq!(reaper.look(&jobs, start), []);
        assert_eq!(reaper.look(&jobs, start + GRACE), []);
        let due = reaper.look(&jobs, start + GRACE + Duration::from_secs(1));
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].uid.as_str(), due[0].resource_version.as_str()), ("u", "7"));
    }

    #[test]
    fn a_job_that_was_released_meanwhile_starts_anew() {
        let mut reaper = Reaper::new(GRACE);
        let start = Instant::now();
        reaper.look(&[dormant(|_| ())], start);
        reaper.look(&[], start + GRACE);
        assert_eq!(reaper.look(&[dormant(|_| ())], start + 2 * GRACE), []);
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
            let mut reaper = Reaper::new(Duration::ZERO);
            let start = Instant::now();
            let jobs = [dormant(change)];
            reaper.look(&jobs, start);
            assert_eq!(reaper.look(&jobs, start + GRACE), [], "{}", jobs[0]);
        }
    }
}
