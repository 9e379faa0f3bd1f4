//! The record of a dormant Job: what it is to become, and for whom.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{Job, keys};
use crate::review::Request;

/// The annotation `rejob.dev/dormant`: compact JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")] // a later version's fields are borne, in a rolling update
pub struct Record {
    /// The parallelism to release it with; `None` leaves it to the API server's default.
    pub parallelism: Option<i64>,
    /// The uid of the Job it replaces.
    pub uid: String,
    /// The resourceVersion that the request carried, that of the Job it replaces.
    pub resource_version: String,
    /// Who asked for it.
    pub user: String,
    /// With which field manager.
    pub manager: Option<String>,
    /// The policy by which it is replaced: its next turn comes by the path of [`crate::policy::DORMANT`].
    #[serde(default)]
    pub policy: String,
    /// How many replacements led here, each of a Job made dormant for the same user and manager;
    /// 1 where a Job that ran was replaced.
    #[serde(default = "first")]
    pub turn: u32,
    /// What was asked for, where it is not too large: a hook may rewrite the dormant Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Value>,
    /// Who is to own which field (`metadata.managedFields`), where it is not too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Value>,
}

fn first() -> u32 {
    1
}

impl Record {
    /// The record of a dormant Job; `None` when the label or a readable record is missing, and where
    /// the Job is not asleep: then the marks are forged.
    #[must_use]
    pub fn of(job: Job<'_>) -> Option<Self> {
        job.label(keys::DORMANT)?;
        (job.parallelism() == Some(0)).then_some(())?;
        serde_json::from_str(job.annotation(keys::DORMANT)?).ok()
    }

    /// The annotation's value.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the request is the one, or an identical one, that the dormant Job was made for.
    #[must_use]
    pub fn was_made_for(&self, request: &Request) -> bool {
        self.user == request.user.username && self.manager == request.field_manager
    }
}

/// A record as the tests take it: of a Job of `parallelism` 1 that this user and manager asked for.
#[cfg(test)]
pub(crate) fn recorded(user: &str, manager: Option<&str>) -> Record {
    Record {
        parallelism: Some(1),
        uid: "old".into(),
        resource_version: "1".into(),
        user: user.into(),
        manager: manager.map(str::to_owned),
        policy: "replace".into(),
        turn: 1,
        asked: None,
        owners: None,
    }
}

/// Makes a Job dormant, with that record.
#[cfg(test)]
pub(crate) fn make_dormant(job: &mut Value, record: &Record) {
    job["spec"]["parallelism"] = 0.into();
    job["metadata"]["labels"][keys::DORMANT] = "true".into();
    job["metadata"]["annotations"][keys::DORMANT] = record.to_text().into();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The webhook configuration tells a record by this text, wherever it stands
    /// (`rejob.cel.isDormant` of the chart).
    #[test]
    fn every_record_says_its_parallelism() {
        for parallelism in [Some(3), None] {
            let text = Record { parallelism, ..recorded("alice", None) }.to_text();
            assert!(text.contains(r#""parallelism":"#), "{text}");
        }
    }
}
