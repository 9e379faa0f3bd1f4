//! `onChange: Report`: all checks of a replacement, told and not done. The API server answers as
//! without rejob, so nothing of the request is changed but marks that somebody forged.

use crate::job::{Change, TemplateHash};
use crate::patch::Draft;
use crate::reason::Reason;

use super::context::Question;
use super::decision::{Decision, FollowUp, Verdict};
use super::messages::{self, Warnings};
use super::unchanged::{self, Difference};
use super::view::Update;
use super::{native_updates, obstacles, plan, replacement};

/// The longest parts of what is told, in characters: an Event's message has at most 1024 bytes.
const LONGEST: usize = 400;

/// What the policy would do, were its `onChange` Replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The Job's name.
    pub name: String,
    /// The stored Job's uid.
    pub uid: String,
    /// What changes, in words.
    pub described: String,
    /// The same for each request that asks for the same change of the same Job.
    change: TemplateHash,
    /// What the request would wait for, or why it would not be replaced.
    pub why_not: Option<Reason>,
    /// The refusal, where it would not be replaced.
    pub refusal: Option<String>,
}

impl Report {
    fn of(update: &Update<'_>, changes: &[Change]) -> Self {
        let (described, _) = plan::what_for(update, changes);
        let uid = update.old.uid().unwrap_or_default().to_owned();
        let rerun = update.job.annotation(crate::job::keys::RERUN).unwrap_or_default();
        Self {
            name: update.name().to_owned(),
            described: messages::cut(&described, LONGEST),
            change: TemplateHash::of(update.wanted).of_name(&format!("{uid} {rerun}")),
            uid,
            why_not: None,
            refusal: None,
        }
    }

    fn refused(self, reason: Reason, message: &str) -> Self {
        // The refusal's own beginning says the same.
        let own = format!("job {} ", self.name);
        let message = message.strip_prefix(&own).unwrap_or(message);
        let known = ["was not replaced: ", "cannot be replaced: "];
        let rest = known.iter().find_map(|beginning| message.strip_prefix(beginning));
        let refusal = messages::cut(rest.unwrap_or(message), LONGEST);
        Self { why_not: Some(reason), refusal: Some(refusal), ..self }
    }

    fn judged_by(self, decision: &Decision) -> Self {
        match &decision.verdict {
            Verdict::Deny(denial) => self.refused(decision.reason, &denial.message),
            Verdict::Admit | Verdict::Replace(_) => self,
        }
    }

    /// One sentence for people, without what changes.
    pub fn sentence(&self) -> String {
        let Self { name, .. } = self;
        match (&self.refusal, self.why_not) {
            (Some(refusal), _) => {
                format!("job {name} would not be replaced (onChange is Report): {refusal}")
            }
            (None, None) => format!("job {name} would be replaced (onChange is Report)"),
            (None, Some(Reason::BeingDeletedWait)) => {
                format!("job {name} would be replaced when it is gone (onChange is Report)")
            }
            (None, Some(_)) => {
                format!("job {name} would be replaced when it has finished (onChange is Report)")
            }
        }
    }

    /// A text that is the same for each request that asks for the same change, and would be replaced,
    /// at once or in time, or refused for the same reason: the end of the Event's name.
    pub fn key(&self) -> String {
        let refused = self.why_not.filter(|_| self.refusal.is_some());
        self.change.of_name(refused.map_or("", Reason::label)).to_string()
    }

    /// The answer that tells it.
    fn tell(self, pending: Decision) -> Decision {
        let mut decision = Decision { verdict: Verdict::Admit, ..pending }.audited();
        if self.refusal.is_some() {
            decision.warnings.extend(messages::as_warnings(&self.sentence()));
        } else {
            let mut warnings = Warnings::default();
            warnings.add(format!("{}: {}", self.sentence(), self.described));
            decision.warnings.extend(warnings.into_vec());
        }
        decision.audit.insert("changed", messages::cut(&self.described, 256));
        if let Some(reason) = self.why_not {
            decision.audit.insert("why-not", reason.label().to_owned());
        }
        if let Some(refusal) = &self.refusal {
            decision.audit.insert("refusal", refusal.clone());
        }
        decision.followed_by(FollowUp::Report(Box::new(self)))
    }
}

impl Decision {
    /// What is answered after the checks of this decision's plan, where `outcome` is what a
    /// replacement would be answered: that, or under Report what is told of it.
    pub fn judged(self, outcome: Self) -> Self {
        match self.follow_up.clone() {
            FollowUp::Report(report) => report.judged_by(&outcome).tell(self),
            _ => outcome,
        }
    }
}

/// Decides a change, or a rerun, of a Job that is not dormant.
pub(super) fn decide(
    update: &Update<'_>,
    changes: &[Change],
    draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let rerun = update.asks_for_a_rerun();
    if changes.is_empty() && !rerun {
        return Ok(Decision::patched(Reason::Unchanged, draft, warnings));
    }
    if update.is_stale() {
        return Ok(Decision::patched(Reason::StaleView, draft, warnings));
    }
    if !rerun
        && native_updates::by_the_api_server(update.old, update.job, update.context.server_minor)
    {
        return Ok(Decision::patched(Reason::AllowedChange, draft, warnings));
    }
    let report = Report::of(update, changes);
    let difference = if rerun {
        Difference::Callers
    } else {
        unchanged::whose(update, || plan::plan(update, changes))?
    };
    let refused = match difference {
        Difference::Callers => replacement::plan(update, changes, &mut warnings)?,
        Difference::Another(_) => {
            let why = "the request asks for what it asked for last time, so nothing would run";
            let report = report.refused(Reason::Restored, why);
            return Ok(report.tell(Decision::patched(Reason::Reported, draft, warnings)));
        }
        Difference::Untold(why) => Err(replacement::untold(update, &why)),
    };
    let pending = Decision::patched(Reason::Reported, draft, warnings);
    Ok(match refused {
        Err(refusal) => report.judged_by(&refusal).tell(pending),
        Ok(plan) => {
            let report = Report { why_not: obstacles::waits_for(update)?, ..report };
            Decision { verdict: Verdict::Replace(Box::new(plan)), ..pending }
                .followed_by(FollowUp::Report(Box::new(report)))
        }
    })
}
