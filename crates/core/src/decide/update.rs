//! UPDATE: whose difference it is, and what the policy says about it.

use crate::job::{Change, changes, rerun_is_applied_by};
use crate::patch::Draft;
use crate::policy::OnChange;
use crate::reason::Reason;

use super::context::Question;
use super::decision::Decision;
use super::marks::record_hash;
use super::messages::{RERUN_DOES_NOTHING, Warnings};
use super::release::restore_stored_template;
use super::restore::companions;
use super::unchanged::{self, Difference};
use super::view::Update;
use super::{marker, messages, native_updates, replacement, report};

/// The rules about an UPDATE, top to bottom.
pub(super) fn decide(
    update: &Update<'_>,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let changes = changes(update.old_without_queue, update.job_without_queue);
    let difference = difference(update, &changes, &mut warnings)?;
    // A dormant Job is handled in the same way under every policy.
    let is_dormant = update.dormant.record().is_some();
    if update.policy.on_change == OnChange::Report && !is_dormant {
        return report::decide(update, difference, &changes, draft, warnings);
    }
    match difference {
        Difference::None => {
            let reason =
                if update.is_being_deleted() { Reason::BeingDeleted } else { Reason::Unchanged };
            Ok(restore_stored_template(update, reason, draft, warnings))
        }
        Difference::Native => Ok(native_updates::pass(update, draft, warnings)),
        Difference::OtherHook(hash) => {
            if !update.request.dry_run && !is_dormant {
                record_hash(&mut draft, &hash);
            }
            Ok(restore_stored_template(update, Reason::Restored, draft, warnings))
        }
        Difference::Requester => by_policy(update, &changes, draft, warnings),
        Difference::Unknown(why) => Ok(replacement::check_failed(update, &why)),
    }
}

/// Whose difference it is.
fn difference(
    update: &Update<'_>,
    changes: &[Change],
    warnings: &mut Warnings,
) -> Result<Difference, Question> {
    if update.ended_dormant() || reruns(update, warnings) {
        return Ok(Difference::Requester);
    }
    if native_updates::by_its_queue(update) {
        return Ok(Difference::Native);
    }
    if changes.is_empty() || update.is_sent_again() {
        return Ok(Difference::None);
    }
    // This comes before the comparison of hashes: a Job that is scaled up and back down must not look
    // unchanged.
    if native_updates::by_the_api_server(update.old, update.job, update.context.server_minor)
        && !update.stays_dormant()
    {
        return Ok(Difference::Native);
    }
    unchanged::whose(update, changes)
}

/// Whether the request asks for a rerun, and the policy has one.
fn reruns(update: &Update<'_>, warnings: &mut Warnings) -> bool {
    let on_change = update.policy.on_change;
    let has_reruns = match on_change {
        OnChange::Replace => true,
        OnChange::Report => update.dormant.record().is_none(),
        OnChange::Keep | OnChange::Deny | OnChange::Ignore => false,
    };
    if !update.asks_for_a_rerun() {
        return false;
    }
    let (name, requester) = (update.name(), update.request.field_manager.as_deref());
    if !has_reruns {
        warnings.add(format!("job {name}: {RERUN_DOES_NOTHING}, onChange is {on_change:?}"));
    } else if let Some(manager) = rerun_is_applied_by(update.old, requester) {
        warnings.add(format!(
            "job {name}: {manager} applies rejob.dev/rerun: once it puts its value back, the Job runs again"
        ));
    }
    has_reruns
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
