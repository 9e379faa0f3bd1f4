//! An UPDATE as the rules look at it, and what they ask about it.

use serde_json::Value;

use crate::job::{
    Job, Progress, TemplateHash, asks_for_a_rerun, has_a_queue, keys, progress, puts_rerun_back,
};
use crate::policy::{OnChange, Policy};
use crate::replacement::Record;
use crate::review::Request;

use super::context::Context;
use super::ttl::PolicyTtl;
use super::{left_alone, messages};

/// Whether the stored Job is dormant, and for whom.
#[derive(Debug)]
pub(super) enum Dormant {
    No,
    /// It was made for this request.
    Ours(Record),
    /// It was made for another request.
    Others(Record),
}

impl Dormant {
    pub(super) fn of(old: Option<Job<'_>>, request: &Request) -> Self {
        match old.and_then(Record::of) {
            None => Self::No,
            Some(record) if record.is_for(request) => Self::Ours(record),
            Some(record) => Self::Others(record),
        }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::No => None,
            Self::Ours(record) | Self::Others(record) => Some(record),
        }
    }

    pub(super) fn ours(&self) -> Option<&Record> {
        self.record().filter(|_| matches!(self, Self::Ours(_)))
    }

    pub(super) fn is_others(&self) -> bool {
        matches!(self, Self::Others(_))
    }
}

/// An UPDATE with what the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) request: &'a Request,
    pub(super) old: Job<'a>,
    pub(super) job: Job<'a>,
    /// Without what a queue wrote into the template when it admitted the Job.
    pub(super) old_without_queue: &'a Value,
    pub(super) job_without_queue: &'a Value,
    pub(super) dormant: &'a Dormant,
    pub(super) policy: &'a Policy,
    pub(super) context: &'a Context<'a>,
}

impl Update<'_> {
    pub(super) fn name(&self) -> &str {
        messages::name(self.old, &self.request.name)
    }

    /// What becomes of the policy's TTL in the Job that is asked for, were it created.
    pub(super) fn policy_ttl(&self) -> PolicyTtl {
        if left_alone::reason_from_job(self.job, None).is_some() {
            return PolicyTtl::None;
        }
        PolicyTtl::of(self.job, self.request.field_manager.as_deref(), self.policy)
    }

    pub(super) fn asks_for_a_rerun(&self) -> bool {
        asks_for_a_rerun(self.old, self.job)
            && !puts_rerun_back(self.old, self.job, self.request.field_manager.as_deref())
    }

    /// Whether the dormant Job that was made for this request has come to its end before it was
    /// started (`activeDeadlineSeconds`): to release it would run nothing. One of no completions has
    /// nothing to run.
    pub(super) fn ended_dormant(&self) -> bool {
        self.policy.on_change == OnChange::Replace
            && progress(self.old) == Progress::Finished
            && self.old.completions() != Some(0)
            && self.dormant.ours().is_some()
    }

    /// Whether the request drops what rejob has written: a PUT of a manifest.
    pub(super) fn is_bare_put(&self) -> bool {
        self.old.annotation(keys::TEMPLATE_HASH).is_some()
            && self.job.annotation(keys::TEMPLATE_HASH).is_none()
    }

    /// Whether the Job is dormant for another request and being deleted. Then the request's
    /// `parallelism` is put back, and changing it counts as no change.
    pub(super) fn stays_dormant(&self) -> bool {
        self.is_being_deleted() && self.dormant.is_others()
    }

    /// Whether the request names another revision or uid than the stored one: its write cannot succeed.
    /// Those of the Job that was replaced for it are made those of the dormant one.
    pub(super) fn is_stale(&self) -> bool {
        let differs = |theirs: Option<&str>, stored: Option<&str>, replaced: Option<&str>| {
            theirs.is_some() && theirs != stored && theirs != replaced
        };
        let ours = self.dormant.ours();
        let revision = ours.map(|ours| ours.resource_version.as_str());
        let uid = ours.map(|ours| ours.uid.as_str());
        let moved_on = differs(self.job.resource_version(), self.old.resource_version(), revision);
        (moved_on && !self.context.was_told_to_wait) || differs(self.job.uid(), self.old.uid(), uid)
    }

    /// Whether this is the request that the dormant Job was made for, sent again with fields that were
    /// left out of that Job (a queue's).
    pub(super) fn is_sent_again(&self) -> bool {
        let sent = self.dormant.ours().and_then(|ours| ours.sent.as_deref());
        sent.is_some_and(|sent| sent == TemplateHash::of(self.job.value()).as_str())
    }

    /// Whether the stored Job may have been changed without a hash being recorded: while it was
    /// suspended, and rejob did not run or left it alone.
    pub(super) fn may_have_changed_unrecorded(&self) -> bool {
        (self.old.is_suspended() || self.old.has_condition("Suspended"))
            && !has_a_queue(self.old, self.request.field_manager.as_deref())
    }

    /// Whether a replacement would only be checked: in a dry run, or to report it.
    pub(super) fn only_checks(&self) -> bool {
        self.request.dry_run || self.policy.on_change == OnChange::Report
    }

    pub(super) fn is_being_deleted(&self) -> bool {
        self.old.is_being_deleted() || self.job.is_being_deleted()
    }
}
