//! Marks that only rejob writes are taken out again when anyone else adds or changes them.
//!
//! Otherwise a user with only patch rights could have a Job deleted by labelling it dormant, or
//! keep a deploy from happening by forging the recorded hash.

use crate::job::{Job, keys};
use crate::patch::Draft;
use crate::replace::Record;

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

/// Removes the marks of a dormant Job.
pub(super) fn wake(draft: &mut Draft<'_>) {
    draft.remove(&LABEL);
    draft.remove(&RECORD);
}
