//! `onChange: Report`: all checks of a replacement are made and reported, and nothing is done. The API
//! server answers as without rejob: in the request only forged marks and the recorded hash are changed.

use crate::job::{Change, Job, TemplateHash};
use crate::patch::Draft;
use crate::policy::{OnChange, Policy};
use crate::reason::Reason;
use crate::replacement::Record;
use crate::review::Request;

use super::context::Question;
use super::decision::{Decision, FollowUp, LONGEST, Report, Verdict};
use super::messages::{self, Warnings};
use super::unchanged::Difference;
use super::view::Update;
use super::{native_updates, obstacles, plan, replacement};

/// Whether the policy only reports about the request's Job. Then nothing is refused.
pub fn only_reports(request: &Request, policy: &Policy) -> bool {
    let [object, old] = [&request.object, &request.old_object].map(|it| it.as_ref().map(Job::new));
    old.and_then(Record::of).is_none()
        && object.is_some_and(|job| policy.for_job(job).0.on_change == OnChange::Report)
}

/// What the policy would do: that it would replace the Job, until a check says otherwise.
fn of(update: &Update<'_>, changes: &[Change]) -> Report {
    let (described, _) = plan::what_for(update, changes);
    let uid = update.old.uid().unwrap_or_default().to_owned();
    let rerun = update.job.annotation(crate::job::keys::RERUN).unwrap_or_default();
    Report {
        name: update.name().to_owned(),
        described: messages::cut(&described, LONGEST),
        change: TemplateHash::of(update.job_without_queue).with(&format!("{uid} {rerun}")),
        uid,
        why_not: None,
        refusal: None,
    }
}

/// Decides a request for a Job that is not dormant.
pub(super) fn decide(
    update: &Update<'_>,
    difference: Difference,
    changes: &[Change],
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let report = || of(update, changes);
    let (report, refused) = match difference {
        Difference::None => return Ok(Decision::patched(Reason::Unchanged, draft, warnings)),
        Difference::Native => {
            native_updates::record(update, &mut draft);
            return Ok(Decision::patched(Reason::AllowedChange, draft, warnings));
        }
        _ if update.is_stale() => {
            return Ok(Decision::patched(Reason::StaleView, draft, warnings));
        }
        Difference::OtherHook(_) => {
            let why = "the request asks for what it asked for last time, so nothing would run";
            let report = report().refused(Reason::Restored, why);
            return Ok(report.answer(Decision::patched(Reason::Reported, draft, warnings)));
        }
        Difference::Requester => (report(), replacement::plan(update, changes, &mut warnings)?),
        Difference::Unknown(why) => (report(), Err(replacement::check_failed(update, &why))),
    };
    let pending = Decision::patched(Reason::Reported, draft, warnings);
    Ok(match refused {
        Err(refusal) => report.judged_by(&refusal).answer(pending),
        Ok(plan) => {
            let report = Report { why_not: obstacles::waits_for(update)?, ..report };
            Decision { verdict: Verdict::Replace(Box::new(plan)), ..pending }
                .followed_by(FollowUp::Report(Box::new(report)))
        }
    })
}
