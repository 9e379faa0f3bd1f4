//! Checks in the user's name (constrained impersonation, KEP-5284): admission that looks at the user
//! speaks before anything is deleted, and the API server itself checks the user's rights.
//!
//! The dormant form is tried in rejob's own name, as it is created: in anybody else's, rejob's own
//! webhook removes the marks from it.

use crate::reason::Reason;

use super::{ApiError, Effect, Outcome, Plan};

const CHECKS: [Effect; 3] = [Effect::OptIn, Effect::DryRunDeleteAsUser, Effect::DryRunCreateAsUser];

const CHECKS_OF_DORMANT: [Effect; 4] =
    [Effect::OptIn, Effect::DryRunDeleteAsUser, Effect::DryRunCreateAsUser, Effect::DryRunDormant];

/// The checks, all at the same time.
pub(super) fn checks(tries_dormant: bool) -> &'static [Effect] {
    if tries_dormant { &CHECKS_OF_DORMANT } else { &CHECKS }
}

/// The refusal that follows from an error of a check in the user's name, if it differs from the refusal of rejob's
/// own checks.
pub(super) fn refusal(plan: &Plan, effect: Effect, error: &ApiError) -> Option<Outcome> {
    let (Effect::DryRunCreateAsUser | Effect::DryRunDeleteAsUser) = effect else { return None };
    let (not_replaced, user) = (plan.not_replaced(), &plan.user.username);
    if error.is_denied_impersonation() {
        let message = format!(
            "{not_replaced}: rejob may not check it in the name of user {user:?} (checks.asUser): {}; \
             grant rejob's service account that verb, as its chart does, or set checks.asUser to false",
            error.message
        );
        return Some(Outcome::Refused(Reason::ClusterError, message));
    }
    match (effect, error.denied_verb()) {
        (Effect::DryRunCreateAsUser, Some("create")) => {
            Some(Outcome::rights_denied(plan, "create"))
        }
        (Effect::DryRunDeleteAsUser, Some("delete")) => {
            Some(Outcome::rights_denied(plan, "delete"))
        }
        (Effect::DryRunDeleteAsUser, _) if !error.is_stale() && !error.is_passing() => {
            Some(Outcome::Refused(
                Reason::InvalidDenied,
                format!(
                    "{not_replaced}: the API server refuses to delete the old one: {}",
                    error.message
                ),
            ))
        }
        _ => None,
    }
}
