//! The record of a dormant Job: the intended parallelism, the Job it replaces, and the user.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::job::{Job, keys};
use crate::json;
use crate::review::{Request, UserInfo};

/// The annotation `rejob.dev/dormant`: compact JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")] // a later version's fields are tolerated, in a rolling update
pub struct Record {
    /// The parallelism to release it with; `None` leaves it to the API server's default.
    pub parallelism: Option<i64>,
    /// The uid of the Job it replaces.
    pub uid: String,
    /// The resourceVersion that the request carried, that of the Job it replaces.
    pub resource_version: String,
    /// Who asked for it: see [`identity`].
    pub user: String,
    /// With which field manager.
    pub manager: Option<String>,
    /// The policy by which it is replaced: its next turn comes by the path of [`crate::policy::DORMANT`].
    #[serde(default)]
    pub policy: String,
    /// How many replacements led here, each of a Job made dormant for the same user and manager;
    /// 1 where a Job that ran was replaced.
    #[serde(rename = "turn", default = "first")]
    pub replacements: u32,
    /// The hash of the request as it was sent, where the Job was made of less: a client that sends
    /// the whole object again sends a queue's part again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// Whether the request suspends the Job: a queue's webhook may suspend it when it is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// The keys of the request's labels, where it is a PUT of a manifest: what admission adds stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeSet<String>>,
    /// What changed, for the warning when the Job starts.
    #[serde(default)]
    pub changed: String,
    /// Who is to own which field (`metadata.managedFields`), where it is not too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Value>,
}

/// A digest of who sends a request: name, uid and groups. A forged review can claim any user. The Job
/// starts only if a real request comes from a user with the same name, uid and groups.
pub fn identity(user: &UserInfo) -> String {
    let groups: BTreeSet<&str> = user.groups.iter().map(String::as_str).collect();
    // Texts in JSON cannot run into each other, and always serialize.
    let text = serde_json::to_vec(&(&user.username, &user.uid, groups)).unwrap_or_default();
    STANDARD_NO_PAD.encode(Sha256::digest(text))
}

fn first() -> u32 {
    1
}

impl Record {
    /// The record of a dormant Job; `None` when the label or a readable record is missing, and if
    /// the Job is not dormant: then the marks are forged.
    pub fn of(job: Job<'_>) -> Option<Self> {
        job.label(keys::DORMANT)?;
        (job.parallelism() == Some(0)).then_some(())?;
        json::read(job.annotation(keys::DORMANT)?)
    }

    /// The annotation's value.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the request is the one, or an identical one, that the dormant Job was made for.
    pub fn is_for(&self, request: &Request) -> bool {
        self.user == identity(&request.user) && self.manager == request.field_manager
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_the_name_the_uid_and_the_groups_in_any_order() {
        let user = |name: &str, uid: &str, groups: &[&str]| {
            identity(&UserInfo {
                username: name.into(),
                uid: uid.into(),
                groups: groups.iter().map(|&group| group.into()).collect(),
                ..UserInfo::default()
            })
        };
        let ada = user("ada", "1", &["dev", "ops"]);
        assert_eq!(ada, user("ada", "1", &["ops", "dev"]));
        for other in [
            user("ada", "1", &["dev", "ops", "system:masters"]),
            user("ada", "1", &["dev"]),
            user("ada", "2", &["dev", "ops"]),
            user("eve", "1", &["dev", "ops"]),
            user("ada", "1", &["devops"]),
        ] {
            assert_ne!(ada, other);
        }
    }

    /// The webhook configuration tells a record by this text, wherever it stands
    /// (`rejob.cel.isDormant` of the chart).
    #[test]
    fn every_record_says_its_parallelism() {
        for parallelism in [Some(3), None] {
            let record = Record {
                parallelism,
                uid: "old".into(),
                resource_version: "1".into(),
                user: identity(&UserInfo::default()),
                manager: None,
                policy: "replace".into(),
                replacements: 1,
                sent: None,
                suspended: false,
                labels: None,
                changed: "it".into(),
                owners: None,
            };
            let text = record.to_text();
            assert!(text.contains(r#""parallelism":"#), "{text}");
        }
    }
}
