//! The effects of an execution on the model's storage, one at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use rejob::job::Job;
use rejob::job::{Progress, progress};
use rejob::policy::WhileRunning;
use rejob::replacement::{ApiError, Effect, Execution, Mode, Plan, Reply, Success, Time};
use serde_json::Value;

use super::check::Checked;
use super::job::{self, Refusal, Shared};
use super::rules::Rule;
use super::scenario::may_replace;
use super::world::{Planned, Run, World};

pub const POLICY: &str = "replace";
const TIME: Time = Time { left: Duration::from_secs(8), creation: Duration::ZERO };
const NO_TIME: Time = Time { left: Duration::ZERO, creation: Duration::ZERO };

/// A replacement that begins, after the dry run under another name.
pub fn begin(model: &Checked, plan: Planned, answer: Shared, by: Option<usize>) -> Run {
    let dormant_tried = job::create(plan.0.dormant(POLICY), "probe").is_ok();
    let as_user = model.scenario.as_user;
    Run { plan, as_user, dormant_tried, replies: Vec::new(), answer, by }
}

/// The real execution, brought to where it stands.
pub fn execution(run: &Run) -> Execution<'_> {
    let mut execution = Execution::new(&run.plan.0, POLICY, TIME);
    if run.as_user {
        execution = execution.as_user();
    }
    if run.dormant_tried {
        execution = execution.dormant_tried();
    }
    for (replies, in_time) in &run.replies {
        execution.resume(replies.clone(), if *in_time { TIME } else { NO_TIME });
    }
    execution
}

fn error(refusal: &Refusal) -> ApiError {
    ApiError {
        code: refusal.code,
        reason: refusal.reason.to_owned(),
        message: refusal.reason.to_owned(),
    }
}

fn forbidden(verb: &str) -> ApiError {
    let message = format!(
        "jobs.batch is forbidden: User \"patch-only\" cannot {verb} resource \"jobs\" in API group \"batch\""
    );
    ApiError { code: 403, reason: "Forbidden".to_owned(), message }
}

/// No answer, or one that tells nothing.
pub fn lost() -> Reply {
    Err(ApiError::unanswered("no answer"))
}

pub fn unavailable() -> Reply {
    Err(error(&Refusal { code: 503, reason: "ServiceUnavailable" }))
}

/// Carries an effect out, as one atomic step.
pub fn carry_out(
    model: &Checked,
    world: &mut World,
    plan: &Plan,
    effect: Effect,
    by: Option<usize>,
) -> Reply {
    let broken = |rule| model.reviewer.broken == Some(rule);
    match effect {
        Effect::OptIn => Ok(Success::OptIn(Some(POLICY.to_owned()))),
        Effect::CanDelete | Effect::CanCreate => {
            Ok(Success::Can(broken(Rule::RightsCheck) || may_replace(&plan.user)))
        }
        Effect::DryRunCreate if broken(Rule::DryRunCheck) => Err(error(&job::EXISTS)),
        Effect::DryRunDormant if broken(Rule::DormantDryRunCheck) => Err(error(&job::EXISTS)),
        Effect::DryRunCreate => dry_run(world, plan.job.clone()),
        Effect::DryRunDormant => dry_run(world, plan.dormant("replace")),
        Effect::DryRunCreateAsUser if !may_replace(&plan.user) => Err(forbidden("create")),
        Effect::DryRunCreateAsUser => dry_run(world, plan.job.clone()),
        Effect::DryRunDeleteAsUser if !may_replace(&plan.user) => Err(forbidden("delete")),
        Effect::DryRunDeleteAsUser => Ok(Success::Deleted),
        Effect::Look => Ok(Success::Works(false)),
        Effect::Delete => {
            let deleted = delete(model, world, plan, by);
            deleted.map(|()| Success::Deleted).map_err(|refusal| error(&refusal))
        }
        Effect::Create => {
            let created = create(model, world, plan);
            created.map(Success::Created).map_err(|refusal| error(&refusal))
        }
    }
}

fn dry_run(world: &World, job: Value) -> Reply {
    match job::create(job, "dry-run") {
        Err(refusal) => Err(error(&refusal)),
        Ok(_) if world.job().is_some() => Err(error(&job::EXISTS)),
        Ok(_) => Ok(Success::Created("dry-run".to_owned())),
    }
}

fn delete(
    model: &Checked,
    world: &mut World,
    plan: &Plan,
    by: Option<usize>,
) -> Result<(), Refusal> {
    let Some(stored) = world.job().cloned() else { return Err(job::MISSING) };
    let seen =
        job::uid(&stored) == plan.record.uid && job::revision(&stored) == plan.resource_version;
    if !seen && model.reviewer.broken != Some(Rule::Preconditions) {
        return Err(job::CONFLICT);
    }
    if !seen {
        world.violate("a deletion hits the Job that was seen");
    }
    if model.waits() == WhileRunning::Wait && progress(Job::new(&stored)) == Progress::Working {
        world.violate("a Job that makes progress is not deleted");
    }
    let made = if plan.mode == Mode::Apply { plan.job.clone() } else { plan.dormant("replace") };
    let refused =
        [plan.job.clone(), made].into_iter().any(|job| job::create(job, "probe").is_err());
    if refused || !may_replace(&plan.user) {
        world.violate("nothing is deleted when the new one would be refused");
    }
    world.revision += 1;
    world.previous = world.stored.remove(job::NAME);
    world.last_deletion = Some(by);
    Ok(())
}

fn create(model: &Checked, world: &mut World, plan: &Plan) -> Result<String, Refusal> {
    let broken = |rule| model.reviewer.broken == Some(rule);
    let mut new = if broken(Rule::Dormant) { plan.job.clone() } else { plan.dormant("replace") };
    if broken(Rule::LooksChanged) {
        job::settle_records(&mut new);
    }
    let uid = world.next_uid();
    let mut new = job::create(new, &uid)?;
    if world.job().is_some() {
        return Err(job::EXISTS);
    }
    job::own_by_update(None, &mut new, plan.record.manager.as_deref().unwrap_or("rejob"));
    world.store(job::NAME, new);
    world.in_flight_at_birth = (0..world.clients.len())
        .filter(|client| world.is_in_flight(*client))
        .collect::<BTreeSet<_>>();
    Ok(uid)
}
