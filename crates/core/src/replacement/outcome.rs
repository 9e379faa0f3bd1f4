//! How a replacement ends.

use crate::reason::Reason;

use super::Plan;

/// How a replacement ended.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The old Job is deleted, and the new one is made (its uid) or left to the API server.
    Replaced(Option<String>),
    /// A dry run passed all checks.
    WouldReplace,
    /// The Job changed meanwhile. Nothing was changed, and the API server comes back.
    StaleView,
    /// The old Job is deleted, and another client has already created a new one. The API server comes
    /// back and finds it.
    Overtaken,
    /// The old Job has started to work, or may have. Nothing was changed.
    Working,
    /// Refused before anything was deleted.
    Refused(Reason, String),
    /// Refused before anything was deleted: the admission of this cluster is too slow for what is left
    /// of the webhook call.
    NoTime,
    /// The API server could not answer at this moment; nothing was deleted, and the same request
    /// may succeed a moment later.
    Busy(String),
    /// The old Job is, or may be, deleted and the new one is not there: the client gets an error.
    Failed(String),
}

impl Outcome {
    /// The refusal where the live Namespace does not opt in to that policy.
    pub(super) fn not_opted_in(plan: &Plan, policy_name: &str) -> Self {
        let (not_replaced, namespace) = (plan.not_replaced(), &plan.namespace);
        Self::Refused(
            Reason::NotOptedIn,
            format!(
                "{not_replaced}: namespace {namespace:?} does not have the label rejob.dev/policy: {policy_name}"
            ),
        )
    }

    /// The refusal where the user lacks one of the two rights that a replacement needs.
    pub(super) fn rights_denied(plan: &Plan, verb: &str) -> Self {
        let (not_replaced, user, namespace) =
            (plan.not_replaced(), &plan.user.username, &plan.namespace);
        Self::Refused(
            Reason::RightsDenied,
            format!(
                "{not_replaced}: user {user:?} may not {verb} jobs in namespace {namespace:?}, which \
                 a replacement needs; grant it, or delete and create the Job"
            ),
        )
    }

    /// The refusal where the client has hung up: it got an error, and may have sent another command.
    pub fn hung_up(plan: &Plan) -> Self {
        let not_replaced = plan.not_replaced();
        let told =
            format!("{not_replaced}: the client hung up; keep the connection open for the answer");
        Self::Refused(Reason::HungUp, told)
    }
}
