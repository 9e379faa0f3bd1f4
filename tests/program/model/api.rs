//! The API server's handling of one request: `GuaranteedUpdate` in
//! `k8s.io/apiserver/pkg/storage/etcd3/store.go`, `Store.Update` in
//! `pkg/registry/generic/registry/store.go`, `pkg/endpoints/handlers/{create,update,patch}.go`.
//!
//! A turn is: apply the client's change to what was read, run admission, check, write if the
//! revision still stands. Reading and deciding is one step (the decision is pure), each effect is
//! one, the write is one.

use serde_json::{Value, json};

use super::check::Checked;
use super::job::{self, Refusal, Shared};
use super::review::{Reviewed, Who};
use super::rules::Rule;
use super::run;
use super::scenario::{FailurePolicy, Kind, Sender};
use super::world::{Answer, Client, Phase, Turn, World};

pub const ARG: &str = "arg";

/// Where the first read comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum First {
    /// Storage.
    Live,
    /// The watch cache, which is up to date.
    Cached,
    /// The watch cache, which lags by one write.
    Stale,
}

pub fn who(model: &Checked, client: usize) -> Who {
    let sender = &model.scenario.senders[client];
    Who { user: sender.user, manager: sender.manager, group: None }
}

pub fn wanted(model: &Checked, world: &World, client: usize) -> &'static str {
    model.scenario.senders[client].images[world.command[client]]
}

/// Where a first read may come from now.
pub fn firsts(model: &Checked, world: &World) -> Vec<First> {
    let mut all = vec![First::Live];
    if model.scenario.cache {
        if world.job().is_some() {
            all.push(First::Cached);
        }
        let revision = |job: &Shared| job::revision(job).to_owned();
        if world.previous.is_some()
            && world.previous.as_ref().map(revision) != world.job().map(revision)
        {
            all.push(First::Stale);
        }
    }
    all
}

/// The client sends its command; those that read first read.
pub fn begin(model: &Checked, world: &mut World, client: usize, first: First) {
    match model.scenario.senders[client].kind {
        Kind::PutAtRevision => match world.job().cloned() {
            Some(job) => world.clients[client] = Client::Read(job),
            None => answer(world, client, Answer::Refused(job::MISSING)),
        },
        kind @ (Kind::Kubectl | Kind::Helm) => match world.job().cloned() {
            Some(job) if finds_it_done(kind, &job, wanted(model, world, client)) => {
                success(model, world, client, &job);
            }
            Some(job) => world.clients[client] = Client::Read(job),
            None => post(model, world, client),
        },
        _ => send(model, world, client, first, None),
    }
}

/// What the client compares: the fields of the manifest, and its own annotation.
pub fn finds_it_done(kind: Kind, job: &Value, image: &str) -> bool {
    let own = match kind {
        Kind::Kubectl => job::last_applied(job) == Some(image),
        _ => job::release(job) == Some("r"),
    };
    job::image(job) == image && own
}

fn post(model: &Checked, world: &mut World, client: usize) {
    let image = wanted(model, world, client);
    let mut object = job::manifest(image, ARG);
    job::set_last_applied(&mut object, image);
    job::set_release(&mut object);
    job::own_by_update(None, &mut object, who(model, client).manager);
    let object = Shared::new(object);
    let turn = Turn { old: None, current: true, object, body: None, post: true };
    admit(model, world, client, turn);
}

/// The first turn.
pub fn send(model: &Checked, world: &mut World, client: usize, first: First, body: Option<Shared>) {
    let (old, current) = match first {
        First::Live => (world.job().cloned(), true),
        First::Cached => (world.job().cloned(), false),
        First::Stale => (world.previous.clone(), false),
    };
    turn(model, world, client, old, current, body);
}

fn turn(
    model: &Checked,
    world: &mut World,
    client: usize,
    old: Option<Shared>,
    current: bool,
    body: Option<Shared>,
) {
    let object = changed(model, world, client, old.as_ref(), body.as_ref());
    let object = object.as_ref().map_or(Value::Null, Clone::clone);
    let refused = changed(model, world, client, old.as_ref(), body.as_ref()).err();
    let turn = Turn { old, current, object: Shared::new(object), body, post: false };
    match refused {
        Some(refusal) => fail(model, world, client, turn, refusal),
        None => admit(model, world, client, turn),
    }
}

/// What the client's request makes of the object that was read.
fn changed(
    model: &Checked,
    world: &World,
    client: usize,
    old: Option<&Shared>,
    body: Option<&Shared>,
) -> Result<Value, Refusal> {
    let sender = &model.scenario.senders[client];
    let image = wanted(model, world, client);
    change(sender, image, old.map(AsRef::as_ref), body.map(AsRef::as_ref))
}

/// What a sender's request for an image makes of the object that was read; `body` is what a PUT at
/// a revision has read before.
pub fn change(
    sender: &Sender,
    image: &str,
    old: Option<&Value>,
    body: Option<&Value>,
) -> Result<Value, Refusal> {
    if sender.kind == Kind::Apply {
        return job::apply(old, image, ARG, sender.manager);
    }
    let old = old.ok_or(job::MISSING)?;
    let mut new = old.clone();
    match sender.kind {
        Kind::Patch => job::set_image(&mut new, image),
        Kind::Kubectl => {
            job::set_image(&mut new, image);
            // Nor does it send a record that it has found.
            if body.and_then(job::last_applied) != Some(image) {
                job::set_last_applied(&mut new, image);
            }
        }
        Kind::Helm => job::set_image(&mut new, image),
        Kind::Scale => new["spec"]["parallelism"] = json!(2),
        Kind::Label => {
            job::map(&mut new["metadata"], "labels").insert("touched".to_owned(), json!("yes"));
        }
        Kind::Put => new = job::manifest(image, ARG),
        Kind::PutAtRevision => {
            new = job::manifest(image, ARG);
            let read = body.expect("it was read");
            new["metadata"]["resourceVersion"] = json!(job::revision(read));
        }
        Kind::Apply => {}
    }
    job::own_by_update(Some(old), &mut new, sender.manager);
    Ok(new)
}

/// Runs admission.
fn admit(model: &Checked, world: &mut World, client: usize, turn: Turn) {
    if !world.rejob_up {
        return unanswered(model, world, client, turn);
    }
    let phase = match model.reviewer.review(who(model, client), turn.old.as_ref(), &turn.object) {
        Reviewed::Admit(object) => Phase::Writes(object),
        Reviewed::Deny(code) => {
            let refusal = Refusal { code, reason: "denied" };
            return fail(model, world, client, turn, refusal);
        }
        Reviewed::Replace(plan, answer) => {
            Phase::Runs(run::begin(model, plan, answer, Some(client)))
        }
        Reviewed::Wait => Phase::Waits,
    };
    world.clients[client] = Client::Turn(turn, phase);
}

/// The webhook call failed. Changes of a dormant Job come by an entry of their own, which fails closed
/// whatever the others do.
pub fn unanswered(model: &Checked, world: &mut World, client: usize, turn: Turn) {
    let dormant = turn.old.as_ref().is_some_and(|old| job::is_dormant(old));
    let closed = dormant && model.reviewer.broken != Some(Rule::DormantFailsClosed);
    match model.scenario.failure_policy {
        FailurePolicy::Ignore if !closed => {
            let object = turn.object.clone();
            world.clients[client] = Client::Turn(turn, Phase::Writes(object));
        }
        _ => {
            let refusal = Refusal { code: 500, reason: "InternalError" };
            fail(model, world, client, turn, refusal);
        }
    }
}

/// An error inside a turn: final where the turn began from storage, else the API server looks
/// whether its data was stale.
pub fn fail(model: &Checked, world: &mut World, client: usize, turn: Turn, refusal: Refusal) {
    let revision = |job: &Shared| job::revision(job).to_owned();
    if turn.current || world.job().map(revision) == turn.old.as_ref().map(revision) {
        return answer(world, client, Answer::Refused(refusal));
    }
    let fresh = world.job().cloned();
    self::turn(model, world, client, fresh, true, turn.body);
}

/// Checks and writes.
pub fn write(model: &Checked, world: &mut World, client: usize, turn: Turn, object: &Shared) {
    let Some(old) = turn.old.clone() else {
        let uid = world.next_uid();
        return match job::create((**object).clone(), &uid) {
            Err(refusal) => fail(model, world, client, turn, refusal),
            Ok(new) if world.job().is_none() => {
                world.store(job::NAME, new);
                let new = world.job().unwrap().clone();
                success(model, world, client, &new);
            }
            Ok(_) if turn.post => answer(world, client, Answer::Refused(job::EXISTS)),
            Ok(_) => {
                let fresh = world.job().cloned();
                self::turn(model, world, client, fresh, true, turn.body);
            }
        };
    };
    match update(&old, (**object).clone(), turn.current, world.job().map(AsRef::as_ref)) {
        Update::Refused(refusal) => fail(model, world, client, turn, refusal),
        Update::Same => success(model, world, client, &old),
        Update::Stale => {
            let fresh = world.job().cloned();
            self::turn(model, world, client, fresh, true, turn.body);
        }
        Update::Stored(new) => {
            world.store(job::NAME, new);
            let new = world.job().unwrap().clone();
            success(model, world, client, &new);
        }
    }
}

/// What comes of writing over what was read.
pub enum Update {
    Refused(Refusal),
    /// The no-op short cut: nothing is written.
    Same,
    /// Another object is stored by now.
    Stale,
    Stored(Value),
}

/// Checks an update: `current` tells that `old` was read from storage, `stored` is there now.
pub fn update(old: &Value, mut new: Value, current: bool, stored: Option<&Value>) -> Update {
    let theirs = job::revision(&new);
    if !theirs.is_empty() && theirs != job::revision(old) {
        return Update::Refused(job::CONFLICT);
    }
    for field in ["resourceVersion", "uid"] {
        new["metadata"][field] = old["metadata"][field].clone();
    }
    new["status"] = old["status"].clone();
    if let Err(refusal) = job::validate_update(old, &new) {
        return Update::Refused(refusal);
    }
    let is_stored = stored.is_some_and(|job| job::revision(job) == job::revision(old));
    if new == *old && (current || is_stored) {
        Update::Same
    } else if is_stored {
        Update::Stored(new)
    } else {
        Update::Stale
    }
}

/// The client is told success, about this object.
fn success(model: &Checked, world: &mut World, client: usize, job: &Shared) {
    let asks = model.scenario.senders[client].asks();
    let wrong = if job::is_dormant(job) {
        Some("success is never about a dormant Job")
    } else if asks && job::image(job) != wanted(model, world, client) {
        Some("success is about what was asked for")
    } else {
        None
    };
    if let Some(property) = wrong {
        world.violate(property);
    }
    let is_stored = world.job().is_some_and(|stored| job::revision(stored) == job::revision(job));
    if asks && is_stored {
        world.last_deletion = None;
    }
    answer(world, client, Answer::Success);
}

pub fn answer(world: &mut World, client: usize, answer: Answer) {
    world.in_flight_at_birth.remove(&client);
    if matches!(&answer, Answer::Refused(refusal) if refusal.code == 429)
        && world.retries[client] > 0
    {
        world.retries[client] -= 1;
        world.clients[client] = Client::Ready;
        return;
    }
    world.answers[client].push(answer);
    world.command[client] += 1;
    world.clients[client] = Client::Ready;
}
