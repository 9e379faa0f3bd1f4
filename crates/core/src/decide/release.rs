//! An UPDATE that replaces nothing: the stored template stands, and a dormant Job is released (turn 2
//! of a replacement).

use serde_json::{Value, json};

use crate::job::{is_of_subresource, keys};
use crate::patch::Draft;
use crate::reason::Reason;

use super::decision::Decision;
use super::messages::Warnings;
use super::restore::{has_plain_replacement_policy, put_back};
use super::view::{Dormant, Update};
use super::{marks, replacement};

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

/// Starts a dormant Job when the API server comes back with the request that made it: the same
/// user with the same field manager. Nobody else starts it, not even by setting `parallelism`:
/// its template may come from a forged review.
pub(super) fn release(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    let record = match update.dormant {
        Dormant::Ours(record) => record,
        Dormant::Others(_) if !update.request.dry_run && !update.is_being_deleted() => {
            return replacement::meets_dormant(update);
        }
        Dormant::No | Dormant::Others(_) => return Decision::patched(reason, draft, warnings),
    };
    warnings.add(format!("job {} replaced: {}", update.name(), record.changed));
    marks::remove_dormant_marks(&mut draft);
    if let Some(Value::Array(owners)) = &record.owners {
        // The creation made the writer the owner of everything.
        let status = update.job.managed_fields().iter().filter(|entry| is_of_subresource(entry));
        let owners = owners.iter().chain(status).cloned().collect();
        draft.set(&["metadata", "managedFields"], Value::Array(owners));
    } else {
        marks::disown_hash(&mut draft);
    }
    marks::restore_last_applied(&mut draft, update.old);
    // A parallelism that the request sets itself is kept.
    if update.job.parallelism() == update.old.parallelism() {
        match record.parallelism {
            Some(parallelism) => draft.set(&["spec", "parallelism"], json!(parallelism)),
            None => draft.remove(&["spec", "parallelism"]),
        }
    }
    if update.old.is_suspended() && !record.suspended {
        // The request does not ask for that: a queue's webhook does, and a PUT would start the Job.
        draft.set(&["spec", "suspend"], json!(true));
        let name = update.name();
        warnings.add(format!("job {name} is suspended until its queue or a person resumes it"));
    }
    if update.job.spec("ttlSecondsAfterFinished").is_none() {
        // A bare PUT: the TTL was injected when the Job was made, as on any CREATE.
        draft.copy(&["spec", "ttlSecondsAfterFinished"], update.old.value());
    }
    if let Some(own) = &record.labels {
        // The labels that admission gave the Job when it was made. A queue refuses to lose its own.
        for (key, value) in update.old.labels().filter(|(key, _)| *key != keys::DORMANT) {
            if update.job.label(key).is_none() && !own.contains(key) {
                draft.set(&["metadata", "labels", key], value.clone());
            }
        }
    }
    if update.old.spec("podFailurePolicy").is_some() && has_plain_replacement_policy(update.job) {
        // The default of a Job without one, which the Job was made without.
        draft.copy(&["spec", "podReplacementPolicy"], update.old.value());
    }
    if update.job.uid() == Some(&record.uid) {
        // A PATCH that names the uid of the Job that it was sent for.
        draft.copy(&["metadata", "uid"], update.old.value());
    }
    if update.job.resource_version() == Some(&record.resource_version)
        && let Some(current) = update.old.resource_version()
    {
        draft.set(&["metadata", "resourceVersion"], json!(current));
    }
    Decision::patched(Reason::Released, draft, warnings)
}
