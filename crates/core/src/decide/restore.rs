//! Puts the stored Job's immutable part back, with what is valid only beside it.

use serde_json::json;

use crate::job::{GENERATED_LABELS, IMMUTABLE_FIELDS, Job, UID_LABELS};
use crate::patch::Draft;

/// Whether the Job has the `podReplacementPolicy` that the API server gives to one without a
/// `podFailurePolicy`; beside one it refuses it.
pub(super) fn has_plain_replacement_policy(job: Job<'_>) -> bool {
    job.spec("podReplacementPolicy").is_some_and(|policy| policy == "TerminatingOrFailed")
}

/// Mutable fields, each with the immutable fields that it depends on. If a new value of one of those is
/// put back, the new value of the mutable field may be invalid or untrue (a Job that is kept still has
/// a selector of its own).
const COMPANIONS: [(&str, &[&str]); 3] = [
    ("manualSelector", &["selector"]),
    ("maxFailedIndexes", &["backoffLimitPerIndex", "completionMode", "completions"]),
    ("podReplacementPolicy", &["podFailurePolicy"]),
];

/// Whether one of these fields of `spec` differs.
pub(super) fn differ(old: Job<'_>, job: Job<'_>, fields: &[&str]) -> bool {
    fields.iter().any(|field| job.spec(field) != old.spec(field))
}

/// The companions that differ together with one of their immutable fields.
pub(super) fn companions<'a>(
    old: Job<'a>,
    job: Job<'a>,
) -> impl Iterator<Item = &'static str> + 'a {
    COMPANIONS
        .iter()
        .filter(move |(companion, fields)| {
            differ(old, job, fields) && differ(old, job, &[companion])
        })
        .map(|(companion, _)| *companion)
}

/// Puts every field of the immutable part back to the old Job's value, and with it what is valid
/// only beside the new one.
pub(super) fn put_back(draft: &mut Draft<'_>, old: Job<'_>) {
    for companion in companions(old, Job::new(draft.original())) {
        draft.copy(&["spec", companion], old.value());
    }
    for field in IMMUTABLE_FIELDS {
        draft.copy(&["spec", field], old.value());
    }
    put_back_uid_labels(draft, old);
}

/// Where the labels of the Job itself name the uid of another one (a client that sends back what it
/// has read of the Job before), they are those of the stored Job.
fn put_back_uid_labels(draft: &mut Draft<'_>, old: Job<'_>) {
    let job = Job::new(draft.original());
    for label in UID_LABELS {
        if job.label(label).is_some_and(|uid| old.uid() != Some(uid)) {
            draft.set(&["metadata", "labels", label], json!(old.uid()));
        }
    }
}

/// Puts the selector and the template's labels that the API server generated back, which a bare
/// PUT lacks.
pub(super) fn put_back_generated(draft: &mut Draft<'_>, old: Job<'_>) {
    if old.has_manual_selector() {
        return;
    }
    put_back_uid_labels(draft, old);
    draft.copy(&["spec", "selector"], old.value());
    for label in GENERATED_LABELS {
        draft.copy(&["spec", "template", "metadata", "labels", label], old.value());
    }
}
