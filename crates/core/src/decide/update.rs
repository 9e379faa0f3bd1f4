//! UPDATE: whose difference it is, and what the policy says about it.

use serde_json::{Value, json};

use crate::job::{Change, TemplateHash, changes, is_of_status, keys, without_admission};
use crate::patch::Draft;
use crate::policy::OnChange;
use crate::reason::Reason;
use crate::replacement::Record;

use super::context::Question;
use super::decision::Decision;
use super::messages::Warnings;
use super::restore::{companions, has_plain_replacement_policy, put_back, put_back_generated};
use super::unchanged::{self, Difference};
use super::view::Update;
use super::{marker, marks, messages, native_updates, replacement, report};

pub(super) fn decide(
    update: &Update<'_>,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let changes = changes(update.stored, update.wanted);
    // A dormant Job is started, or left alone, as ever.
    if update.policy.on_change == OnChange::Report && Record::of(update.old).is_none() {
        return report::decide(update, &changes, draft, warnings);
    }
    let rerun = match (update.asks_for_a_rerun(), update.policy.on_change) {
        _ if update.ended_dormant() => true,
        (true, OnChange::Replace) => true,
        (true, on_change) => {
            let name = update.name();
            warnings.add(format!(
                "job {name}: rejob.dev/rerun does nothing, onChange is {on_change:?}"
            ));
            false
        }
        (false, _) => false,
    };
    if rerun {
        return by_policy(update, &changes, draft, warnings);
    }
    if changes.is_empty() || update.is_sent_again() {
        let unchanged =
            if update.is_being_deleted() { Reason::BeingDeleted } else { Reason::Unchanged };
        return Ok(restore_stored_template(update, unchanged, draft, warnings));
    }
    // This comes first because nothing runs again: a Job that is scaled up and back down must not
    // look unchanged.
    if native_updates::by_the_api_server(update.old, update.job, update.context.server_minor)
        && !update.stays_dormant()
    {
        if update.old.annotation(keys::TEMPLATE_HASH).is_some() {
            // A queue that writes into the template asks for nothing new.
            let before = without_admission(update.old, update.old, None);
            let made = without_admission(update.job, update.old, None);
            if !self::changes(&before, &made).is_empty() {
                record_hash(&mut draft, &TemplateHash::of(&made));
            }
        }
        put_back_generated(&mut draft, update.old);
        keep_ttl(update, &mut draft, &mut warnings);
        return Ok(release(update, Reason::AllowedChange, draft, warnings));
    }
    match unchanged::whose(update, &changes)? {
        Difference::Another(hash) => {
            if !update.request.dry_run && Record::of(update.old).is_none() {
                record_hash(&mut draft, &hash);
            }
            Ok(restore_stored_template(update, Reason::Restored, draft, warnings))
        }
        Difference::Callers => by_policy(update, &changes, draft, warnings),
        Difference::Untold(why) => Ok(replacement::untold(update, &why)),
    }
}

fn record_hash(draft: &mut Draft<'_>, hash: &TemplateHash) {
    draft.set(&["metadata", "annotations", keys::TEMPLATE_HASH], json!(hash.as_str()));
}

fn by_policy(
    update: &Update<'_>,
    changes: &[Change],
    draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let name = update.name();
    // A write at another revision or uid than the stored one cannot succeed: nothing is done for it,
    // and the API server gives its own answer.
    if update.policy.on_change != OnChange::Ignore && update.is_stale() {
        return Ok(marker::stale(update.old, update.job));
    }
    Ok(match update.policy.on_change {
        OnChange::Ignore | OnChange::Report => Decision::patched(Reason::Ignored, draft, warnings),
        OnChange::Keep if !update.is_being_deleted() => {
            let mut paths = messages::changed_paths(changes);
            for companion in companions(update.old, update.job) {
                paths.push_str(", spec.");
                paths.push_str(companion);
            }
            warnings.add(format!("job {name} kept: onChange is Keep, not applied: {paths}"));
            restore_stored_template(update, Reason::Kept, draft, warnings)
        }
        OnChange::Deny => Decision::deny(
            Reason::Denied,
            format!(
                "job {name}: {} cannot be changed while onChange is Deny; delete the Job first, \
                 or give the new one another name",
                messages::changed_paths(changes)
            ),
        ),
        OnChange::Keep | OnChange::Replace => replacement::decide(update, changes, warnings)?,
    })
}

/// Makes the stored Job's immutable part stand, to the letter, and releases a dormant Job.
///
/// It covers the bare PUT as well, which lacks the selector and the generated labels.
fn restore_stored_template(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    put_back(&mut draft, update.old);
    keep_ttl(update, &mut draft, &mut warnings);
    release(update, reason, draft, warnings)
}

/// Keeps the TTL in a PUT of a manifest, which has none because the policy gave it to the Job. Where
/// it is another one, the manifest may have had it: that is said.
fn keep_ttl(update: &Update<'_>, draft: &mut Draft<'_>, warnings: &mut Warnings) {
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
fn release(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    warnings: Warnings,
) -> Decision {
    let Some(record) = Record::of(update.old) else {
        return Decision::patched(reason, draft, warnings);
    };
    if !record.is_for(update.request) {
        if update.request.dry_run || update.is_being_deleted() {
            return Decision::patched(reason, draft, warnings);
        }
        return replacement::meets_dormant(update);
    }
    let mut warnings = warnings;
    warnings.add(format!("job {} replaced: {}", update.name(), record.changed));
    marks::remove_dormant_marks(&mut draft);
    if let Some(Value::Array(mut owners)) = record.owners {
        // The creation made the writer the owner of everything.
        let status = update.job.managed_fields().iter().filter(|entry| is_of_status(entry));
        owners.extend(status.cloned());
        draft.set(&["metadata", "managedFields"], Value::Array(owners));
    } else {
        marks::disown_hash(&mut draft);
    }
    marks::restore_last_applied(&mut draft, update.old);
    // Where the request sets the parallelism itself, it stands already.
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
