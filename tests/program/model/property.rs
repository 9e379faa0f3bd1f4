//! What must hold. Most is noted at the step that would break it; the rest is about the end, when
//! nothing can happen any more.

use super::check::Checked;
use super::job;
use super::step::{actions, was_refused};
use super::world::{Answer, World};

/// The property that a state breaks.
pub fn broken(model: &Checked, world: &World) -> Option<&'static str> {
    if world.violation.is_some() {
        return world.violation;
    }
    if world.stored.len() > 1 {
        return Some("there are never two Jobs of the name");
    }
    if world.job().is_some_and(|job| job::annotation(job, "rejob.dev/replacing").is_some()) {
        return Some("the marker is never stored");
    }
    let mut next = Vec::new();
    actions(model, world, &mut next);
    if next.is_empty() { at_the_end(model, world) } else { None }
}

fn at_the_end(model: &Checked, world: &World) -> Option<&'static str> {
    if model.scenario.all_succeed && world.answers.iter().flatten().any(|a| *a != Answer::Success) {
        return Some("an undisturbed request succeeds");
    }
    match world.job() {
        Some(job) if job::is_dormant(job) => Some("no Job stays dormant"),
        Some(job) => {
            let runs = world.started.iter().any(|(uid, ..)| uid == job::uid(job));
            (!runs).then_some("a Job that is there runs")
        }
        // Whoever deleted it last was told an error since, or was the forger.
        None => match world.last_deletion {
            Some(None) => None,
            Some(Some(client)) if was_refused(world, client) => None,
            _ => Some("a Job is gone only where its client was told an error"),
        },
    }
}
