//! What this replica made a Job for: the template hash that was asked for, by the new Job's uid.
//!
//! Where another hook rewrites templates on CREATE only and runs before rejob, an apply's Job is
//! re-created with the rewritten hash recorded. When the same Job is then asked for the hash that
//! it was made for, the difference is not the caller's: see `decide`. Bounded, for an hour.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::job::TemplateHash;

/// How long a replacement is remembered.
const LIFE: Duration = Duration::from_hours(1);
/// How many replacements are remembered.
const MOST: usize = 2_000;

/// The replacements of the last hour.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, (Made, Instant)>>);

/// What a Job was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The hash of what was asked for.
    pub hash: TemplateHash,
    /// What was asked for, where it is not too large.
    pub asked: Option<Value>,
}

impl Memory {
    /// What the Job of this uid was made for.
    #[must_use]
    pub fn of(&self, uid: &str, now: Instant) -> Option<Made> {
        let entries = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        entries
            .get(uid)
            .filter(|(_, at)| now.saturating_duration_since(*at) < LIFE)
            .map(|(made, _)| made.clone())
    }

    /// Remembers what a Job was made for. When full, what is over an hour old goes, else the oldest.
    pub fn keep(&self, uid: String, made: Made, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.retain(|_, (_, at)| now.saturating_duration_since(*at) < LIFE);
        }
        if entries.len() >= MOST {
            let oldest = entries.iter().min_by_key(|(_, (_, at))| *at).map(|(uid, _)| uid.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(uid, (made, now));
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
        assert_eq!(memory.0.lock().unwrap().len(), MOST);
        assert_eq!(memory.of("0", now), None);
        assert_eq!(memory.of("1", now), Some(made()));
    }
}
