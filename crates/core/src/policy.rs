//! A policy: the named set of knobs that a namespace opts in to, as one validated value.
//!
//! Three sources make it: the built-in policies, the policy file (`policy_file` of the crate `rejob`) and the annotations of
//! a Job ([`annotations`]), which override the policy for that Job. Past this module no knob is a
//! string: every value here is one that the rest of the program can act on.

pub mod annotations;
pub mod knobs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The entry of the webhook configuration that brings every change of a dormant Job, whatever its
/// namespace opts in to by then, is named `dormant.rejob.dev`.
pub const DORMANT: &str = "dormant";

/// The entry that brings every change of `rejob.dev/rerun`, whatever its namespace opts in to, is named
/// `rerun.rejob.dev`: it fails closed, since the value would be stored and nothing would run.
pub const RERUN: &str = "rerun";

/// The names that no policy can have: those of rejob's own entries.
pub const RESERVED: [&str; 2] = [DORMANT, RERUN];

/// What an UPDATE that changes the immutable part does (`onChange`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnChange {
    /// Replace the Job inside the client's own request.
    #[default]
    Replace,
    /// Make all checks of a replacement, report the result, and do nothing: the API server answers
    /// as without rejob.
    Report,
    /// Keep the old Job, accept the rest of the request and warn.
    Keep,
    /// Refuse, naming the changed fields.
    Deny,
    /// Not rejob's business: the API server answers 422.
    Ignore,
}

/// What happens to a changed Job while the old one works (`whileRunning`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WhileRunning {
    /// Tell the client to wait, with 429 and `retryAfterSeconds`, so that it retries automatically.
    #[default]
    Wait,
    /// Replace the running Job.
    Replace,
    /// Refuse.
    Deny,
}

/// How a created Job is named (`naming`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Naming {
    /// The name of the manifest.
    #[default]
    Stable,
    /// `<name>-<template hash>`.
    TemplateHash,
}

/// A number of seconds from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Seconds<const LEAST: u32, const GREATEST: u32>(u32);

/// How long a deploy may wait under Wait: 1 to 3600 s, 60 by default (`waitSeconds`).
pub type WaitSeconds = Seconds<1, 3600>;

/// After how long a finished Job is deleted: 0 to 2147483647 s, as Kubernetes stores it (int32).
pub type Ttl = Seconds<0, { i32::MAX.unsigned_abs() }>;

impl<const LEAST: u32, const GREATEST: u32> Seconds<LEAST, GREATEST> {
    /// The least value, in seconds.
    pub const MIN: u32 = LEAST;
    /// The greatest value, in seconds.
    pub const MAX: u32 = GREATEST;

    /// The value in seconds.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const LEAST: u32, const GREATEST: u32> TryFrom<u32> for Seconds<LEAST, GREATEST> {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        if (LEAST..=GREATEST).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(format!("{seconds} is not in {LEAST} to {GREATEST}"))
        }
    }
}

impl<const LEAST: u32, const GREATEST: u32> From<Seconds<LEAST, GREATEST>> for u32 {
    fn from(seconds: Seconds<LEAST, GREATEST>) -> Self {
        seconds.0
    }
}

impl WaitSeconds {
    /// `retryAfterSeconds` of a 429: a tenth, rounded up, since client-go retries ten times.
    pub fn retry_after(self) -> u32 {
        self.0.div_ceil(10)
    }
}

impl Default for WaitSeconds {
    fn default() -> Self {
        Self(60)
    }
}

/// The knobs of one policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// What an UPDATE that changes the immutable part does.
    pub on_change: OnChange,
    /// What happens while the old Job works.
    pub while_running: WhileRunning,
    /// How long a deploy may wait under Wait, in seconds.
    pub wait_seconds: WaitSeconds,
    /// How a created Job is named.
    pub naming: Naming,
    /// Seconds after which a finished Job is deleted, injected on CREATE where the Job sets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<Ttl>,
}

impl Policy {
    /// Whether acting on this policy takes the right to delete and to create Jobs.
    pub fn replaces(&self) -> bool {
        self.on_change == OnChange::Replace
    }

    /// Whether this policy asks the cluster if a Job can be replaced.
    pub fn checks(&self) -> bool {
        self.replaces() || self.on_change == OnChange::Report
    }
}

/// All policies of one server, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySet(BTreeMap<String, Policy>);

impl From<BTreeMap<String, Policy>> for PolicySet {
    fn from(policies: BTreeMap<String, Policy>) -> Self {
        Self(policies)
    }
}

impl PolicySet {
    /// The policies used when no file is given: `replace`, `hash-name` and `ttl`.
    pub fn builtin() -> Self {
        let ttl = |seconds| Some(Seconds(seconds));
        Self(BTreeMap::from([
            ("replace".to_owned(), Policy::default()),
            (
                "hash-name".to_owned(),
                Policy {
                    naming: Naming::TemplateHash,
                    ttl_seconds_after_finished: ttl(24 * 60 * 60),
                    ..Policy::default()
                },
            ),
            (
                "ttl".to_owned(),
                Policy { ttl_seconds_after_finished: ttl(60 * 60), ..Policy::default() },
            ),
        ]))
    }

    /// The policy of that name.
    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.0.get(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and policies, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.0.iter().map(|(name, policy)| (name.as_str(), policy))
    }

    /// Whether some policy replaces.
    pub fn replaces(&self) -> bool {
        self.0.values().any(Policy::replaces)
    }

    /// Whether some policy replaces or reports, so that the server needs the cluster.
    pub fn checks(&self) -> bool {
        self.0.values().any(Policy::checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_tenth_rounded_up() {
        for (wait, retry) in [(1, 1), (10, 1), (11, 2), (60, 6), (3600, 360)] {
            assert_eq!(WaitSeconds::try_from(wait).unwrap().retry_after(), retry, "{wait}");
        }
    }

    #[test]
    fn seconds_outside_the_range_are_refused() {
        for (seconds, refused) in [
            (WaitSeconds::try_from(0).map(u32::from), "0 is not in 1 to 3600"),
            (WaitSeconds::try_from(3601).map(u32::from), "3601 is not in 1 to 3600"),
            (Ttl::try_from(Ttl::MAX + 1).map(u32::from), "2147483648 is not in 0 to 2147483647"),
        ] {
            assert_eq!(seconds, Err(refused.to_owned()));
        }
    }

    #[test]
    fn only_replace_and_report_ask_the_cluster() {
        for (on_change, replaces, checks) in [
            (OnChange::Replace, true, true),
            (OnChange::Report, false, true),
            (OnChange::Keep, false, false),
            (OnChange::Deny, false, false),
            (OnChange::Ignore, false, false),
        ] {
            let policy = |on_change| Policy { on_change, ..Policy::default() };
            assert_eq!(policy(on_change).replaces(), replaces);
            assert_eq!(policy(on_change).checks(), checks);
            let set = PolicySet::from(BTreeMap::from([
                ("a".to_owned(), policy(OnChange::Ignore)),
                ("b".to_owned(), policy(on_change)),
            ]));
            assert_eq!((set.replaces(), set.checks()), (replaces, checks));
        }
    }

    #[test]
    fn built_in_policies_all_replace() {
        let set = PolicySet::builtin();
        assert_eq!(set.names().collect::<Vec<_>>(), ["hash-name", "replace", "ttl"]);
        assert!(set.iter().all(|(_, policy)| policy.replaces()));
        let ttl = |name| set.get(name).unwrap().ttl_seconds_after_finished.map(Ttl::get);
        assert_eq!(["hash-name", "replace", "ttl"].map(ttl), [Some(86_400), None, Some(3600)]);
    }
}
