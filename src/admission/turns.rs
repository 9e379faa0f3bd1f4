//! Replacements of one Job take turns, and nobody works on a Job that this replica has deleted.
//!
//! Many writers of one Job otherwise run all checks against views that are stale by the time they
//! are through, and a writer whose checks take long loses every race until its request times out.
//! What is known here is certain: a uid never comes back. What other replicas do is not seen, and
//! not needed: the preconditions of the deletion decide.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::replace::Plan;

/// How many Jobs are remembered: views are stale by seconds at most.
const MOST: usize = 512;

/// Namespace and name.
type Name = (String, String);

/// Whose turn it is, by namespace and name, what is gone, and what a request was given up with.
#[derive(Debug, Default)]
pub struct Turns {
    by_name: Mutex<HashMap<Name, Arc<Turn<()>>>>,
    gone: Uids,
    given_up: Uids,
}

impl Turns {
    /// Waits for the turn of a plan, until half of the time is over: then it goes on without.
    pub async fn wait(&self, plan: &Plan, deadline: Instant) -> Option<OwnedMutexGuard<()>> {
        let turn = {
            let mut turns = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds or awaits those.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            let key = (plan.namespace.clone(), plan.name.clone());
            Arc::clone(turns.entry(key).or_default())
        };
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        timeout_at(half, turn.lock_owned()).await.ok()
    }

    /// Whether this replica has deleted the Job that a plan is about.
    pub fn is_gone(&self, plan: &Plan) -> bool {
        self.gone.contains(&plan.uid)
    }

    /// The Job that a plan is about is deleted.
    pub fn gone(&self, plan: &Plan) {
        self.gone.add(&plan.uid);
    }

    /// Whether a request ended with this dormant Job, since it never settles: whoever meets it now
    /// sends another one.
    pub fn is_given_up(&self, uid: &str) -> bool {
        self.given_up.contains(uid)
    }

    /// A request that never settles is refused, and leaves this dormant Job.
    pub fn give_up(&self, uid: &str) {
        self.given_up.add(uid);
    }
}

/// The last few Jobs of which something is known.
#[derive(Debug, Default)]
struct Uids(Mutex<VecDeque<String>>);

impl Uids {
    fn contains(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == uid)
    }

    fn add(&self, uid: &str) {
        let mut uids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uids.len() >= MOST {
            uids.pop_front();
        }
        uids.push_back(uid.to_owned());
    }
}
