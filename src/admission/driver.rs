//! The driver: carries the effects of an [`Execution`] out, inside the deadline of the request.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::fail_point::{self, Step};
use crate::job::{Job, pod_works};
use crate::kubernetes::{Cluster, Right};
use crate::replacement::{
    ApiError, Effect, Execution, MARKS_ARE_LOST, Mode, Outcome, Plan, Record, Reply, Time,
};

/// The first pause before a creation is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// What is already known from the dry run that asked whose difference it is.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What the creation under another name took; zero without one.
    pub took: Duration,
    /// Whether it was accepted.
    pub accepted: bool,
    /// The checks of the replacement that were made at the same time.
    pub checks: Option<Box<Checks>>,
}

/// The checks of a plan, made before it is carried out.
#[derive(Debug, Clone)]
pub struct Checks {
    plan: Plan,
    begun: Time,
    replies: Vec<(Effect, Reply)>,
    /// What the slowest creation in a dry run took.
    creation: Duration,
}

impl Checks {
    /// Whether that plan would be asked about in the same way: what was learned of the old Job's Pods
    /// meanwhile makes no difference.
    fn ask_about(&self, plan: &Plan) -> bool {
        self.plan.mode == plan.mode
            && self.plan.accepted() == plan.accepted()
            && (&self.plan.uid, &self.plan.resource_version) == (&plan.uid, &plan.resource_version)
    }
}

/// Makes the checks of a plan whose dormant form is just being tried. Never later than `deadline`.
pub async fn check<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    policy: &str,
    deadline: Instant,
) -> Checks {
    let begun = Time { left: left(deadline), creation: Duration::ZERO };
    let effects = begin(cluster, plan, policy, begun, true).effects();
    let (replies, creation) =
        carry_out_all(cluster, plan, &Value::Null, effects, begun, deadline).await;
    Checks { plan: plan.clone(), begun, replies, creation }
}

fn begin<'a, C: Cluster>(
    cluster: &C,
    plan: &'a Plan,
    policy: &'a str,
    time: Time,
    dormant_tried: bool,
) -> Execution<'a> {
    let execution = Execution::new(plan, policy, time);
    let execution = if cluster.checks_as_user() { execution.as_user() } else { execution };
    if dormant_tried { execution.dormant_tried() } else { execution }
}

/// Carries a plan out and returns how it ended. Never later than `deadline`. Checks that were made for
/// the same plan are not repeated.
pub async fn run<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    policy: &str,
    deadline: Instant,
    checked: Checked,
) -> Outcome {
    let mut time = Time { left: left(deadline), creation: checked.took };
    let checks = checked.checks.filter(|checks| checked.accepted && checks.ask_about(plan));
    let begun = checks.as_ref().map_or(time, |checks| checks.begun);
    let mut execution = begin(cluster, plan, policy, begun, checked.accepted);
    if let Some(checks) = checks {
        time.creation = time.creation.max(checks.creation);
        execution.resume(checks.replies, time);
    }
    let dormant = match plan.mode {
        Mode::Recreate => plan.dormant(policy),
        Mode::Apply => Value::Null,
    };
    let mut pause = FIRST_PAUSE;
    let mut tried = false;
    loop {
        let effects = execution.effects();
        if let Some(outcome) = execution.outcome() {
            return outcome.clone();
        }
        if effects == [Effect::Create] && std::mem::replace(&mut tried, true) {
            sleep_until(deadline.min(Instant::now() + pause)).await;
            pause *= 2;
        }
        let (replies, slowest) =
            carry_out_all(cluster, plan, &dormant, effects, time, deadline).await;
        time = Time { left: left(deadline), creation: time.creation.max(slowest) };
        execution.resume(replies, time);
    }
}

/// Carries effects out at the same time; the replies, and what the slowest creation in a dry run took.
async fn carry_out_all<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    dormant: &Value,
    effects: &'static [Effect],
    time: Time,
    deadline: Instant,
) -> (Vec<(Effect, Reply)>, Duration) {
    // What hangs before the creation must leave time for it.
    let spared = time.reserve().max(left(deadline) / 2);
    let before_the_creation = deadline.checked_sub(spared).unwrap_or(deadline);
    let done = join_all(effects.iter().map(async |effect| {
        fail_point::hit(*effect, Step::Before);
        let begun = Instant::now();
        let until = match effect {
            Effect::Look | Effect::Delete => before_the_creation,
            _ => deadline,
        };
        let reply = timeout_at(until, carry_out(cluster, plan, dormant, *effect)).await;
        // No `after` point for an effect that failed: it will be tried again.
        let refused = match &reply {
            Ok(Reply::Deleted(result)) => result.is_err(),
            Ok(Reply::Created(result)) => *effect == Effect::Create && result.is_err(),
            _ => false,
        };
        if !refused {
            fail_point::hit(*effect, Step::After);
        }
        let took = begun.elapsed();
        (took, (*effect, reply.unwrap_or_else(|_| unanswered(*effect))))
    }))
    .await;
    let dry_runs = done.iter().filter(|(_, (effect, _))| {
        matches!(effect, Effect::DryRunCreate | Effect::DryRunCreateAsUser | Effect::DryRunDormant)
    });
    let slowest = dry_runs.map(|(took, _)| *took).max().unwrap_or_default();
    (done.into_iter().map(|(_, replied)| replied).collect(), slowest)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// `dormant` is the new Job as it is made, which an apply does not need.
async fn carry_out<C: Cluster>(cluster: &C, plan: &Plan, dormant: &Value, effect: Effect) -> Reply {
    let Plan { namespace, name, user, .. } = plan;
    let manager = plan.field_manager.as_deref();
    match effect {
        Effect::OptIn => Reply::OptIn(cluster.namespace_policy(namespace).await),
        Effect::CanDelete => {
            Reply::Can(cluster.can_user(user, namespace, Right::Delete(name)).await)
        }
        Effect::CanCreate => {
            let named = (plan.mode == Mode::Apply).then_some(name.as_str());
            Reply::Can(cluster.can_user(user, namespace, Right::Create(named)).await)
        }
        Effect::DryRunCreate => Reply::Created(
            cluster.create(namespace, plan.accepted(), manager, true).await.map(|job| uid(&job)),
        ),
        Effect::DryRunDormant => Reply::Created(
            cluster.create(namespace, dormant, manager, true).await.map(|job| uid(&job)),
        ),
        Effect::DryRunCreateAsUser => {
            let made = cluster.dry_run_create_as_user(user, namespace, plan.accepted(), manager);
            Reply::Created(made.await.map(|job| uid(&job)))
        }
        Effect::DryRunDeleteAsUser => {
            let (uid, revision) = (&plan.uid, &plan.resource_version);
            Reply::Deleted(
                cluster.dry_run_delete_as_user(user, namespace, name, uid, revision).await,
            )
        }
        Effect::Look => {
            let selector = plan.pods.as_deref().unwrap_or_default();
            let pods = cluster.pods(namespace, selector).await;
            Reply::Works(pods.map(|pods| pods.iter().any(|pod| pod_works(pod, &plan.uid))))
        }
        Effect::Delete => {
            Reply::Deleted(cluster.delete(namespace, name, &plan.uid, &plan.resource_version).await)
        }
        Effect::Create => {
            let made = cluster.create(namespace, dormant, manager, false).await;
            Reply::Created(match made {
                Ok(stored) => uid_if_dormant(cluster, plan, &stored).await,
                Err(error) => Err(error),
            })
        }
    }
}

/// The uid of the new Job, if it is stored with its marks. If not, it is deleted again: it would never
/// start, or start too early.
async fn uid_if_dormant<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    stored: &Value,
) -> Result<String, ApiError> {
    let job = Job::new(stored);
    if Record::of(job).is_some() {
        return Ok(uid(stored));
    }
    let (uid, revision) = (job.uid().unwrap_or_default(), job.resource_version());
    let revision = revision.unwrap_or_default();
    // The client gets an error in any case.
    let _ = cluster.delete(&plan.namespace, &plan.name, uid, revision).await;
    Err(ApiError { code: 422, reason: "NotDormant".to_owned(), message: MARKS_ARE_LOST.to_owned() })
}

/// What a call that ran into the deadline counts as.
fn unanswered(effect: Effect) -> Reply {
    let error = ApiError::unanswered("no answer before the deadline of the webhook call");
    Reply::failed(effect, error)
}

fn uid(job: &Value) -> String {
    job.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
