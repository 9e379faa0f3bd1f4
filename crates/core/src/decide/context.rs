//! What a decision depends on besides the request and the policy.

use serde_json::Value;

use crate::replacement::Plan;

/// Facts about this server, the cluster, and what this replica knows of the Job.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    /// The name that rejob's own requests carry.
    pub own_user: Option<&'a str>,
    /// The namespace that rejob runs in.
    pub own_namespace: Option<&'a str>,
    /// The minor version of the API server, where known: later ones allow more changes.
    pub server_minor: Option<u32>,
    /// Whether this replica told this very request to wait (a PUT of an older resourceVersion) while
    /// the Job ran, and only the status has changed since: then its revision is not stale.
    pub was_told_to_wait: bool,
    /// Whether this replica refused the request that led to this dormant Job, since it gives another
    /// template in each turn: then this is another request.
    pub given_up: bool,
    /// Whether the request's manager applied this Job within the last seconds: an entry's time is
    /// in whole seconds, so a further apply may leave no trace of its own.
    pub applied_just_now: bool,
    /// The new Job as the API server would store it: the answer to [`Question::Creation`].
    pub creation: Fact<Value>,
    /// The Pods of the old Job, perhaps among others: the answer to [`Question::Pods`].
    pub pods: Fact<Vec<Value>>,
}

/// What the cluster says about something, if it was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Fact<T> {
    /// There is nobody to ask, or the answer does not help.
    #[default]
    Unavailable,
    /// It can be asked.
    Unasked,
    /// The answer did not come this time, and why.
    Failed(String),
    /// The answer.
    Known(T),
}

impl<T> Fact<T> {
    /// A fact that nobody has asked for yet, and whether anybody can be asked.
    pub fn of(can_be_asked: bool) -> Self {
        if can_be_asked { Self::Unasked } else { Self::Unavailable }
    }
}

/// A fact that a decision lacks.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What would be stored as the new Job of this plan? ([`Context::creation`])
    Creation(Box<Plan>),
    /// Which Pods does the old Job have? ([`Context::pods`])
    Pods,
}
