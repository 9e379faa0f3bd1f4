//! The driver: carries the effects of an [`Execution`] out, inside the deadline of the request.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::fail_point::{self, Step};
use crate::job::{Job, pod_works};
use crate::kubernetes::{Cluster, Right, Write};
use crate::replacement::{
    ApiError, Effect, Execution, MARKS_ARE_LOST, Mode, Outcome, Plan, Record, Reply, Success, Time,
};
use crate::server::Call;

/// What is said of a call that ran into the deadline.
const LATE: &str = "no answer before the deadline of the webhook call";

/// The first pause before a creation is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// What the dry run under another name, made before the plan was carried out, has shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeResult {
    /// What it took; zero without one.
    pub took: Duration,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// Carries a plan out and returns how it ended, before the deadline of the call. Nothing is deleted
/// for a client that has hung up: it got an error, and may have sent another command.
pub async fn run<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    policy_name: &str,
    call: &Call,
    probe: ProbeResult,
) -> Outcome {
    let deadline = call.deadline;
    let mut time = Time { left: left(deadline), creation: probe.took };
    let mut execution = Execution::new(plan, policy_name, time);
    if probe.accepted {
        execution = execution.dormant_tried();
    }
    if cluster.checks_as_user() {
        execution = execution.as_user();
    }
    let dormant = match plan.mode {
        Mode::Recreate => plan.dormant(policy_name),
        Mode::Apply => Value::Null,
    };
    let mut pause = FIRST_PAUSE;
    let mut tried = false;
    loop {
        let effects = execution.effects();
        if let Some(outcome) = execution.outcome() {
            return outcome.clone();
        }
        if effects != [Effect::Create] && call.abandoned.is_cancelled() {
            return Outcome::hung_up(plan);
        }
        if effects == [Effect::Create] && std::mem::replace(&mut tried, true) {
            sleep_until(deadline.min(Instant::now() + pause)).await;
            pause *= 2;
        }
        // Calls before the creation get part of the time only, so that some is left for it.
        let spared = time.reserve().max(left(deadline) / 2);
        let before_the_creation = deadline.checked_sub(spared).unwrap_or(deadline);
        let until = |effect| match effect {
            Effect::Look | Effect::Delete => before_the_creation,
            _ => deadline,
        };
        let attempts =
            effects.iter().map(|effect| attempt(cluster, plan, &dormant, *effect, until(*effect)));
        let done = join_all(attempts).await;
        let dry_runs = done.iter().filter(|(_, (effect, _))| effect.is_dry_run_creation());
        let slowest = dry_runs.map(|(took, _)| *took).max().unwrap_or_default();
        time = Time { left: left(deadline), creation: time.creation.max(slowest) };
        execution.resume(done.into_iter().map(|(_, replied)| replied).collect(), time);
    }
}

/// Carries one effect out until then; after how long, and what came of it.
async fn attempt<C: Cluster>(
    cluster: &C,
    plan: &Plan,
    dormant: &Value,
    effect: Effect,
    until: Instant,
) -> (Duration, (Effect, Reply)) {
    fail_point::hit(effect, Step::Before);
    let begun = Instant::now();
    let reply = timeout_at(until, carry_out(cluster, plan, dormant, effect)).await;
    // A refused call had no effect, so there is no step after it.
    let writes = matches!(effect, Effect::DryRunDeleteAsUser | Effect::Delete | Effect::Create);
    let refused = writes && matches!(reply, Ok(Err(_)));
    if !refused {
        fail_point::hit(effect, Step::After);
    }
    (begun.elapsed(), (effect, reply.unwrap_or_else(|_| Err(ApiError::unanswered(LATE)))))
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// `dormant` is the new Job as it is made, which an apply does not need.
async fn carry_out<C: Cluster>(cluster: &C, plan: &Plan, dormant: &Value, effect: Effect) -> Reply {
    let Plan { namespace, name, user, .. } = plan;
    let (old, manager) = (&plan.record.uid, plan.record.manager.as_deref());
    let create = async |job, write| cluster.create(namespace, job, manager, write).await;
    let delete =
        async |write| cluster.delete(namespace, name, old, &plan.resource_version, write).await;
    Ok(match effect {
        Effect::OptIn => Success::OptIn(cluster.namespace_policy(namespace).await?),
        Effect::CanDelete => {
            Success::Can(cluster.can_user(user, namespace, Right::Delete(name)).await?)
        }
        Effect::CanCreate => {
            let named = (plan.mode == Mode::Apply).then_some(name.as_str());
            Success::Can(cluster.can_user(user, namespace, Right::Create(named)).await?)
        }
        Effect::DryRunCreate => {
            Success::Created(uid(&create(plan.accepted(), Write::DryRun).await?))
        }
        Effect::DryRunDormant => Success::Created(uid(&create(dormant, Write::DryRun).await?)),
        Effect::DryRunCreateAsUser => {
            Success::Created(uid(&create(plan.accepted(), Write::DryRunAs(user)).await?))
        }
        Effect::DryRunDeleteAsUser => {
            delete(Write::DryRunAs(user)).await?;
            Success::Deleted
        }
        Effect::Look => {
            let selector = plan.pods.as_deref().unwrap_or_default();
            let pods = cluster.pods(namespace, selector).await?;
            Success::Works(pods.iter().any(|pod| pod_works(pod, old)))
        }
        Effect::Delete => {
            delete(Write::Real).await?;
            Success::Deleted
        }
        Effect::Create => {
            let stored = create(dormant, Write::Real).await?;
            Success::Created(uid_if_dormant(cluster, plan, &stored).await?)
        }
    })
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
    let _ = cluster.delete(&plan.namespace, &plan.name, uid, revision, Write::Real).await;
    Err(ApiError { code: 422, reason: "NotDormant".to_owned(), message: MARKS_ARE_LOST.to_owned() })
}

fn uid(job: &Value) -> String {
    job.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
