//! The checker: breadth first, so that a counterexample is a shortest one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rejob::policy::WhileRunning;
use serde_json::json;
use stateright::{Checker, Model, Property};

use super::job;
use super::property;
use super::review::Reviewer;
use super::rules::Rule;
use super::scenario::Scenario;
use super::step::{Action, actions, step};
use super::world::{Client, World};

/// A scenario with the real code, perhaps with a broken rule.
#[derive(Debug)]
pub struct Checked {
    pub scenario: Scenario,
    pub reviewer: Reviewer,
    /// Two writers that go on to replace each other's dormant Job would never end.
    pub most_revisions: u32,
}

#[derive(Debug)]
pub struct Found {
    pub states: usize,
    pub violation: Option<(&'static str, String)>,
}

impl Checked {
    pub fn new(scenario: Scenario, broken: Option<Rule>) -> Self {
        let reviewer = Reviewer::new(broken);
        Self { scenario, reviewer, most_revisions: 12 }
    }

    pub fn waits(&self) -> WhileRunning {
        // What is wanted, not what a broken rule makes of it.
        WhileRunning::Wait
    }

    /// How often an image may run: as often as somebody asked for it.
    pub fn asked(&self, image: &str) -> usize {
        let first = usize::from(image == self.first_image());
        let commands = self.scenario.senders.iter().filter(|sender| sender.asks()).map(|sender| {
            let mut images = sender.images.clone();
            // Asked for again it runs again only where somebody has deleted it.
            if self.scenario.forgery.is_none() {
                images.dedup();
            }
            images.iter().filter(|asked| **asked == image).count()
        });
        first + commands.sum::<usize>()
    }

    fn first_image(&self) -> &'static str {
        self.scenario.image_set.unwrap_or("a:1")
    }

    pub fn initial(&self) -> World {
        let first = self.first_image();
        let mut job = job::create(job::manifest(first, "arg"), "uid-1").unwrap();
        job::own_by_update(None, &mut job, "creator");
        job::set_last_applied(&mut job, "a:1");
        job::set_release(&mut job);
        if let Some(manager) = self.scenario.applied_by {
            job["metadata"]["managedFields"] = json!([]);
            job = job::apply(Some(&job), "a:1", "arg", manager).unwrap();
        }
        // Its Pod has run, or hangs.
        let mut status = json!({ "startTime": "t", "active": 1, "ready": 0 });
        if self.scenario.pods_become_ready {
            let done = json!([{ "type": "Complete", "status": "True" }]);
            status = json!({ "startTime": "t", "succeeded": 1, "conditions": done });
        }
        job["status"] = status;
        let hash = rejob::job::TemplateHash::of(&job);
        job::map(&mut job["metadata"], "annotations")
            .insert("rejob.dev/template-hash".to_owned(), json!(hash.as_str()));
        let count = self.scenario.senders.len();
        let mut world = World {
            stored: BTreeMap::new(),
            previous: None,
            revision: 0,
            uids: 1,
            clients: vec![Client::Ready; count],
            command: vec![0; count],
            retries: vec![1; count],
            answers: vec![Vec::new(); count],
            orphans: Vec::new(),
            rejob_up: true,
            faults_left: self.scenario.faults,
            forgeries_left: u8::from(self.scenario.forgery.is_some()),
            reaping: None,
            in_flight_at_birth: std::collections::BTreeSet::default(),
            started: vec![("uid-1".to_owned(), first.to_owned(), "arg".to_owned())],
            last_deletion: None,
            violation: None,
        };
        world.store(job::NAME, job);
        world.previous = None;
        world
    }

    /// Explores everything, or up to the first violation.
    pub fn explore(self) -> Found {
        let checker = Exhaustive(Arc::new(self)).checker().spawn_bfs().join();
        let violation = checker.discoveries().remove("holds").map(|path| {
            let last = path.last_state().clone();
            let model = checker.model();
            let name = property::broken(&model.0, &last).unwrap_or("?");
            let actions: Vec<String> =
                path.into_actions().iter().map(|action| format!("{action:?}")).collect();
            let stored = last.job().map_or_else(|| "none".to_owned(), |job| job.to_string());
            let summary = format!(
                "answers: {:?}\nstarted: {:?}\nstored: {stored}\nclients: {:?}",
                last.answers, last.started, last.clients
            );
            (name, format!("{}\n{summary}", actions.join("\n")))
        });
        Found { states: checker.unique_state_count(), violation }
    }
}

/// The model as stateright walks it.
#[derive(Debug, Clone)]
struct Exhaustive(Arc<Checked>);

impl Model for Exhaustive {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.0.initial()]
    }

    fn actions(&self, world: &World, all: &mut Vec<Action>) {
        actions(&self.0, world, all);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        step(&self.0, &mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("holds", |model: &Self, world| {
            property::broken(&model.0, world).is_none()
        })]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.revision <= self.0.most_revisions
    }
}
