//! A decision, as data.

use std::collections::BTreeMap;

use crate::job::Job;
use crate::patch::{Draft, Patch, PatchError};
use crate::reason::Reason;
use crate::replacement::Plan;

use super::messages::{self, Warnings};
use super::report::Report;

/// What is to be answered, and why.
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing.
    #[default]
    None,
    /// Remember that the request was told to wait: a PUT comes back with a revision that is no longer
    /// the stored one.
    RememberWait,
    /// Wait until the dormant Job is released, and let the API server come back to find it so.
    AwaitRelease {
        /// Where it is not, whoever meets it from now on sends another request.
        give_up: bool,
    },
    /// Tell what would be replaced, or why not, in an Event.
    Report(Box<Report>),
}

/// The three kinds of answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Allowed, with the decision's patch.
    Admit,
    /// Refused.
    Deny(Denial),
    /// Allowed with the decision's put-back patch, once the plan is carried out; for a report, with
    /// what is told of it, once the plan is checked.
    Replace(Box<Plan>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// 403, or 429 for a client that is to try again. Never 409 or 422: Flux with force takes
    /// those as leave to delete the Job.
    pub code: u16,
    /// One sentence: the field, the rule and the way out.
    pub message: String,
    /// Seconds after which a client built on client-go tries again by itself.
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

    /// Admits with a patch. Where it would not apply, the request is refused: what it would take out
    /// (forged marks), put back (the immutable part) or start (a dormant Job) is what the client
    /// would be told a success about.
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
}
