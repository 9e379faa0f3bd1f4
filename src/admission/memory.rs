//! What this replica made a Job for: the template hash that was asked for, by the new Job's uid.
//!
//! Where another hook rewrites templates on CREATE only and runs before rejob, an apply's Job is
//! re-created with the rewritten hash recorded. When the same Job is then asked for the hash that
//! it was made for, the difference is not the caller's: see `decide`. Bounded, for an hour.
//!
//! The API server gives an apply's new Job its uid after the answer: until it is seen, in a look-up
//! or in the next request about it, whichever comes first, it is expected.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::job::{Job, TemplateHash, asked_for, entry_index};
use crate::replace::Plan;

/// How long a replacement is remembered.
const LIFE: Duration = Duration::from_hours(1);
/// How many replacements are remembered.
const MOST: usize = 2_000;

/// The replacements of the last hour.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// By uid.
    made: HashMap<String, (Made, Instant)>,
    /// By namespace and name; as many as there are look-ups under way.
    expected: HashMap<(String, String), Expected>,
}

/// A Job that an apply is about to make, and whose uid is not known yet.
#[derive(Debug)]
struct Expected {
    replaced_uid: String,
    manager: String,
    made: Made,
}

/// What a Job was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The hash of what was asked for.
    pub hash: TemplateHash,
    /// What was asked for, where it is not too large.
    pub asked: Option<Value>,
}

impl Made {
    /// What a plan's new Job is made for.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self { hash: plan.hash.clone(), asked: asked_for(&plan.job) }
    }
}

impl Memory {
    /// What the Job of this uid was made for.
    #[must_use]
    pub fn of(&self, uid: &str, now: Instant) -> Option<Made> {
        let entries = self.entries();
        let entry = entries.made.get(uid);
        entry
            .filter(|(_, at)| now.saturating_duration_since(*at) < LIFE)
            .map(|(made, _)| made.clone())
    }

    /// Remembers what a Job was made for. When full, what is over an hour old goes, else the oldest.
    pub fn keep(&self, uid: String, made: Made, now: Instant) {
        self.entries().keep(uid, made, now);
    }

    /// Expects the Job that the API server is about to make for an apply.
    pub fn expect(&self, plan: &Plan) {
        let expected = Expected {
            replaced_uid: plan.uid.clone(),
            manager: plan.field_manager.clone().unwrap_or_default(),
            made: Made::of(plan),
        };
        self.entries().expected.insert((plan.namespace.clone(), plan.name.clone()), expected);
    }

    /// A stored Job is seen: if it is an expected one, it is known by its uid from now on. Another
    /// client may have been faster: only a Job that the same manager's apply made is the one.
    pub fn meet(&self, namespace: &str, job: Job<'_>, now: Instant) {
        let (Some(name), Some(uid)) = (job.name(), job.uid()) else { return };
        let mut entries = self.entries();
        if entries.expected.is_empty() {
            return;
        }
        let key = (namespace.to_owned(), name.to_owned());
        // A stale view shows the replaced Job.
        if entries.expected.get(&key).is_none_or(|expected| expected.replaced_uid == uid) {
            return;
        }
        if let Some(expected) = entries.expected.remove(&key)
            && entry_index(job, &expected.manager).is_some()
        {
            entries.keep(uid.to_owned(), expected.made, now);
        }
    }

    /// Stops expecting a plan's Job, unless a later plan's is expected.
    pub fn no_longer_expect(&self, plan: &Plan) {
        let key = (plan.namespace.clone(), plan.name.clone());
        let mut entries = self.entries();
        if entries.expected.get(&key).is_some_and(|expected| expected.replaced_uid == plan.uid) {
            entries.expected.remove(&key);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn keep(&mut self, uid: String, made: Made, now: Instant) {
        if self.made.len() >= MOST {
            self.made.retain(|_, (_, at)| now.saturating_duration_since(*at) < LIFE);
        }
        if self.made.len() >= MOST {
            let oldest = self.made.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(uid, _)| uid.clone()) {
                self.made.remove(&oldest);
            }
        }
        self.made.insert(uid, (made, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        Made { hash: TemplateHash::of(&serde_json::json!({})), asked: None }
    }

    #[test]
    fn a_replacement_is_remembered_for_an_hour() {
        let memory = Memory::default();
        let now = Instant::now();
        memory.keep("u".into(), made(), now);
        assert_eq!(memory.of("u", now), Some(made()));
        assert_eq!(memory.of("other", now), None);
        assert_eq!(memory.of("u", now + LIFE), None);
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let memory = Memory::default();
        let now = Instant::now();
        for n in 0..=MOST {
            memory.keep(n.to_string(), made(), now + Duration::from_millis(n as u64));
        }
        assert_eq!(memory.0.lock().unwrap().made.len(), MOST);
        assert_eq!(memory.of("0", now), None);
        assert_eq!(memory.of("1", now), Some(made()));
    }
}
