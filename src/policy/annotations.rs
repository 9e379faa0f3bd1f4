//! A Job's annotations, which override its policy's knobs for that Job.
//!
//! An invalid value overrides nothing. Whether it is refused or only warned about is decided by
//! who brings it: see `decide`.

use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::{Naming, OnChange, Policy, Ttl, WaitSeconds, WhileRunning};
use crate::job::{Job, keys};

/// Overrides `onChange`.
pub const ON_CHANGE: &str = "rejob.dev/on-change";
/// Overrides `whileRunning`.
pub const WHILE_RUNNING: &str = "rejob.dev/while-running";
/// Overrides `waitSeconds`.
pub const WAIT_SECONDS: &str = "rejob.dev/wait-seconds";
/// Overrides `naming`.
pub const NAMING: &str = "rejob.dev/naming";
/// Overrides `ttlSecondsAfterFinished`.
pub const TTL: &str = "rejob.dev/ttl-seconds-after-finished";

/// All of them.
pub const ALL: [&str; 5] = [ON_CHANGE, WHILE_RUNNING, WAIT_SECONDS, NAMING, TTL];

/// An annotation whose value is not one of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAnnotation {
    /// The annotation.
    pub key: &'static str,
    /// The value it has.
    pub value: String,
    /// What it may be.
    pub allowed: &'static str,
}

impl std::fmt::Display for InvalidAnnotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value: String = self.value.chars().take(40).collect();
        write!(f, "annotation {} is {value:?}; allowed: {}", self.key, self.allowed)
    }
}

impl Policy {
    /// The policy as the Job's annotations override it, and the annotations that are invalid.
    #[must_use]
    pub fn for_job(&self, job: Job<'_>) -> (Self, Vec<InvalidAnnotation>) {
        let mut policy = self.clone();
        let mut invalid = Vec::new();
        let mut read =
            |key: &'static str, allowed: &'static str, apply: &mut dyn FnMut(&str) -> bool| {
                if let Some(value) = job.annotation(key)
                    && !apply(value)
                {
                    invalid.push(InvalidAnnotation { key, value: value.to_owned(), allowed });
                }
            };
        read(ON_CHANGE, "Replace, Keep, Deny, Ignore", &mut |value| {
            set(&mut policy.on_change, variant::<OnChange>(value))
        });
        read(WHILE_RUNNING, "Wait, Replace, Deny", &mut |value| {
            set(&mut policy.while_running, variant::<WhileRunning>(value))
        });
        read(WAIT_SECONDS, "1 to 3600", &mut |value| {
            set(&mut policy.wait_seconds, number(value).and_then(|n| WaitSeconds::try_from(n).ok()))
        });
        read(NAMING, "Stable, TemplateHash", &mut |value| {
            set(&mut policy.naming, variant::<Naming>(value))
        });
        read(TTL, "0 to 2147483647", &mut |value| {
            set(&mut policy.ttl_seconds_after_finished, parse_ttl(value).map(Some))
        });
        read(keys::SKIP, "true, false", &mut |value| matches!(value, "true" | "false"));
        (policy, invalid)
    }
}

/// The TTL that the Job's own annotation asks for.
#[must_use]
pub fn ttl(job: Job<'_>) -> Option<Ttl> {
    parse_ttl(job.annotation(TTL)?)
}

fn parse_ttl(value: &str) -> Option<Ttl> {
    Ttl::try_from(number(value)?).ok()
}

fn set<T>(knob: &mut T, value: Option<T>) -> bool {
    value.map(|value| *knob = value).is_some()
}

/// An enum value by the name it has in the policy file.
fn variant<T: for<'a> Deserialize<'a>>(value: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<ValueError>::new(value)).ok()
}

/// Digits only: no sign, no space.
fn number(value: &str) -> Option<u32> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overridden(annotations: serde_json::Value) -> (Policy, Vec<InvalidAnnotation>) {
        let job = json!({ "metadata": { "annotations": annotations } });
        Policy::default().for_job(Job::new(&job))
    }

    #[test]
    fn each_annotation_overrides_its_knob() {
        let (policy, invalid) = overridden(json!({
            ON_CHANGE: "Keep", WHILE_RUNNING: "Deny", WAIT_SECONDS: "5",
            NAMING: "TemplateHash", TTL: "0", keys::SKIP: "false",
        }));
        assert_eq!(invalid, []);
        assert_eq!(
            policy,
            Policy {
                on_change: OnChange::Keep,
                while_running: WhileRunning::Deny,
                wait_seconds: WaitSeconds::try_from(5).unwrap(),
                naming: Naming::TemplateHash,
                ttl_seconds_after_finished: Some(Ttl::try_from(0).unwrap()),
            }
        );
    }

    #[test]
    fn an_invalid_value_overrides_nothing_and_names_the_allowed_ones() {
        for (key, value, allowed) in [
            (ON_CHANGE, "keep", "Ignore"),
            (WHILE_RUNNING, "", "Wait"),
            (WAIT_SECONDS, "0", "3600"),
            (WAIT_SECONDS, "+5", "3600"),
            (NAMING, "Hash", "TemplateHash"),
            (TTL, "-1", "2147483647"),
            (TTL, "", "2147483647"),
            (TTL, "2147483648", "2147483647"),
            (keys::SKIP, "yes", "true"),
        ] {
            let (policy, invalid) = overridden(json!({ key: value }));
            assert_eq!(policy, Policy::default(), "{key}");
            assert_eq!(invalid.len(), 1, "{key}");
            assert!(invalid[0].to_string().contains(allowed), "{}", invalid[0]);
        }
    }
}
