//! A decision, as data.

use std::collections::BTreeMap;

use crate::job::{Job, TemplateHash};
use crate::patch::{Draft, Patch, PatchError};
use crate::reason::Reason;
use crate::replacement::Plan;

use super::messages::{self, ONLY_REPORTED, Warnings};

/// The longest parts of a report, in characters: an Event's message has at most 1024 bytes.
pub(super) const LONGEST: usize = 400;

/// The answer, and why.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Admit, refuse, or replace.
    pub verdict: Verdict,
    /// The rule that decided.
    pub reason: Reason,
    /// What the answer changes in the object; empty for a refusal.
    pub patch: Patch,
    /// What the client's user reads.
    pub warnings: Vec<String>,
    /// What the audit log keeps, by key.
    pub audit: BTreeMap<&'static str, String>,
    /// What is to happen beside the answer.
    pub follow_up: FollowUp,
}

/// What is to happen beside an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum FollowUp {
    /// Nothing.
    #[default]
    None,
    /// Remember that the request was told to wait: a PUT comes back with a revision that is no longer
    /// the stored one.
    RememberWait,
    /// Wait until the dormant Job is released, and let the API server come back to find it so.
    AwaitRelease {
        /// If it is not released, any later request for it is a new request.
        give_up: bool,
    },
    /// Report in an Event what would be replaced, or why not.
    Report(Box<Report>),
    /// Tell in an Event of a replacement.
    Replaced {
        /// The plan that was carried out.
        plan: Box<Plan>,
        /// The new Job's uid, where rejob has made it.
        uid: Option<String>,
    },
    /// Tell in an Event of a Job that is deleted, or may be, without a new one of this request in its
    /// place.
    Lost {
        /// The plan that was carried out in part.
        plan: Box<Plan>,
        /// The reason.
        why: String,
    },
}

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
    pub(super) change: TemplateHash,
    /// What the request would wait for, or why it would not be replaced.
    pub why_not: Option<Reason>,
    /// The refusal, where it would not be replaced.
    pub refusal: Option<String>,
}

/// The three kinds of answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Allowed, with the decision's patch.
    Admit,
    /// Refused.
    Deny(Denial),
    /// Allowed with the decision's put-back patch, once the plan is carried out. For a report:
    /// allowed with the report, once the plan is checked.
    Replace(Box<Plan>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// 403, or 429 for a client that should try again. Never 409 or 422: Flux with force takes
    /// those as leave to delete the Job.
    pub code: u16,
    /// One sentence: the field, the rule and the way out.
    pub message: String,
    /// Seconds after which a client built on client-go tries again automatically.
    pub retry_after: Option<u32>,
}

impl Decision {
    /// Admits the request as it is.
    pub fn admit(reason: Reason) -> Self {
        Self {
            verdict: Verdict::Admit,
            reason,
            patch: Patch::default(),
            warnings: Vec::new(),
            audit: BTreeMap::new(),
            follow_up: FollowUp::None,
        }
    }

    pub(super) fn followed_by(self, follow_up: FollowUp) -> Self {
        Self { follow_up, ..self }
    }

    /// Refuses with 403.
    pub fn deny(reason: Reason, message: impl AsRef<str>) -> Self {
        let denial =
            Denial { code: 403, message: messages::refusal(message.as_ref()), retry_after: None };
        Self { verdict: Verdict::Deny(denial), ..Self::admit(reason) }.audited()
    }

    /// Asks the client to try again in some seconds (429).
    pub fn retry(reason: Reason, message: impl AsRef<str>, seconds: u32) -> Self {
        let message = messages::refusal(message.as_ref());
        let denial = Denial { code: 429, message, retry_after: Some(seconds) };
        Self { verdict: Verdict::Deny(denial), ..Self::admit(reason) }.audited()
    }

    /// Admits with a patch. If the patch does not apply, the request is refused. Otherwise the client
    /// would get success although forged marks stay, a template is not put back, or a dormant Job
    /// never starts.
    pub(super) fn patched(reason: Reason, draft: Draft<'_>, warnings: Warnings) -> Self {
        let warnings = warnings.into_vec();
        let job = Job::new(draft.original());
        match draft.finish() {
            Ok(patch) if patch.is_empty() => Self { warnings, ..Self::admit(reason) },
            Ok(patch) => Self { patch, warnings, ..Self::admit(reason) }.audited(),
            Err(error) => Self::patch_failed(messages::name(job, ""), &error),
        }
    }

    /// Refuses what rejob has no patch for that applies.
    pub(super) fn patch_failed(name: &str, error: &PatchError) -> Self {
        let message = format!("job {name} is refused: {error}; report this as a defect of rejob");
        Self::deny(Reason::PatchFailed, message)
    }

    /// Enters the reason into the audit annotations.
    pub(super) fn audited(mut self) -> Self {
        self.audit.insert("reason", self.reason.label().to_owned());
        self
    }

    /// Whether the request is let through.
    pub fn is_allowed(&self) -> bool {
        !matches!(self.verdict, Verdict::Deny(_))
    }

    /// The answer where the checks of this decision's plan lead to that one. Under Report it is a report
    /// of it.
    pub fn judged(mut self, answer: Self) -> Self {
        match std::mem::take(&mut self.follow_up) {
            FollowUp::Report(report) => report.judged_by(&answer).answer(self),
            _ => answer,
        }
    }

    /// The answer once all checks of this decision's plan have passed.
    pub fn passed(mut self) -> Self {
        match std::mem::take(&mut self.follow_up) {
            FollowUp::Report(report) => report.answer(self),
            follow_up => self.followed_by(follow_up),
        }
    }
}

impl Report {
    pub(super) fn refused(self, reason: Reason, message: &str) -> Self {
        // The refusal's own beginning says the same.
        let own = format!("job {} ", self.name);
        let message = message.strip_prefix(&own).unwrap_or(message);
        let known = ["was not replaced: ", "cannot be replaced: "];
        let rest = known.iter().find_map(|beginning| message.strip_prefix(beginning));
        let refusal = messages::cut(rest.unwrap_or(message), LONGEST);
        Self { why_not: Some(reason), refusal: Some(refusal), ..self }
    }

    pub(super) fn judged_by(self, decision: &Decision) -> Self {
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
                format!("job {name} would not be replaced {ONLY_REPORTED}: {refusal}")
            }
            (None, None) => format!("job {name} would be replaced {ONLY_REPORTED}"),
            (None, Some(Reason::BeingDeletedWait)) => {
                format!("job {name} would be replaced when it is gone {ONLY_REPORTED}")
            }
            (None, Some(_)) => {
                format!("job {name} would be replaced when it has finished {ONLY_REPORTED}")
            }
        }
    }

    /// A text that is the same for each request that asks for the same change, and would be replaced,
    /// at once or in time, or refused for the same reason: the end of the Event's name.
    pub fn key(&self) -> String {
        let refused = self.why_not.filter(|_| self.refusal.is_some());
        self.change.with(refused.map_or("", Reason::label)).to_string()
    }

    /// The answer that carries the report.
    pub(super) fn answer(self, pending: Decision) -> Decision {
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
