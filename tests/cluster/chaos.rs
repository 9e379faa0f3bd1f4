//! Chaos: writers of all kinds deploy Jobs while everything around rejob fails, and what happened is
//! checked afterwards against what rejob promises (docs/design/protocol.md).
//!
//! The choices of a run follow from its seed, apart from those that depend on what is there: a client that
//! does not know whether there is a Job deploys. `REJOB_CHAOS_SEED` gives the first one, `REJOB_CHAOS_RUNS` how
//! many follow, and `REJOB_CHAOS_COMMANDS` the commands of each. When a process is scheduled is not in the
//! seed's hand, so a seed that failed makes the same commands and troubles again, not the same interleaving.

mod audit;
mod checker;
mod history;
mod kubelet;
mod random;
mod relay;
mod site;
mod troubles;
mod writers;

use std::fs;
use std::mem;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use support::plane::{ControlPlane, Options};
use support::{setting, wait};

use history::{Event, JobHistory, Seen};
use random::Random;
use site::Site;
use writers::{JOB, LAST, Target, Writer};

/// Jobs with one client each, and the clients of one more, which they share.
const JOBS: u64 = 3;
const SHARING: u64 = 2;
/// One trouble follows the other after so many answers.
const ANSWERS_PER_TROUBLE: u64 = 3;
/// The runs, where their number is not given.
const RUNS: u64 = 8;
/// The commands of a run.
const COMMANDS: u64 = 20;
/// So many runs share a control plane, which grows slow with what they leave.
const RUNS_OF_A_CONTROL_PLANE: usize = 50;

/// How much happened.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    commands: u64,
    answers: u64,
    troubles: usize,
    pods: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.commands += more.commands;
        self.answers += more.answers;
        self.troubles += more.troubles;
        self.pods += more.pods;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commands, answers, troubles, pods } = self;
        write!(f, "{commands} commands, {answers} answers, {troubles} troubles, {pods} Pods")
    }
}

#[test]
fn promises_hold_in_chaos() {
    let first = setting("REJOB_CHAOS_SEED", 1);
    let runs = setting("REJOB_CHAOS_RUNS", RUNS);
    let commands = setting("REJOB_CHAOS_COMMANDS", COMMANDS);
    let seeds: Vec<_> = (first..first + runs).collect();
    let mut all = Counts::default();
    for seeds in seeds.chunks(RUNS_OF_A_CONTROL_PLANE) {
        let plane = ControlPlane::start(&Options { audit: true, ..Options::default() });
        let mut site = Site::start(&plane, 3);
        for &seed in seeds {
            let begun = Instant::now();
            let counts = run(&mut site, seed, commands);
            println!("seed {seed}: {counts}, {:.1} s", begun.elapsed().as_secs_f64());
            all += counts;
        }
    }
    println!("{runs} runs from seed {first} on: {all}");
}

/// One run, in namespaces of its own; panics when a promise is broken.
fn run(site: &mut Site<'_>, seed: u64, commands: u64) -> Counts {
    // Both promise the same.
    site.begin_run(if seed.is_multiple_of(2) { "Ignore" } else { "Fail" });
    let targets: Vec<_> = (0..=JOBS).map(|n| target(site, n)).collect();
    let answers = Answers::default();
    let over = AtomicBool::new(false);
    let (troubles, shared) = std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| kubelet::run(&targets, seed, &over));
        let troubles = work(site, &targets, &answers, seed, commands);
        troubles::end(site);
        let shared = settle(&targets, seed);
        (troubles, shared)
    });
    let audit = site.more_of_the_audit_log();
    let mut histories: Vec<_> =
        targets.into_iter().map(|target| target.history.into_inner().unwrap()).collect();
    for history in &mut histories {
        let entries = audit::entries(&audit, &history.job);
        history.pods = audit::pods(&entries);
        history.deleted_while_ready = audit::deleted_while_ready(&entries);
    }
    let of_last = format!("app:{LAST}");
    for mut before in shared {
        let after = histories.iter_mut().find(|history| history.job == before.job).unwrap();
        (after.pods, before.pods) =
            mem::take(&mut after.pods).into_iter().partition(|pod| pod.image.starts_with(&of_last));
        histories.push(before);
    }
    let found: Vec<_> = histories.iter().flat_map(checker::violations).collect();
    if !found.is_empty() {
        let file = site.plane.dir().join("chaos-history.txt");
        fs::write(&file, format!("{troubles:#?}\n{histories:#?}\n")).unwrap();
        panic!("seed {seed}, history in {}:\n{}", file.display(), found.join("\n"));
    }
    let pods = histories.iter().map(|history| history.pods.len()).sum();
    let answers = answers.count.load(SeqCst);
    Counts { commands, answers, troubles: troubles.len(), pods }
}

/// Says that it is over, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Counts answers, and lets the troubles wait for them: a run has so many steps, whatever the time.
#[derive(Default)]
struct Answers {
    count: AtomicU64,
    more: Condvar,
    lock: Mutex<()>,
}

impl Answers {
    fn add(&self) {
        self.count.fetch_add(1, SeqCst);
        let _lock = self.lock.lock().unwrap();
        self.more.notify_all();
    }

    /// Waits for so many answers in all; false when the writers have ended.
    fn wait_for(&self, count: u64, ended: &AtomicBool) -> bool {
        let mut lock = self.lock.lock().unwrap();
        while self.count.load(SeqCst) < count {
            if ended.load(SeqCst) {
                return false;
            }
            // The end of the writers tells nobody.
            lock = self.more.wait_timeout(lock, Duration::from_millis(100)).unwrap().0;
        }
        !ended.load(SeqCst)
    }
}

/// The namespaces of a run: of the first one's Job another webhook changes the template, the last one's
/// has several clients.
fn target(site: &Site<'_>, number: u64) -> Target {
    let namespace = site.namespace(number == 0);
    let shared = number == JOBS;
    let job = namespace.name().to_owned();
    let seen = site.admins.iter().map(|admin| namespace.seen_by(admin.clone())).collect();
    let history = JobHistory { job, shared, ..JobHistory::default() };
    Target { seen, history: Mutex::new(history) }
}

/// The commands, and the troubles meanwhile, which it tells.
fn work(
    site: &mut Site<'_>,
    targets: &[Target],
    answers: &Answers,
    seed: u64,
    commands: u64,
) -> Vec<String> {
    let writers = JOBS + SHARING;
    let ended = AtomicBool::new(false);
    let mut troubles = Vec::new();
    let answered = || answers.add();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|n| {
                let target = &targets[usize::try_from(n.min(JOBS)).unwrap()];
                let share = commands / writers + u64::from(n < commands % writers);
                let writer = Writer { target, seed, name: format!("w{n}"), answered: &answered };
                scope.spawn(move || writer.work(share))
            })
            .collect();
        let watcher = scope.spawn(|| {
            let failed = threads.into_iter().map(|thread| thread.join().is_err());
            let failed = failed.fold(false, |one, other| one | other);
            ended.store(true, SeqCst);
            failed
        });
        let mut random = Random::part(seed, "troubles");
        let mut due = ANSWERS_PER_TROUBLE;
        while answers.wait_for(due, &ended) {
            troubles.push(troubles::make_one(site, &mut random));
            due = answers.count.load(SeqCst) + ANSWERS_PER_TROUBLE;
        }
        assert!(!watcher.join().unwrap(), "a writer panicked: {troubles:#?}");
    });
    troubles
}

/// No Job is left half replaced, also where its client does not come back, and each can be deployed once
/// more. A Job that clients shared has one client then, and a history of its own: the one up to then is
/// returned.
fn settle(targets: &[Target], seed: u64) -> Vec<JobHistory> {
    std::thread::scope(|scope| {
        let settled = targets.iter().enumerate().map(|(n, target)| {
            scope.spawn(move || {
                let is_there = wait::poll(wait::DEADLINE, || {
                    let job = target.seen[0].job(JOB);
                    let dormant = job.as_ref().is_some_and(|job| Seen::of(job).dormant);
                    (!dormant).then_some(job.is_some())
                });
                let mut history = target.history.lock().unwrap();
                let is_unsure = history.is_unsure();
                let shared = history.shared.then(|| {
                    let after = JobHistory { job: history.job.clone(), ..JobHistory::default() };
                    mem::replace(&mut *history, after)
                });
                history.events.push(is_there.map_or(Event::StaysDormant, Event::Calm));
                drop(history);
                let name = format!("{LAST}{n}");
                let last = Writer { target, seed, name, answered: &|| {} };
                last.deploy_until_done(shared.is_some() && !is_unsure);
                shared
            })
        });
        let settled: Vec<_> = settled.collect();
        settled.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}
