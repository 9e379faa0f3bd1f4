//! The protocol of turn 1 as a state machine without I/O: which effects come next, and what their
//! answers lead to.
//!
//! The driver (`admission::driver` of the crate `rejob`) carries effects out on a real cluster; the model tests carry them
//! out one by one on a model of the API server, in every order. The invariant: nothing is deleted
//! before all checks have passed, and after the deletion the machine ends only with the new Job
//! made, the API server sent back, or an error to the client.

use std::time::Duration;

use crate::reason::Reason;

use super::{ApiError, Effect, Mode, Outcome, Plan, Reply, as_user};

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
    /// `deleted` is false when the deletion was not answered. If a creation succeeds, it has happened. If
    /// the name is taken, that is still unknown.
    Creating {
        deleted: bool,
    },
    Ended(Outcome),
}

/// A replacement under way.
#[derive(Debug, Clone)]
pub struct Execution<'a> {
    plan: &'a Plan,
    policy: &'a str,
    as_user: bool,
    dormant_tried: bool,
    state: State,
}

impl<'a> Execution<'a> {
    /// Begins with the checks, where there is time for them and for what follows.
    pub fn new(plan: &'a Plan, policy: &'a str, time: Time) -> Self {
        let in_time = time.left >= time.creation + time.reserve();
        let state = if in_time { State::Checking } else { State::Ended(Outcome::NoTime) };
        Self { plan, policy, as_user: false, dormant_tried: false, state }
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
            State::Creating { .. } => &[Effect::Create],
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
            State::Looking => self.after_look(replies, time),
            State::Deleting => self.after_delete(replies, time.left),
            State::Creating { deleted } => self.after_create(replies, time.left, deleted),
            State::Ended(_) => return,
        };
    }

    fn after_checks(&self, replies: Vec<(Effect, Reply)>, time: Time) -> State {
        let plan = self.plan;
        let mut passed = Vec::new();
        for (effect, reply) in replies {
            let is_late = matches!(&reply, Reply::Created(Err(error)) if error.code == 0);
            if is_late && time.left.is_zero() {
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

    fn after_look(&self, replies: Vec<(Effect, Reply)>, time: Time) -> State {
        match replies.into_iter().next() {
            Some((_, Reply::Works(Ok(false)))) => Self::delete(time),
            _ => State::Ended(Outcome::Working),
        }
    }

    fn delete(time: Time) -> State {
        if time.left < time.reserve() { State::Ended(Outcome::NoTime) } else { State::Deleting }
    }

    /// Why a check does not let the replacement go on.
    fn refusal(&self, effect: Effect, reply: Reply) -> Option<Outcome> {
        if let Some(outcome) = as_user::refusal(self.plan, effect, &reply) {
            return Some(outcome);
        }
        let (namespace, not_replaced) = (&self.plan.namespace, self.plan.not_replaced());
        match (effect, reply) {
            (Effect::OptIn, Reply::OptIn(Ok(Some(label)))) if label == self.policy => None,
            (_, Reply::OptIn(Ok(_))) => Some(Outcome::Refused(
                Reason::NotOptedIn,
                format!(
                    "{not_replaced}: namespace {namespace:?} does not have the label \
                     rejob.dev/policy: {}",
                    self.policy
                ),
            )),
            // `Created`: the old Job is gone already, which the API server will find out.
            (Effect::CanDelete | Effect::CanCreate, Reply::Can(Ok(true)))
            | (
                Effect::DryRunCreate | Effect::DryRunCreateAsUser | Effect::DryRunDormant,
                Reply::Created(Ok(_)),
            )
            | (Effect::DryRunDeleteAsUser, Reply::Deleted(Ok(()))) => None,
            // The deletion itself finds that out.
            (Effect::DryRunDeleteAsUser, Reply::Deleted(Err(error))) if error.is_stale() => None,
            (Effect::CanDelete, Reply::Can(Ok(false))) => {
                Some(Outcome::rights_denied(self.plan, "delete"))
            }
            (_, Reply::Can(Ok(false))) => Some(Outcome::rights_denied(self.plan, "create")),
            // The name is taken, by the old Job: everything else about the new one is accepted.
            (
                Effect::DryRunCreate | Effect::DryRunCreateAsUser | Effect::DryRunDormant,
                Reply::Created(Err(error)),
            ) if error.is_already_exists() => None,
            (Effect::DryRunDormant, Reply::Created(Err(error))) if !error.is_passing() => {
                Some(Outcome::Refused(
                    Reason::InvalidDenied,
                    format!(
                        "{not_replaced}: the API server refuses the new Job as rejob creates it, with \
                         parallelism 0 and the old annotations (let that policy pass Jobs with the \
                         label rejob.dev/dormant): {}",
                        error.message
                    ),
                ))
            }
            (_, Reply::Created(Err(error))) if !error.is_passing() => Some(Outcome::Refused(
                Reason::InvalidDenied,
                format!(
                    "{not_replaced}: the API server refuses the new one: {}{}",
                    error.message,
                    way_out(&error.message)
                ),
            )),
            (
                _,
                Reply::OptIn(Err(error))
                | Reply::Can(Err(error))
                | Reply::Created(Err(error))
                | Reply::Works(Err(error))
                | Reply::Deleted(Err(error)),
            ) => Some(self.unanswered_check(&error)),
            // A reply to another question.
            (
                _,
                Reply::Can(Ok(true))
                | Reply::Created(Ok(_))
                | Reply::Works(Ok(_))
                | Reply::Deleted(Ok(())),
            ) => {
                Some(self.unanswered_check(&ApiError::unanswered("another question was answered")))
            }
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

    fn after_delete(&self, replies: Vec<(Effect, Reply)>, left: Duration) -> State {
        let recreates = self.plan.mode == Mode::Recreate;
        match replies.into_iter().next() {
            Some((_, Reply::Deleted(Ok(())))) if recreates => State::Creating { deleted: true },
            Some((_, Reply::Deleted(Ok(())))) => State::Ended(Outcome::Replaced(None)),
            Some((_, Reply::Deleted(Err(error)))) if error.is_stale() => {
                State::Ended(Outcome::StaleView)
            }
            // After a refusal nothing is deleted.
            Some((_, Reply::Deleted(Err(error)))) if !error.is_passing() || error.code == 429 => {
                let not_replaced = self.plan.not_replaced();
                let message = format!(
                    "{not_replaced}: the API server refused to delete the old one: {}",
                    error.message
                );
                if error.is_passing() {
                    State::Ended(Outcome::Busy(message))
                } else {
                    refused(Reason::ClusterError, message)
                }
            }
            // Perhaps deleted: the creation finds out, since the name is free only then.
            _ if recreates && !left.is_zero() => State::Creating { deleted: false },
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

    fn after_create(&self, replies: Vec<(Effect, Reply)>, left: Duration, deleted: bool) -> State {
        let name = &self.plan.name;
        match replies.into_iter().next() {
            Some((_, Reply::Created(Ok(uid)))) => State::Ended(Outcome::Replaced(Some(uid))),
            // Another client was faster, or an answer was lost: the API server sees what is there.
            Some((_, Reply::Created(Err(error)))) if error.is_already_exists() && deleted => {
                State::Ended(Outcome::Overtaken)
            }
            // The old Job still stands, or another: an answer that lets the write through would
            // store the marker.
            Some((_, Reply::Created(Err(error)))) if error.is_already_exists() => {
                State::Ended(self.perhaps_deleted())
            }
            // A 409 that is not about the name is a quota's: somebody else's write came first.
            Some((_, Reply::Created(Err(error))))
                if (error.is_passing()
                    || error.is_exceeded_quota()
                    || (error.code == 409 && !error.is_by_a_webhook()))
                    && !left.is_zero() =>
            {
                State::Creating { deleted }
            }
            Some((_, Reply::Created(Err(_)))) if !deleted => State::Ended(self.perhaps_deleted()),
            Some((_, Reply::Created(Err(error)))) => State::Ended(Outcome::Failed(format!(
                "job {name} was deleted and could not be created again: {}; send the same request \
                 again",
                error.message
            ))),
            _ => State::Ended(Outcome::Failed(format!(
                "job {name} was deleted and not created again; send the same request again"
            ))),
        }
    }
}

/// What to do about a refusal of the API server's that does not say it.
fn way_out(message: &str) -> &'static str {
    if message.contains("auto-generated") {
        "; remove spec.selector from the manifest, or set manualSelector: true"
    } else {
        ""
    }
}

fn refused(reason: Reason, message: String) -> State {
    State::Ended(Outcome::Refused(reason, message))
}
