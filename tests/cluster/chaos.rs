//! Chaos: writers of all kinds deploy Jobs while everything around rejob fails, and what happened is
//! checked afterwards against what rejob promises (docs/design/protocol.md).
//!
//! All choices follow from one seed, which is printed: `REJOB_CHAOS_SEED` gives it, and
//! `REJOB_CHAOS_COMMANDS` the number of commands. When a process is scheduled is not in the seed's hand, so a
//! seed that failed makes the same commands and troubles again, not the same interleaving.

mod checker;
mod history;
mod kubelet;
mod random;
mod relay;
mod site;
mod troubles;
mod writers;

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use support::hook::{self, Hook};
use support::plane::{ControlPlane, Options};
use support::wait;

use history::{JobHistory, Pod};
use random::Random;
use site::Site;
use writers::{DEPLOYS, JOB, Target, Writer};

/// Jobs with one client each, and the clients of one more, which they share.
const JOBS: u64 = 6;
const SHARING: u64 = 3;
/// One trouble follows the other after so many answers.
const ANSWERS_PER_TROUBLE: u64 = 5;
/// The commands of a run that is a test among others.
const COMMANDS: u64 = 90;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text}: give a whole number"))
}

#[test]
#[ignore = "a run takes minutes: just chaos"]
fn promises_hold_in_chaos() {
    let seed = setting("REJOB_CHAOS_SEED", 1);
    let commands = setting("REJOB_CHAOS_COMMANDS", COMMANDS);
    println!("chaos: REJOB_CHAOS_SEED={seed} REJOB_CHAOS_COMMANDS={commands}");
    let options = Options { audit: true, ..Options::default() };
    let plane = ControlPlane::start(&options);
    // Both promise the same.
    let failure_policy = if seed.is_multiple_of(2) { "Ignore" } else { "Fail" };
    let mut site = Site::start(&plane, 3, failure_policy);
    let targets: Vec<_> = (0..=JOBS).map(|n| target(&site, n == JOBS)).collect();
    let hooked = &targets[0].seen[0];
    let hook = hook::Options {
        operations: &["CREATE"],
        rewrite: troubles::stamp,
        takes: troubles::takes,
        failure_policy: "Ignore",
        ..hook::Options::default()
    };
    let _hook = Hook::in_namespace(&plane, hooked, &hook);
    let answers = Answers::default();
    let over = AtomicBool::new(false);
    let troubles = std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| kubelet::run(&targets, Random::part(seed, 1000), &over));
        let troubles = run(&mut site, &targets, &answers, seed, commands);
        settle(&mut site, &targets, seed);
        troubles
    });
    let histories: Vec<_> = targets.into_iter().map(|t| t.history.into_inner().unwrap()).collect();
    let found: Vec<_> = histories.iter().flat_map(checker::violations).collect();
    let told: usize = histories.iter().map(|history| history.events.len()).sum();
    let pods: usize = histories.iter().map(|history| history.pods.len()).sum();
    let answers = answers.count.load(SeqCst);
    println!("{commands} commands, {answers} answers, {} troubles, {pods} Pods", troubles.len());
    let file = plane.dir().join("chaos-history.txt");
    fs::write(&file, format!("{troubles:#?}\n{histories:#?}\n")).unwrap();
    let file = file.display();
    assert!(found.is_empty(), "seed {seed}, {told} events in {file}:\n{}", found.join("\n"));
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

fn target(site: &Site<'_>, shared: bool) -> Target {
    let namespace = site.namespace();
    let job = format!("{}{}", namespace.name(), if shared { " (shared)" } else { "" });
    let seen = site.admins.iter().map(|admin| namespace.seen_by(admin.clone())).collect();
    let history = JobHistory { job, shared, ..JobHistory::default() };
    Target { seen, history: Mutex::new(history) }
}

/// The commands, and the troubles meanwhile, which it tells.
fn run(
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
                let (random, name) = (Random::part(seed, n), format!("w{n}"));
                let mut writer = Writer { target, random, name, made: 0, answered: &answered };
                scope.spawn(move || writer.work(share))
            })
            .collect();
        let watcher = scope.spawn(|| {
            let failed = threads.into_iter().map(|thread| thread.join().is_err());
            let failed = failed.fold(false, |one, other| one | other);
            ended.store(true, SeqCst);
            failed
        });
        let mut random = Random::part(seed, 2000);
        let mut due = ANSWERS_PER_TROUBLE;
        while answers.wait_for(due, &ended) {
            troubles.push(troubles::make_one(site, &mut random));
            due = answers.count.load(SeqCst) + ANSWERS_PER_TROUBLE;
        }
        assert!(!watcher.join().unwrap(), "a writer panicked: {troubles:#?}");
    });
    troubles
}

/// All trouble ends: every Job can be deployed once more, and none is left half replaced. Then the
/// Pods are counted.
fn settle(site: &mut Site<'_>, targets: &[Target], seed: u64) {
    troubles::end(site);
    let mut random = Random::part(seed, 3000);
    for target in targets {
        let mut history = target.history.lock().unwrap();
        let shared = std::mem::replace(&mut history.shared, false);
        drop(history);
        let (way, random) = (random.pick(&DEPLOYS), random.clone());
        let mut last =
            Writer { target, random, name: "last".to_owned(), made: 0, answered: &|| {} };
        let image = last.new_image();
        last.send(image, way);
        let job = target.seen[0].job(JOB).expect("a Job that was deployed");
        last.wait_for_a_pod(Some(history::Seen::of(&job)));
        target.history.lock().unwrap().shared = shared;
    }
    wait::until("no Job is dormant", || {
        let selector = "/apis/batch/v1/jobs?labelSelector=rejob.dev%2Fdormant";
        let dormant = site.admins[0].get(selector).ok();
        dormant["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    let audit = site.plane.audit_log();
    for target in targets {
        let namespace = target.seen[0].name();
        target.history.lock().unwrap().pods = pods(&audit, namespace);
    }
}

/// The Pods made in that namespace: the audit log has those that are long gone as well.
fn pods(audit: &str, namespace: &str) -> Vec<Pod> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let made = audit.lines().filter(|line| line.contains(namespace)).filter_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        let about = &entry["objectRef"];
        let made = entry["verb"] == "create"
            && about["resource"] == "pods"
            && about["subresource"].is_null()
            && about["namespace"] == namespace
            && entry["responseStatus"]["code"] == 201;
        let pod = &entry["requestObject"];
        made.then(|| Pod {
            owner: text(&pod["metadata"]["ownerReferences"][0]["uid"]),
            image: text(&pod["spec"]["containers"][0]["image"]),
        })
    });
    made.collect()
}
