//! What keeps a Job from being replaced at this moment: it works, it is being deleted, or it would
//! not vanish at once.

use crate::job::{Job, Progress, pod_works, progress};
use crate::policy::{OnChange, WhileRunning};
use crate::reason::Reason;

use super::context::{Fact, Question};
use super::decision::{Decision, FollowUp};
use super::messages;
use super::messages::Warnings;
use super::view::Update;

/// The decision that an obstacle leads to, if there is one.
pub(super) fn decide(
    update: &Update<'_>,
    warnings: &mut Warnings,
) -> Result<Option<Decision>, Question> {
    if update.is_being_deleted() {
        return Ok(being_deleted(update, warnings));
    }
    if let Some(decision) = finalizers(update) {
        return Ok(Some(decision));
    }
    if update.policy.while_running != WhileRunning::Replace && works(update)? {
        return Ok(running(update, warnings));
    }
    Ok(None)
}

/// What the request would have to wait for, where a replacement is only checked.
pub(super) fn waits_for(update: &Update<'_>) -> Result<Option<Reason>, Question> {
    if update.policy.while_running != WhileRunning::Wait {
        return Ok(None);
    }
    if update.is_being_deleted() {
        return Ok(Some(Reason::BeingDeletedWait));
    }
    Ok(works(update)?.then_some(Reason::RunningWait))
}

/// Whether the policy asks if the old Job works, and its status does not show it, or did not: then its
/// Pods were looked at.
pub(super) fn pods_tell(update: &Update<'_>) -> bool {
    update.policy.while_running != WhileRunning::Replace
        && (only_pods_show_it(update.old) || matches!(update.context.pods, Fact::Known(_)))
}

/// Whether the status does not show if the Job works. A status without Pods does not, either, if there
/// may be several: the Job controller counts them when it has made all, which takes it a second for
/// each twenty (`--kube-api-qps`), and the first ones run by then.
fn only_pods_show_it(old: Job<'_>) -> bool {
    match progress(old) {
        Progress::Unclear => true,
        Progress::Idle => !old.is_suspended() && old.parallelism().is_some_and(|pods| pods > 1),
        Progress::Finished | Progress::Working => false,
    }
}

/// Whether the old Job works. If its status does not show it, its Pods do. If the look at them is not
/// answered, the Job counts as working.
fn works(update: &Update<'_>) -> Result<bool, Question> {
    let progress = progress(update.old);
    if matches!(progress, Progress::Finished | Progress::Working) {
        return Ok(progress == Progress::Working);
    }
    match &update.context.pods {
        Fact::Known(_) => Ok(a_pod_works(update)),
        Fact::Failed(_) => Ok(true),
        Fact::Unasked if only_pods_show_it(update.old) => Err(Question::Pods),
        // Nothing has begun (where it may have since, the Pods have been asked for), or there is no
        // cluster to replace anything in.
        Fact::Unasked | Fact::Unavailable => Ok(false),
    }
}

/// Whether one of the Pods works, as far as they have been looked at.
pub(super) fn a_pod_works(update: &Update<'_>) -> bool {
    let uid = update.old.uid().unwrap_or_default();
    matches!(&update.context.pods, Fact::Known(pods) if pods.iter().any(|pod| pod_works(pod, uid)))
}

fn being_deleted(update: &Update<'_>, warnings: &mut Warnings) -> Option<Decision> {
    let (policy, name) = (update.policy, update.name());
    if policy.while_running != WhileRunning::Wait || policy.on_change == OnChange::Keep {
        return Some(Decision::deny(
            Reason::BeingDeletedDenied,
            format!("job {name} is being deleted and cannot be changed; try again when it is gone"),
        ));
    }
    if update.only_checks() {
        warnings.add(format!("job {name} is being deleted: the real run waits until it is gone"));
        return None;
    }
    Some(Decision::retry(
        Reason::BeingDeletedWait,
        format!(
            "job {name} is being deleted and cannot be changed until it is gone; try again then"
        ),
        policy.wait_seconds.retry_after(),
    ))
}

/// Anything that would keep the old Job from vanishing at once, even what this very request removes.
fn finalizers(update: &Update<'_>) -> Option<Decision> {
    let (finalizers, name) = (update.old.finalizers(), update.name());
    (!finalizers.is_empty()).then(|| {
        Decision::deny(
            Reason::FinalizersDenied,
            format!(
                "job {name} cannot be replaced: it has the finalizers {}, so it would not vanish at \
                 once; remove them in a request of their own first",
                messages::cut(&finalizers.join(", "), 200)
            ),
        )
    })
}

fn running(update: &Update<'_>, warnings: &mut Warnings) -> Option<Decision> {
    let (wait, name) = (update.policy.wait_seconds, update.name());
    match update.policy.while_running {
        WhileRunning::Replace => None,
        WhileRunning::Deny => Some(Decision::deny(
            Reason::RunningDenied,
            format!(
                "job {name} is running and cannot be changed while whileRunning is Deny; try again \
                 when it has finished, or delete it first"
            ),
        )),
        WhileRunning::Wait if update.only_checks() => {
            let seconds = wait.get();
            warnings
                .add(format!("job {name} is running: the real run waits up to {seconds} s for it"));
            None
        }
        WhileRunning::Wait => {
            let has_none = |of| update.old.status(of).is_none_or(|count| *count == 0);
            let has_no_pod = ["active", "terminating"].into_iter().all(has_none);
            let message = if update.old.is_suspended() && has_no_pod {
                format!(
                    "job {name} is suspended after some of its Pods have succeeded, and does not \
                     finish by itself: resume it, or set the annotation rejob.dev/while-running: \
                     Replace"
                )
            } else {
                format!(
                    "job {name} is still running; waited for it (waitSeconds {}): try again when it \
                     has finished, or set the annotation rejob.dev/while-running: Replace",
                    wait.get()
                )
            };
            Some(
                Decision::retry(Reason::RunningWait, message, wait.retry_after())
                    .followed_by(FollowUp::RememberWait),
            )
        }
    }
}
