//! The protocol of turn 1 as a state machine without I/O: which effects come next, and what their
//! answers lead to.
//!
//! The driver (`admission::driver` of the crate `rejob`) carries effects out on a real cluster; the model tests carry them
//! out one by one on a model of the API server, in every order. The invariant: nothing is deleted
//! before all checks have passed, and after the deletion the machine ends only with the new Job
//! made, the API server sent back, or an error to the client.

use std::time::Duration;

use crate::reason::Reason;

use super::{ApiError, Effect, Mode, Outcome, Plan, Reply, Success, as_user};

/// The least time that must be left for a deletion to begin: it and the creation must both fit.
const RESERVE: Duration = Duration::from_millis(400);

/// The time of a webhook call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time {
    /// Until the deadline.
    pub left: Duration,
    /// What the slowest creation in a dry run has taken so far: the admission of this cluster.
    pub creation: Duration,
}

impl Time {
    /// What must be left for a deletion to begin. The creation after it meets the same admission.
    pub fn reserve(&self) -> Duration {
        RESERVE + 2 * self.creation
    }
}

/// The checks, all at the same time.
const CHECKS: [Effect; 4] =
    [Effect::OptIn, Effect::CanDelete, Effect::CanCreate, Effect::DryRunCreate];

/// The checks where rejob itself makes the new Job, and has not tried it. Both forms are tried: a
/// policy may refuse a Job that starts no Pod, or one that starts too many.
const CHECKS_OF_DORMANT: [Effect; 5] = [
    Effect::OptIn,
    Effect::CanDelete,
    Effect::CanCreate,
    Effect::DryRunCreate,
    Effect::DryRunDormant,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    Checking,
    Looking,
    Deleting,
    Creating(Deletion),
    Ended(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deletion {
    Done,
    /// It was not answered. If a creation succeeds, it has happened. If the name is taken, that is still
    /// unknown.
    Unknown,
}

/// A replacement under way.
#[derive(Debug, Clone)]
pub struct Execution<'a> {
    plan: &'a Plan,
    policy_name: &'a str,
    as_user: bool,
    dormant_tried: bool,
    state: State,
}

impl<'a> Execution<'a> {
    /// Begins with the checks, where there is time for them and for what follows.
    pub fn new(plan: &'a Plan, policy_name: &'a str, time: Time) -> Self {
        let in_time = time.left >= time.creation + time.reserve();
        let state = if in_time { State::Checking } else { State::Ended(Outcome::NoTime) };
        Self { plan, policy_name, as_user: false, dormant_tried: false, state }
    }

    /// Makes the checks in the user's name.
    pub fn as_user(self) -> Self {
        Self { as_user: true, ..self }
    }

    /// Leaves out the check of the dormant form: the API server has just accepted it under another
    /// name, and the check of the form that runs has the name.
    pub fn dormant_tried(self) -> Self {
        Self { dormant_tried: true, ..self }
    }

    /// The effects to carry out now, all at the same time; none when it has ended.
    pub fn effects(&self) -> &'static [Effect] {
        match self.state {
            State::Checking => self.checks(),
            State::Looking => &[Effect::Look],
            State::Deleting => &[Effect::Delete],
            State::Creating(_) => &[Effect::Create],
            State::Ended(_) => &[],
        }
    }

    fn checks(&self) -> &'static [Effect] {
        let tries_dormant = self.plan.mode == Mode::Recreate && !self.dormant_tried;
        match (self.as_user, tries_dormant) {
            (true, _) => as_user::checks(tries_dormant),
            (false, false) => &CHECKS,
            (false, true) => &CHECKS_OF_DORMANT,
        }
    }

    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Goes on with the replies to [`Self::effects`], in their order.
    pub fn resume(&mut self, replies: Vec<(Effect, Reply)>, time: Time) {
        self.state = match self.state {
            State::Checking => self.after_checks(replies, time),
            State::Looking => Self::after_look(only(replies), time),
            State::Deleting => self.after_delete(only(replies), time.left),
            State::Creating(deletion) => self.after_create(only(replies), time.left, deletion),
            State::Ended(_) => return,
        };
    }

    fn after_checks(&self, replies: Vec<(Effect, Reply)>, time: Time) -> State {
        let plan = self.plan;
        let mut passed = Vec::new();
        for (effect, reply) in replies {
            let is_unanswered = matches!(&reply, Err(error) if error.code == 0);
            if effect.is_dry_run_creation() && is_unanswered && time.left.is_zero() {
                return State::Ended(Outcome::NoTime);
            }
            if let Some(outcome) = self.refusal(effect, reply) {
                return State::Ended(outcome);
            }
            passed.push(effect);
        }
        if let Some(missing) = self.checks().iter().find(|check| !passed.contains(check)) {
            let error = ApiError::unanswered(format!("no reply to {missing:?}"));
            return State::Ended(self.unanswered_check(&error));
        }
        if plan.only_checks {
            // The real run needs the time as well.
            match Self::delete(time) {
                State::Deleting => State::Ended(Outcome::WouldReplace),
                late => late,
            }
        } else if plan.pods.is_some() {
            State::Looking
        } else {
            Self::delete(time)
        }
    }

    fn after_look(reply: Option<Reply>, time: Time) -> State {
        match reply {
            Some(Ok(Success::Works(false))) => Self::delete(time),
            _ => State::Ended(Outcome::Working),
        }
    }

    fn delete(time: Time) -> State {
        if time.left < time.reserve() { State::Ended(Outcome::NoTime) } else { State::Deleting }
    }

    /// Why a check does not let the replacement go on.
    fn refusal(&self, effect: Effect, reply: Reply) -> Option<Outcome> {
        let error = match (effect, reply) {
            (Effect::OptIn, Ok(Success::OptIn(label))) => {
                let opts_in = label.as_deref() == Some(self.policy_name);
                return (!opts_in).then(|| Outcome::not_opted_in(self.plan, self.policy_name));
            }
            (Effect::CanDelete, Ok(Success::Can(may))) => {
                return (!may).then(|| Outcome::rights_denied(self.plan, "delete"));
            }
            (Effect::CanCreate, Ok(Success::Can(may))) => {
                return (!may).then(|| Outcome::rights_denied(self.plan, "create"));
            }
            // `Created`: the old Job is gone already, which the API server will find out.
            (_, Ok(Success::Created(_))) if effect.is_dry_run_creation() => return None,
            (Effect::DryRunDeleteAsUser, Ok(Success::Deleted)) => return None,
            (_, Ok(_)) => ApiError::unanswered("another question was answered"),
            (_, Err(error)) => error,
        };
        if let Some(outcome) = as_user::refusal(self.plan, effect, &error) {
            return Some(outcome);
        }
        let (not_replaced, message) = (self.plan.not_replaced(), &error.message);
        let invalid = |why| Some(Outcome::Refused(Reason::InvalidDenied, why));
        match effect {
            // The deletion itself finds that out.
            Effect::DryRunDeleteAsUser if error.is_stale() => None,
            // The name is taken, by the old Job: everything else about the new one is accepted.
            _ if effect.is_dry_run_creation() && error.is_already_exists() => None,
            Effect::DryRunDormant if !error.is_passing() => invalid(format!(
                "{not_replaced}: the API server refuses the new Job as rejob creates it, with \
                 parallelism 0 and the old annotations (let that policy pass Jobs with the label \
                 rejob.dev/dormant): {message}"
            )),
            _ if effect.is_dry_run_creation() && !error.is_passing() => invalid(format!(
                "{not_replaced}: the API server refuses the new one: {message}{}",
                way_out(message)
            )),
            _ => Some(self.unanswered_check(&error)),
        }
    }

    /// A check that was not answered with yes or no.
    fn unanswered_check(&self, error: &ApiError) -> Outcome {
        let not_replaced = self.plan.not_replaced();
        let message =
            format!("{not_replaced}: the API server failed a check ({}); try again", error.message);
        if error.is_passing() {
            Outcome::Busy(message)
        } else {
            Outcome::Refused(Reason::ClusterError, message)
        }
    }

    fn after_delete(&self, reply: Option<Reply>, left: Duration) -> State {
        let recreates = self.plan.mode == Mode::Recreate;
        match reply {
            Some(Ok(Success::Deleted)) if recreates => State::Creating(Deletion::Done),
            Some(Ok(Success::Deleted)) => State::Ended(Outcome::Replaced(None)),
            Some(Err(error)) if error.is_stale() => State::Ended(Outcome::StaleView),
            // After a refusal nothing is deleted.
            Some(Err(error)) if !error.is_passing() || error.code == 429 => {
                let not_replaced = self.plan.not_replaced();
                let message = format!(
                    "{not_replaced}: the API server refused to delete the old one: {}",
                    error.message
                );
                State::Ended(if error.is_passing() {
                    Outcome::Busy(message)
                } else {
                    Outcome::Refused(Reason::ClusterError, message)
                })
            }
            // Perhaps deleted: the creation finds out, since the name is free only then.
            _ if recreates && !left.is_zero() => State::Creating(Deletion::Unknown),
            _ => State::Ended(self.perhaps_deleted()),
        }
    }

    /// The deletion was not answered, and it is unknown whether it happened.
    fn perhaps_deleted(&self) -> Outcome {
        let name = &self.plan.name;
        Outcome::Failed(format!(
            "job {name} may be deleted and was not created again: the API server did not answer the \
             deletion; send the same request again"
        ))
    }

    fn after_create(&self, reply: Option<Reply>, left: Duration, deletion: Deletion) -> State {
        let name = &self.plan.name;
        let error = match reply {
            Some(Ok(Success::Created(uid))) => return State::Ended(Outcome::Replaced(Some(uid))),
            Some(Err(error)) => error,
            _ => {
                return State::Ended(Outcome::Failed(format!(
                    "job {name} was deleted and not created again; send the same request again"
                )));
            }
        };
        let is_taken = error.is_already_exists();
        // A 409 that is not about the name is a quota's: somebody else's write came first.
        let may_pass = error.is_passing()
            || error.is_exceeded_quota()
            || (error.code == 409 && !error.is_by_a_webhook() && !is_taken);
        match deletion {
            _ if may_pass && !left.is_zero() => State::Creating(deletion),
            // Another client was faster, or an answer was lost: the API server sees what is there.
            Deletion::Done if is_taken => State::Ended(Outcome::Overtaken),
            Deletion::Done => State::Ended(Outcome::Failed(format!(
                "job {name} was deleted and could not be created again: {}; send the same request \
                 again",
                error.message
            ))),
            // The old Job may still stand, or another: an answer that lets the write through would store
            // the marker.
            Deletion::Unknown => State::Ended(self.perhaps_deleted()),
        }
    }
}

/// The reply to the only effect of a step, if there is one.
fn only(replies: Vec<(Effect, Reply)>) -> Option<Reply> {
    replies.into_iter().next().map(|(_, reply)| reply)
}

/// What to do about a refusal of the API server's that does not say it.
fn way_out(message: &str) -> &'static str {
    if message.contains("auto-generated") {
        "; remove spec.selector from the manifest, or set manualSelector: true"
    } else {
        ""
    }
}
