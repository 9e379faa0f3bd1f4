//! What can happen next, and what it does.

use std::sync::Arc;
use std::time::Duration;

use rejob::admission::reaper::Seen;
use rejob::replacement::{Effect, Outcome, Success};
use serde_json::json;
use tokio::time::Instant;

use super::api::{self, First};
use super::check::Checked;
use super::job::{self, Refusal, Shared};
use super::review::{Reviewed, Who};
use super::rules::Rule;
use super::run::{self, carry_out, execution, lost, unavailable};
use super::scenario::Kind;
use super::world::{Answer, Client, Orphan, Phase, World};

/// How a call of rejob's goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Not at all.
    None,
    /// It is not carried out, and the API server says so (503).
    Unavailable,
    /// It is carried out, and the answer is lost; with or without time left.
    Lost { in_time: bool },
    /// There is no answer, and it is carried out later.
    Late { in_time: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The client sends its next command, or its read.
    Begin(usize, First),
    /// The client that has read sends the rest.
    Send(usize, First),
    /// The next effects of the request's replacement.
    Effect(usize, Fault),
    /// The dormant Job that the request waits for is stored no longer.
    Waited(usize),
    /// rejob lets it wait no longer.
    WaitedEnough(usize),
    /// The API server writes.
    Write(usize),
    /// The API server gives the webhook call up; rejob goes on with what it has begun to replace.
    CallGivenUp(usize),
    /// An effect that no request waits for any more.
    OrphanEffect(usize),
    /// rejob is killed; another replica may be there.
    Crash {
        another: bool,
    },
    Restart,
    /// The Job controller looks at the Job: it starts Pods, or only writes the status.
    Sync,
    /// The Pods succeed.
    Finish,
    ReaperLooks,
    ReaperDeletes,
    /// Somebody who reaches the port and knows uid and revision sends a review.
    Forge,
}

pub fn actions(model: &Checked, world: &World, all: &mut Vec<Action>) {
    if world.violation.is_some() {
        return;
    }
    let faulty = world.faults_left > 0;
    let mut runs = false;
    for (index, client) in world.clients.iter().enumerate() {
        match client {
            Client::Ready if world.command[index] < model.scenario.senders[index].images.len() => {
                all.extend(
                    begins(model, world, index)
                        .into_iter()
                        .map(|first| Action::Begin(index, first)),
                );
            }
            Client::Ready => {}
            Client::Read(_) => all.extend(
                api::firsts(model, world).into_iter().map(|first| Action::Send(index, first)),
            ),
            Client::Turn(_, Phase::Writes { .. }) => all.push(Action::Write(index)),
            Client::Turn(turn, Phase::Waits) => {
                let revision = |job: &job::Shared| job::revision(job).to_owned();
                if turn.old.as_ref().map(revision) == world.job().map(revision) {
                    all.push(Action::WaitedEnough(index));
                } else {
                    all.push(Action::Waited(index));
                }
            }
            Client::Turn(_, Phase::Runs(run)) => {
                runs = true;
                all.push(Action::Effect(index, Fault::None));
                if faulty {
                    all.extend(
                        faults(execution(run).effects())
                            .iter()
                            .map(|fault| Action::Effect(index, *fault)),
                    );
                    all.push(Action::CallGivenUp(index));
                }
            }
        }
    }
    all.extend((0..world.orphans.len()).map(Action::OrphanEffect));
    let busy = runs || world.clients.iter().any(|client| matches!(client, Client::Turn(..)));
    if faulty && busy && world.rejob_up {
        all.push(Action::Crash { another: true });
        all.push(Action::Crash { another: false });
    }
    if !world.rejob_up {
        all.push(Action::Restart);
    }
    if let Some(job) = world.job() {
        let status = |field: &str| job["status"].get(field).is_some();
        let starts = job::parallelism(job) > 0 && !status("active") && !status("conditions");
        if starts || !status("startTime") {
            all.push(Action::Sync);
        }
        if model.scenario.pods_become_ready && status("active") {
            all.push(Action::Finish);
        }
        if world.forgeries_left > 0 && world.rejob_up {
            all.push(Action::Forge);
        }
    }
    if world.reaping.is_some() {
        all.push(Action::ReaperDeletes);
    } else if reaper_is_due(model, world).is_some() {
        all.push(Action::ReaperLooks);
    }
}

fn begins(model: &Checked, world: &World, client: usize) -> Vec<First> {
    match model.scenario.senders[client].kind {
        Kind::PutAtRevision | Kind::Kubectl | Kind::Helm => vec![First::Live],
        _ => api::firsts(model, world),
    }
}

fn faults(effects: &[Effect]) -> &'static [Fault] {
    match effects {
        [Effect::Delete | Effect::Create] => &[
            Fault::Unavailable,
            Fault::Lost { in_time: true },
            Fault::Lost { in_time: false },
            Fault::Late { in_time: true },
            Fault::Late { in_time: false },
        ],
        [] => &[],
        _ => &[Fault::Unavailable],
    }
}

/// What the real reaper finds due, with uid and revision. Requests that were there when the Job
/// was made have ended by then.
fn reaper_is_due(model: &Checked, world: &World) -> Option<(String, String)> {
    let waits = world.in_flight_at_birth.is_empty() && world.orphans.is_empty();
    if !world.rejob_up || !waits || model.reviewer.broken == Some(Rule::Reaper) {
        return None;
    }
    let job = world.job()?;
    job["metadata"]["labels"].get("rejob.dev/dormant")?;
    let mut job = (**job).clone();
    job["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let (jobs, mut seen, start) = ([job], Seen::new(Duration::ZERO), Instant::now());
    seen.look(&jobs, start);
    let due = seen.look(&jobs, start + Duration::from_secs(1));
    due.into_iter().next().map(|due| (due.uid, due.resource_version))
}

pub fn step(model: &Checked, world: &mut World, action: Action) {
    match action {
        Action::Begin(client, first) => api::begin(model, world, client, first),
        Action::Send(client, first) => {
            let Client::Read(body) = world.clients[client].clone() else { unreachable!() };
            api::send(model, world, client, first, Some(body));
        }
        Action::Effect(client, fault) => effect(model, world, client, fault),
        Action::Waited(client) => {
            let Client::Turn(turn, _) = world.clients[client].clone() else { unreachable!() };
            let old = turn.old.clone().expect("it met a Job");
            let object = model.reviewer.stale(api::who(model, client), &old, &turn.object);
            let phase = Phase::Writes(object);
            world.clients[client] = Client::Turn(turn, phase);
        }
        Action::WaitedEnough(client) => {
            let Client::Turn(turn, _) = world.clients[client].clone() else { unreachable!() };
            let refusal = Refusal { code: 429, reason: "TooManyRequests" };
            api::fail(model, world, client, turn, refusal);
        }
        Action::Write(client) => {
            let Client::Turn(turn, Phase::Writes(object)) = world.clients[client].clone() else {
                unreachable!()
            };
            api::write(model, world, client, turn, &object);
        }
        Action::CallGivenUp(client) => {
            world.faults_left -= 1;
            let Client::Turn(turn, Phase::Runs(run)) = world.clients[client].clone() else {
                unreachable!()
            };
            let goes_on = execution(&run).effects() == [Effect::Create]
                || model.reviewer.broken == Some(Rule::BeginsForItsClient);
            if goes_on {
                world.orphans.push(Orphan::Runs(run));
            }
            api::unanswered(model, world, client, turn);
        }
        Action::OrphanEffect(index) => orphan_effect(model, world, index),
        Action::Crash { another } => crash(model, world, another),
        Action::Restart => world.rejob_up = true,
        Action::Sync => sync(model, world),
        Action::Finish => {
            let mut job = (**world.job().unwrap()).clone();
            let done = json!([{ "type": "Complete", "status": "True" }]);
            job["status"] = json!({ "startTime": "t", "succeeded": 1, "conditions": done });
            world.store(job::NAME, job);
        }
        Action::ReaperLooks => world.reaping = reaper_is_due(model, world),
        Action::ReaperDeletes => reap(model, world),
        Action::Forge => forge(model, world),
    }
}

fn effect(model: &Checked, world: &mut World, client: usize, fault: Fault) {
    let Client::Turn(turn, Phase::Runs(mut run)) = world.clients[client].clone() else {
        unreachable!()
    };
    let plan = Arc::clone(&run.plan.0);
    let effects = execution(&run).effects();
    let mut replies = Vec::new();
    for effect in effects {
        replies.push((
            *effect,
            match fault {
                Fault::None => carry_out(model, world, &plan, *effect, run.by),
                Fault::Unavailable => unavailable(),
                Fault::Lost { .. } => {
                    drop(carry_out(model, world, &plan, *effect, run.by));
                    lost()
                }
                Fault::Late { .. } => {
                    world.orphans.push(Orphan::Late(run.plan.clone(), *effect, run.by));
                    lost()
                }
            },
        ));
    }
    let in_time = !matches!(fault, Fault::Lost { in_time: false } | Fault::Late { in_time: false });
    if fault != Fault::None {
        world.faults_left -= 1;
    }
    run.replies.push((replies, in_time));
    let denied = |code| Refusal { code, reason: "denied" };
    let outcome = execution(&run).outcome().cloned();
    let unanswered = matches!(fault, Fault::Lost { .. } | Fault::Late { .. });
    match outcome {
        Some(Outcome::Failed(_))
            if unanswered
                && effects == [Effect::Delete]
                && model.reviewer.broken == Some(Rule::UnansweredIsNotStale) =>
        {
            let phase = Phase::Writes(run.answer);
            world.clients[client] = Client::Turn(turn, phase);
        }
        None => world.clients[client] = Client::Turn(turn, Phase::Runs(run)),
        Some(Outcome::Replaced(_) | Outcome::StaleView | Outcome::Overtaken) => {
            let phase = Phase::Writes(run.answer);
            world.clients[client] = Client::Turn(turn, phase);
        }
        Some(Outcome::Busy(_) | Outcome::Working) => {
            api::fail(model, world, client, turn, denied(429))
        }
        Some(
            Outcome::Refused(..) | Outcome::NoTime | Outcome::Failed(_) | Outcome::WouldReplace,
        ) => {
            api::fail(model, world, client, turn, denied(403));
        }
    }
}

fn orphan_effect(model: &Checked, world: &mut World, index: usize) {
    match world.orphans.remove(index) {
        Orphan::Late(plan, effect, by) => {
            let reply = carry_out(model, world, &plan.0, effect, by);
            // Its client may have gone on, which nobody can know.
            if matches!(reply, Ok(Success::Deleted)) {
                world.last_deletion = Some(None);
            }
        }
        Orphan::Runs(mut run) => {
            let plan = Arc::clone(&run.plan.0);
            let mut replies = Vec::new();
            for effect in execution(&run).effects() {
                replies.push((*effect, carry_out(model, world, &plan, *effect, run.by)));
            }
            run.replies.push((replies, true));
            if execution(&run).outcome().is_none() {
                world.orphans.insert(index, Orphan::Runs(run));
            }
        }
    }
}

fn crash(model: &Checked, world: &mut World, another: bool) {
    world.faults_left -= 1;
    world.rejob_up = another;
    world.reaping = None;
    world.orphans.retain(|orphan| matches!(orphan, Orphan::Late(..)));
    for client in 0..world.clients.len() {
        if let Client::Turn(turn, Phase::Runs(_) | Phase::Waits) = world.clients[client].clone() {
            api::unanswered(model, world, client, turn);
        }
    }
}

fn sync(model: &Checked, world: &mut World) {
    let mut job = (**world.job().unwrap()).clone();
    job["status"]["startTime"] = json!("t");
    if job::parallelism(&job) > 0 {
        job["status"]["active"] = json!(1);
        job["status"]["ready"] = json!(i32::from(model.scenario.pods_become_ready));
        let owned = |text: &str| text.to_owned();
        let run = (owned(job::uid(&job)), owned(job::image(&job)), owned(job::arg(&job)));
        if run.2 == "evil" || run.1 == "evil" {
            world.violate("a forged review starts no Pod");
        }
        world.started.push(run);
        let image = job::image(&job);
        let runs = world.started.iter().filter(|(_, started, _)| started == image).count();
        if runs > model.asked(image) {
            world.violate("nothing runs twice unasked");
        }
    }
    world.store(job::NAME, job);
}

fn reap(model: &Checked, world: &mut World) {
    let (uid, revision) = world.reaping.take().expect("it has looked");
    let Some(job) = world.job().cloned() else { return };
    let seen = job::uid(&job) == uid && job::revision(&job) == revision;
    if !seen && model.reviewer.broken != Some(Rule::ReaperPreconditions) {
        return;
    }
    if !job::is_dormant(&job) {
        world.violate("the reaper deletes only dormant Jobs");
    }
    world.revision += 1;
    world.previous = world.stored.remove(job::NAME);
}

fn forge(model: &Checked, world: &mut World) {
    world.forgeries_left -= 1;
    let forgery = model.scenario.forgery.expect("there is one");
    let old = world.job().unwrap().clone();
    let mut object = (*old).clone();
    job::set_image(&mut object, "evil");
    job::set_arg(&mut object, "evil");
    let who = Who { user: forgery.user, manager: forgery.manager, group: forgery.group };
    if let Reviewed::Replace(plan, answer) =
        model.reviewer.review(who, Some(&old), &Shared::new(object))
    {
        world.orphans.push(Orphan::Runs(run::begin(model, plan, answer, None)));
    }
}

/// Whether the last that a client was told is an error.
pub fn was_refused(world: &World, client: usize) -> bool {
    matches!(world.answers[client].last(), Some(Answer::Refused(_)))
}
