//! Marks that only rejob may write are removed when anyone else adds or changes them.
//!
//! Otherwise a user with only patch rights could have a Job deleted by labeling it dormant, or
//! keep a deploy from happening by forging the recorded hash.

use serde_json::{Value, json};

use crate::job::{Job, TemplateHash, keys};
use crate::patch::Draft;
use crate::replacement::LAST_APPLIED;
use crate::review::Request;

use super::view::Dormant;

const LABEL: [&str; 3] = ["metadata", "labels", keys::DORMANT];
const RECORD: [&str; 3] = ["metadata", "annotations", keys::DORMANT];
const MARKER: [&str; 3] = ["metadata", "annotations", keys::REPLACING];
const HASH: [&str; 3] = ["metadata", "annotations", keys::TEMPLATE_HASH];
const BASE_NAME: [&str; 3] = ["metadata", "annotations", keys::BASE_NAME];

const PARALLELISM: [&str; 2] = ["spec", "parallelism"];

/// Records the hash of what was asked for.
pub(super) fn record_hash(draft: &mut Draft<'_>, hash: &TemplateHash) {
    draft.set(&HASH, json!(hash.as_str()));
}

/// Puts rejob's own marks back to what is stored: nothing on CREATE, the old object's on UPDATE.
/// A PUT that drops the recorded hash gets it back in the same way.
///
/// A dormant Job stays dormant whatever others write to it: what it holds was asked for in the
/// name of its recorded user, and a forged review can name anyone.
pub(super) fn remove_forged_marks(
    draft: &mut Draft<'_>,
    request: &Request,
    old: Option<Job<'_>>,
    dormant: &Dormant,
) {
    let Some(old) = old else { return remove_marks(draft) };
    draft.remove(&MARKER);
    if dormant.record().is_some() {
        draft.copy(&LABEL, old.value());
        draft.copy(&RECORD, old.value());
    } else {
        remove_dormant_marks(draft);
    }
    if dormant.is_others() && !request.dry_run {
        draft.copy(&PARALLELISM, old.value());
    }
    draft.copy(&HASH, old.value());
    draft.copy(&BASE_NAME, old.value());
}

/// Removes the marks of a replacement from a Job that is not stored yet.
pub(super) fn remove_marks(draft: &mut Draft<'_>) {
    draft.remove(&MARKER);
    remove_dormant_marks(draft);
}

/// Removes a hash that rejob did not record from a created Job that is left alone. (In any other Job
/// the recorded hash replaces it.)
pub(super) fn remove_unrecorded_hash(draft: &mut Draft<'_>, old: Option<Job<'_>>) {
    if old.is_none() {
        draft.remove(&HASH);
    }
}

/// Restores the spelling of the clients' own records, which a dormant Job carries with a space in front,
/// unless the request brings its own.
pub(super) fn restore_last_applied(draft: &mut Draft<'_>, old: Job<'_>) {
    for key in LAST_APPLIED {
        let path = ["metadata", "annotations", key];
        if let Some(stored) = old.annotation(key)
            && draft.has(&path, &Value::from(stored))
        {
            draft.set(&path, Value::from(stored.strip_prefix(' ').unwrap_or(stored)));
        }
    }
}

/// Removes the marks of a dormant Job and their entries in managedFields. Otherwise the requester would
/// own fields that are not there.
pub(super) fn remove_dormant_marks(draft: &mut Draft<'_>) {
    draft.remove(&LABEL);
    draft.remove(&RECORD);
    disown(draft, "f:labels", keys::DORMANT);
    disown(draft, "f:annotations", keys::DORMANT);
}

/// Makes the recorded hash nobody's field, as it is when it is written in admission.
pub(super) fn disown_hash(draft: &mut Draft<'_>) {
    disown(draft, "f:annotations", keys::TEMPLATE_HASH);
}

fn disown(draft: &mut Draft<'_>, map: &str, key: &str) {
    let field = format!("f:{key}");
    for index in 0..Job::new(draft.original()).managed_fields().len() {
        let entry = index.to_string();
        draft.remove(&["metadata", "managedFields", &entry, "fieldsV1", "f:metadata", map, &field]);
    }
}
