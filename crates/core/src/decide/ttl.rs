//! The policy's TTL, which a new Job gets that sets none.
//!
//! Not a Job that a GitOps tool keeps in step with its source: the tool would miss the Job that the
//! TTL has deleted and create it again, which runs it again, each time. Only the Job's own annotation
//! asks for that.

use crate::job::{Client, Job};
use crate::policy::{Policy, Ttl, annotations};

/// What becomes of the policy's TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyTtl {
    /// The policy has none, or the Job sets its own.
    None,
    /// The Job gets it. The tool is given if the annotation overrides it.
    Given(Ttl, Option<Client>),
    /// The GitOps tool would create the Job again.
    Withheld,
}

impl PolicyTtl {
    /// What that Job gets; the policy is the one that its annotations override.
    pub(super) fn of(job: Job<'_>, manager: Option<&str>, policy: &Policy) -> Self {
        let Some(ttl) = policy.ttl_seconds_after_finished else { return Self::None };
        if job.spec("ttlSecondsAfterFinished").is_some() {
            return Self::None;
        }
        match Client::gitops_tool(job, manager) {
            Some(_) if annotations::ttl(job).is_none() => Self::Withheld,
            tool => Self::Given(ttl, tool),
        }
    }

    /// The TTL that the Job gets.
    pub(super) fn given(self) -> Option<Ttl> {
        match self {
            Self::Given(ttl, _) => Some(ttl),
            Self::None | Self::Withheld => None,
        }
    }
}
