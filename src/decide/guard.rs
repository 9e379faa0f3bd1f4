//! Marks that only rejob writes are taken out again when anyone else adds or changes them.
//!
//! Otherwise a user with only patch rights could have a Job deleted by labelling it dormant, or
//! keep a deploy from happening by forging the recorded hash.

use serde_json::Value;

use crate::job::{Job, keys};
use crate::patch::Draft;
use crate::replace::{LAST_APPLIED, Record};

const LABEL: [&str; 3] = ["metadata", "labels", keys::DORMANT];
const RECORD: [&str; 3] = ["metadata", "annotations", keys::DORMANT];
const MARKER: [&str; 3] = ["metadata", "annotations", keys::REPLACING];
const HASH: [&str; 3] = ["metadata", "annotations", keys::TEMPLATE_HASH];
const BASE_NAME: [&str; 3] = ["metadata", "annotations", keys::BASE_NAME];

/// Puts rejob's own marks back to what is stored: nothing on CREATE, the old object's on UPDATE.
/// A PUT that drops the recorded hash gets it back in the same way.
pub(super) fn take_out_forged_marks(draft: &mut Draft<'_>, old: Option<Job<'_>>) {
    draft.remove(&MARKER);
    match old {
        Some(old) if Record::of(old).is_some() => {
            draft.copy(&LABEL, old.value());
            draft.copy(&RECORD, old.value());
        }
        _ => wake(draft),
    }
    if let Some(old) = old {
        draft.copy(&HASH, old.value());
        draft.copy(&BASE_NAME, old.value());
    }
}

/// Gives the clients' own records, which a dormant Job carries in another spelling, their spelling
/// back where the request brings none of its own.
pub(super) fn settle_last_applied(draft: &mut Draft<'_>, old: Job<'_>) {
    for key in LAST_APPLIED {
        let path = ["metadata", "annotations", key];
        if let Some(stored) = old.annotation(key)
            && draft.current().pointer("/metadata/annotations").and_then(|all| all.get(key))
                == Some(&Value::from(stored))
        {
            draft.set(&path, Value::from(stored.strip_prefix(' ').unwrap_or(stored)));
        }
    }
}

/// Removes the marks of a dormant Job.
pub(super) fn wake(draft: &mut Draft<'_>) {
    draft.remove(&LABEL);
    draft.remove(&RECORD);
}
