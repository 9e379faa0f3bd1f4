//! Puts the stored Job's immutable part back, with what is valid only beside it.

use serde_json::json;

use crate::job::{GENERATED_LABELS, IMMUTABLE_FIELDS, Job, UID_LABELS};
use crate::patch::Draft;
use crate::reason::Reason;

use super::decision::Decision;
use super::messages::Warnings;
use super::release::release;
use super::view::Update;

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

/// Makes the stored Job's immutable part stand, to the letter, and releases a dormant Job.
///
/// It covers the bare PUT as well, which lacks the selector and the generated labels.
pub(super) fn restore_stored_template(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    put_back(&mut draft, update.old);
    keep_ttl(update, &mut draft, &mut warnings);
    release(update, reason, draft, warnings)
}

/// Keeps the TTL in a PUT of a manifest, which has none because the policy gave it to the Job. If the
/// stored TTL is not the policy's, a warning says that it is kept.
pub(super) fn keep_ttl(update: &Update<'_>, draft: &mut Draft<'_>, warnings: &mut Warnings) {
    let field = "ttlSecondsAfterFinished";
    let Some(ttl) = update.policy_ttl().given() else { return };
    if update.is_bare_put()
        && let Some(stored) = update.old.spec(field)
    {
        if *stored != json!(ttl.get()) {
            warnings.add(format!("job {} keeps its {field} of {stored}", update.name()));
        }
        draft.copy(&["spec", field], update.old.value());
    }
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
