//! What `onChange: Report` has reported, read back from Events or an audit log, and summed up.
//!
//! No I/O but reading lines: the command and the doctor bring the Events, the command opens the
//! files.

pub mod audit;
pub mod events;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::reason::Reason;

/// What Replace would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The request would be refused.
    Refused,
    /// A check got no answer: under Replace, the client retries automatically.
    Unchecked,
    /// The client would wait, and the Job would be replaced then.
    Waits,
    /// The Job would be replaced at once.
    Replaced,
    /// Nothing would run: the difference is another admission hook's.
    Unchanged,
}

impl Expected {
    /// Told by the reason why not; none where the Job would be replaced at once.
    pub fn of(why_not: Option<&str>) -> Self {
        let Some(label) = why_not else { return Self::Replaced };
        match Reason::from_label(label) {
            Some(Reason::RunningWait | Reason::BeingDeletedWait) => Self::Waits,
            Some(Reason::Restored) => Self::Unchanged,
            Some(Reason::ClusterError | Reason::TooManyRequests | Reason::UnclearWriter) => {
                Self::Unchecked
            }
            // One of a later version as well: what it means is in its sentence.
            _ => Self::Refused,
        }
    }
}

/// One request that was reported on. From an Event: one change of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Which Job, by whom, and what Replace would have done.
    pub key: ReportKey,
    /// When, by the API server's clock.
    pub time: Timestamp,
    /// Whether the request was a dry run.
    pub dry_run: bool,
    /// What changes.
    pub changed: String,
    /// Why the request would be refused.
    pub refusal: Option<String>,
}

/// What a row sums up. What needs work comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportKey {
    /// What Replace would have done.
    #[serde(rename = "outcome")]
    pub expected: Expected,
    /// The Job's namespace.
    pub namespace: String,
    /// The Job's name.
    pub job: String,
    /// The Kubernetes user who asked.
    pub user: String,
    /// The client's field manager; empty where it named none.
    pub manager: String,
    /// The reason's label, where the Job would not be replaced at once.
    pub why_not: Option<String>,
}

/// All that was reported of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportRow {
    /// What it sums up.
    #[serde(flatten)]
    pub key: ReportKey,
    /// How many requests, without dry runs. From Events: how many changes.
    pub requests: usize,
    /// How many dry runs.
    pub dry_runs: usize,
    /// When the first one came.
    pub first: Timestamp,
    /// When the last one came.
    pub last: Timestamp,
    /// What changes by the last one.
    pub changed: String,
    /// Why the last one would be refused.
    pub refusal: Option<String>,
}

/// The sum.
#[derive(Debug, Default)]
pub struct Sum(BTreeMap<ReportKey, ReportRow>);

impl Sum {
    /// Adds one request.
    pub fn add(&mut self, reported: Reported) {
        let Reported { key, time, dry_run, changed, refusal } = reported;
        let row = self.0.entry(key).or_insert_with_key(|key| ReportRow {
            key: key.clone(),
            requests: 0,
            dry_runs: 0,
            first: time,
            last: time,
            changed: changed.clone(),
            refusal: refusal.clone(),
        });
        row.requests += usize::from(!dry_run);
        row.dry_runs += usize::from(dry_run);
        row.first = row.first.min(time);
        if time.cmp(&row.last) == Ordering::Greater {
            (row.last, row.changed, row.refusal) = (time, changed, refusal);
        }
    }

    /// The rows: what needs work first, then by namespace and Job.
    pub fn rows(&self) -> impl Iterator<Item = &ReportRow> {
        self.0.values()
    }

    /// How many requests, dry runs included, would have come to that.
    pub fn requests(&self, expected: Expected) -> usize {
        let rows = self.rows().filter(|row| row.key.expected == expected);
        rows.map(|row| row.requests + row.dry_runs).sum()
    }

    /// How many Jobs.
    pub fn jobs(&self) -> usize {
        let names = self.rows().map(|row| (&row.key.namespace, &row.key.job));
        names.collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(job: &str, why_not: Option<&str>, second: i64, dry_run: bool) -> Reported {
        Reported {
            key: ReportKey {
                expected: Expected::of(why_not),
                namespace: "batch".into(),
                job: job.into(),
                user: "anna".into(),
                manager: "kubectl".into(),
                why_not: why_not.map(str::to_owned),
            },
            time: Timestamp::from_second(second).unwrap(),
            dry_run,
            changed: format!("change {second}"),
            refusal: None,
        }
    }

    #[test]
    fn what_needs_work_comes_first_and_the_last_change_is_shown() {
        let mut sum = Sum::default();
        for (job, why_not, second, dry_run) in [
            ("a", None, 20, false),
            ("a", None, 10, true),
            ("b", Some("restored"), 1, false),
            ("a", Some("running_wait"), 5, false),
            ("c", Some("rights_denied"), 7, false),
            ("d", Some("cluster_error"), 3, false),
            ("c", Some("a_reason_of_tomorrow"), 8, false),
            ("a", None, 15, true),
        ] {
            sum.add(reported(job, why_not, second, dry_run));
        }
        let rows: Vec<_> = sum.rows().map(|row| (row.key.expected, row.key.job.as_str())).collect();
        let expected = [
            (Expected::Refused, "c"),
            (Expected::Refused, "c"),
            (Expected::Unchecked, "d"),
            (Expected::Waits, "a"),
            (Expected::Replaced, "a"),
            (Expected::Unchanged, "b"),
        ];
        assert_eq!(rows, expected);
        let replaced = sum.rows().nth(4).unwrap();
        assert_eq!((replaced.requests, replaced.dry_runs), (1, 2));
        assert_eq!((replaced.first.as_second(), replaced.last.as_second()), (10, 20));
        assert_eq!(replaced.changed, "change 20");
        assert_eq!((sum.jobs(), sum.requests(Expected::Replaced)), (4, 3));
    }
}
