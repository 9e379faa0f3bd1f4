//! Clients that create Jobs without a pause, by dry run, through the API server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use support::manifest::job;
use support::namespace::Namespace;
use support::wait;

/// How many clients there are.
const CLIENTS: usize = 4;

/// What became of the requests so far.
#[derive(Default)]
pub struct Load {
    done: AtomicBool,
    reviewed: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it was sent.
    pub sent: Instant,
    /// What the client was told.
    pub told: String,
}

impl Load {
    /// Runs `work` under the load.
    pub fn during(team: &Namespace, work: impl FnOnce(&Self)) -> Self {
        let load = Self::default();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| load.client(team));
            }
            // Ends the clients even when the work panics, or the scope would wait for ever.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&load)));
            load.done.store(true, Ordering::SeqCst);
            if let Err(panic) = ended {
                std::panic::resume_unwind(panic);
            }
        });
        load
    }

    fn client(&self, team: &Namespace) {
        let path = format!("{}?dryRun=All", team.jobs_path());
        while !self.done.load(Ordering::SeqCst) {
            let sent = Instant::now();
            let answer = team.user().post(&path, &job("load", "app:1"));
            let hash = &answer.body["metadata"]["annotations"]["rejob.dev/template-hash"];
            if answer.status == 201 && hash.is_string() {
                self.reviewed.fetch_add(1, Ordering::SeqCst);
            } else {
                let told = format!("{} {}", answer.status, answer.body);
                self.failures.lock().unwrap().push(Failure { sent, told });
            }
        }
    }

    /// How many reviews were answered.
    pub fn reviewed(&self) -> usize {
        self.reviewed.load(Ordering::SeqCst)
    }

    /// The requests that failed.
    pub fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap().clone()
    }

    /// Waits until that many more requests were answered or failed.
    pub fn wait_for(&self, more: usize) {
        let ended = || self.reviewed() + self.failures.lock().unwrap().len();
        let goal = ended() + more;
        wait::until("the clients go on", || (ended() >= goal).then_some(()));
    }
}
