//! One state of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rejob::replacement::{Effect, Plan, Reply};
use serde_json::Value;

use super::job::{Refusal, Shared};

/// Where a client's request stands. One client sends one command after the other.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Client {
    /// The next command is about to begin, or all are answered.
    Ready,
    /// A PUT at a revision: what was read.
    Read(Shared),
    /// One turn of the API server's loop, before the write.
    Turn(Turn, Phase),
}

/// One turn: the object that the loop started from and what the request makes of it.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Turn {
    /// What was read; `None`: there is no such Job.
    pub old: Option<Shared>,
    /// Whether it was read from storage (`origStateIsCurrent`), not from the watch cache.
    pub current: bool,
    /// The object as the client's request makes it, before admission.
    pub object: Shared,
    /// The body of a PUT at a revision.
    pub body: Option<Shared>,
    /// A POST: the name must be free.
    pub post: bool,
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Phase {
    /// rejob carries a replacement out.
    Runs(Run),
    /// rejob lets the request wait for another one's dormant Job.
    Waits,
    /// Admission is through; the object as it is to be written.
    Writes(Shared),
}

/// A plan, told from others by its new Job and its preconditions.
#[derive(Debug, Clone)]
pub struct Planned(pub Arc<Plan>, Shared);

impl Planned {
    pub fn new(plan: Arc<Plan>) -> Self {
        let job = Shared::new(plan.job.clone());
        Self(plan, job)
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl std::hash::Hash for Planned {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let plan = &self.0;
        self.1.hash(state);
        (&plan.record.uid, &plan.resource_version, &plan.user.username).hash(state);
        (&plan.record.manager, plan.record.parallelism, plan.only_checks).hash(state);
    }
}

/// An execution: the real one is rebuilt from the replies it has had.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Run {
    pub plan: Planned,
    /// Whether the checks are made in the user's name.
    pub as_user: bool,
    /// Whether the dormant form was accepted under another name.
    pub dormant_tried: bool,
    pub replies: Vec<(Vec<(Effect, Reply)>, bool)>,
    /// The object as the answer's patch makes it.
    pub answer: Shared,
    /// Whose request it is; `None`: a forged review's.
    pub by: Option<usize>,
}

/// What goes on although no request waits for it.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Orphan {
    /// The API server gave the webhook call up, rejob goes on.
    Runs(Run),
    /// A call of rejob's that the API server carries out late.
    Late(Planned, Effect, Option<usize>),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    Success,
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub struct World {
    /// Storage, by key.
    pub stored: BTreeMap<String, Shared>,
    /// The state before the last write: what a watch cache that lags answers.
    pub previous: Option<Shared>,
    pub revision: u32,
    pub uids: u32,
    pub clients: Vec<Client>,
    /// The command that each client is at.
    pub command: Vec<usize>,
    /// How often a client still tries again after a 429.
    pub retries: Vec<u8>,
    pub answers: Vec<Vec<Answer>>,
    pub orphans: Vec<Orphan>,
    pub rejob_up: bool,
    pub faults_left: u8,
    pub forgeries_left: u8,
    /// What the reaper is about to delete: uid and revision.
    pub reaping: Option<(String, String)>,
    /// The requests that were in flight when the dormant Job was made. They live for 34 s at most,
    /// so the reaper, who waits for 60 s, acts only after they have ended.
    pub in_flight_at_birth: BTreeSet<usize>,

    // What the properties need to know of the past.
    /// The Jobs whose Pods were started: uid, image, argument.
    pub started: Vec<(String, String, String)>,
    /// Who (client, or `None` for the forger) deleted the last Job that was deleted.
    pub last_deletion: Option<Option<usize>>,
    /// What went wrong, by the property's name.
    pub violation: Option<&'static str>,
}

impl World {
    pub fn job(&self) -> Option<&Shared> {
        self.stored.get(super::job::NAME)
    }

    pub fn violate(&mut self, property: &'static str) {
        self.violation.get_or_insert(property);
    }

    /// Writes the Job at a key, with the next revision.
    pub fn store(&mut self, key: &str, mut job: Value) {
        self.revision += 1;
        job["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        self.previous = self.stored.get(key).cloned();
        self.stored.insert(key.to_owned(), Shared::new(job));
    }

    pub fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub fn is_in_flight(&self, client: usize) -> bool {
        matches!(self.clients[client], Client::Turn(..))
    }
}
