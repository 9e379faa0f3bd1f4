//! What can be decided about a replacement before anything is done; the rest is the plan's.

use serde_json::Value;

use crate::job::{ActingOperation, Change, Job, KUBECTL_REPLACE, acting_operation};
use crate::reason::Reason;
use crate::replacement::{MARKS_ARE_LOST, Mode, Plan, Record};

use super::context::{Fact, Question};
use super::decision::{Decision, FollowUp, Verdict};
use super::messages::Warnings;
use super::view::Update;
use super::{left_alone, marker, messages, obstacles, plan};

/// The most replacements of a Job made dormant by another one that was. A request that asks for the
/// same each time needs one; two writers with one user and manager may need a few.
const MOST_REPLACEMENTS: u32 = 5;

/// Turn 1 of a replacement (or `Keep` on a Job that is being deleted, which has nothing to keep).
pub(super) fn decide(
    update: &Update<'_>,
    changes: &[Change],
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let (request, name) = (update.request, update.name());
    let plan = match plan(update, changes, &mut warnings)? {
        Ok(plan) => plan,
        Err(decision) => return Ok(decision),
    };
    let patch = match marker::answer(update, &plan.described, plan.mode) {
        Ok(patch) => patch,
        Err(error) => return Ok(Decision::patch_failed(name, &error)),
    };
    if request.dry_run {
        warnings.add(format!("job {name} would be replaced: {}", plan.record.changed));
        warnings.add(format!(
            "job {name}: a dry run shows the old template, which later admission judges"
        ));
    } else {
        // What fails from here on fails outside rejob: a policy that judges the put-back Job, a crash.
        warnings.add(format!("job {name}: old run deleted; if this fails, send it again"));
    }
    if plan.mode == Mode::Apply && !request.dry_run {
        // For any other request it is said when the new Job starts.
        warnings.add(format!("job {name} replaced: {}", plan.record.changed));
        if plan.was_read_back {
            // Whether it names the uid, too, is not to be seen; the API server then creates nothing.
            warnings.add(format!(
                "job {name}: if this apply fails, remove metadata.uid from the manifest and apply it again"
            ));
        }
    }
    if plan::has_old_default(update) {
        warnings
            .add(format!("job {name}: podReplacementPolicy is Failed beside a podFailurePolicy"));
    }
    let reason = if request.dry_run { Reason::WouldReplace } else { Reason::Replaced };
    let audit = [
        ("changed", messages::cut(&plan.record.changed, 256)),
        ("replaced-uid", plan.record.uid.clone()),
        ("replaced-run", plan.old_run.clone()),
        ("template-hash", plan.hashes()),
        ("requester", plan.requester()),
    ];
    let mut decision = Decision {
        verdict: Verdict::Replace(Box::new(plan)),
        patch,
        warnings: warnings.into_vec(),
        ..Decision::admit(reason)
    }
    .audited();
    decision.audit.extend(audit);
    Ok(decision)
}

/// The plan of a replacement, or the decision if a known fact prevents it.
pub(super) fn plan(
    update: &Update<'_>,
    changes: &[Change],
    warnings: &mut Warnings,
) -> Result<Result<Plan, Decision>, Question> {
    let (old, request, name) = (update.old, update.request, update.name());
    if old.uid().is_none() || old.resource_version().is_none() {
        return Ok(Err(marker::stale(old, update.job)));
    }
    // `kubectl replace` sends the same file again whenever the API server says that its uid is not the
    // stored one. Other clients that send a uid read the Job before they retry.
    if update.job.uid().is_some() && request.field_manager.as_deref() == Some(KUBECTL_REPLACE) {
        return Ok(Err(uid_denied(name)));
    }
    if let Some(decision) = obstacles::decide(update, warnings)? {
        return Ok(Err(decision));
    }
    let plan = plan::plan(update, changes);
    if let Some(decision) = in_the_way_of(&plan, update) {
        return Ok(Err(decision));
    }
    if let Some(decision) = marks_are_lost(&plan, update)? {
        return Ok(Err(decision));
    }
    Ok(Ok(plan))
}

/// The refusal that follows from the plan itself.
fn in_the_way_of(plan: &Plan, update: &Update<'_>) -> Option<Decision> {
    let (name, request) = (update.name(), update.request);
    let manager = request.field_manager.as_deref();
    let is_unclear = acting_operation(update.old, update.job, manager) == ActingOperation::Unclear;
    if is_unclear && update.context.applied_just_now && !update.only_checks() {
        return Some(Decision::retry(
            Reason::UnclearWriter,
            format!("job {name} was applied a moment ago; try again in a second"),
            1,
        ));
    }
    // Another user's change would be merged into the dormant Job's template. If that Job comes from a
    // forged review, nobody asked for this template. An apply brings a whole template of its own.
    if update.dormant.is_others() && plan.mode == Mode::Recreate && !request.dry_run {
        return Some(meets_dormant(update));
    }
    if plan.record.replacements > MOST_REPLACEMENTS {
        return Some(gives_another_template(update));
    }
    plan.applied.as_ref().and_then(|applied| refusal_of_the_creation(update, applied))
}

fn uid_denied(name: &str) -> Decision {
    Decision::deny(
        Reason::UidDenied,
        format!(
            "job {name} cannot be replaced by a manifest with a metadata.uid, which is the old \
             Job's; remove metadata.uid and metadata.resourceVersion and send it again"
        ),
    )
}

/// The request has replaced its own dormant Job too often.
fn gives_another_template(update: &Update<'_>) -> Decision {
    let name = update.name();
    Decision::deny(
        Reason::NeverSettles,
        format!(
            "job {name} was replaced {MOST_REPLACEMENTS} times for user {:?}, each time with another template, \
             and has not started; if the request is a JSON Patch that adds to a list, send the whole \
             template instead; if others write the Job as the same user, send the request again",
            update.request.user.username
        ),
    )
    .followed_by(FollowUp::AwaitRelease { give_up: true })
}

/// What this webhook will say when the API server creates the Job of an apply. An annotation that is
/// invalid is tolerated in a stored Job, but not in a new one.
fn refusal_of_the_creation(update: &Update<'_>, applied: &Value) -> Option<Decision> {
    let applied = Job::new(applied);
    if left_alone::reason_from_job(applied, None).is_some() {
        return None;
    }
    let (_, invalid) = update.policy.for_job(applied);
    let annotation = invalid.first()?;
    let name = update.name();
    Some(Decision::deny(Reason::InvalidAnnotation, format!("job {name}: {annotation}")))
}

/// Whether the new Job would be stored as rejob sends it. A refusal under another name says nothing: the
/// dry run under its own name finds it.
fn marks_are_lost(plan: &Plan, update: &Update<'_>) -> Result<Option<Decision>, Question> {
    if plan.mode == Mode::Apply {
        return Ok(None);
    }
    Ok(match &update.context.creation {
        Fact::Unasked => return Err(Question::Creation(Box::new(plan.clone()))),
        Fact::Known(created) if Record::of(Job::new(created)).is_none() => Some(Decision::deny(
            Reason::InvalidDenied,
            format!("{}: {MARKS_ARE_LOST}", plan.not_replaced()),
        )),
        Fact::Failed(why) => Some(check_failed(update, why)),
        Fact::Known(_) | Fact::Unavailable => None,
    })
}

/// The API server could not say what the new Job would be.
pub(super) fn check_failed(update: &Update<'_>, why: &str) -> Decision {
    let message = format!(
        "job {} was not replaced: the API server failed a check ({why}); try again",
        update.name()
    );
    if update.only_checks() {
        Decision::deny(Reason::ClusterError, message)
    } else {
        Decision::retry(Reason::ClusterError, message, 1)
    }
}

/// The Job is dormant for another request.
pub(super) fn meets_dormant(update: &Update<'_>) -> Decision {
    Decision::retry(
        Reason::MeetsDormant,
        format!("job {} is being replaced by another request; try again", update.name()),
        1,
    )
    .followed_by(FollowUp::AwaitRelease { give_up: false })
}
