//! Several replicas against one Secret and one webhook configuration, in every order, with stale
//! reads, crashes and clocks that differ: a served certificate always verifies against the
//! published caBundle, and a published path is always accepted.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::fake::{Cluster, Replica, published};
use super::replicas::{LAG, NAME, entries, lives};
use jiff::SignedDuration;
use proptest::prelude::*;
use rejob::certs::bundle::Fingerprint;
use rejob::certs::configuration::WebhookConfiguration;
use rejob::certs::manager::{StepError, StepOutcome};
use rejob::certs::plan::Lifetimes;
use rejob::certs::{AcceptedTokens, CertResolver};
use support::verify::verifies;

type Running = Pin<Box<dyn Future<Output = (Replica, Result<StepOutcome, StepError>)>>>;

/// A replica between or inside steps, and what its server uses meanwhile.
struct Process {
    number: u64,
    skew: SignedDuration,
    slot: CertResolver,
    tokens: AcceptedTokens,
    step: Running,
    finished: usize,
}

impl Process {
    fn start(cluster: &Cluster, number: u64, skew: SignedDuration, lives: &Lifetimes) -> Self {
        let replica = Replica::new(cluster, number, skew, lives);
        let (slot, tokens) = (replica.slot.clone(), replica.tokens.clone());
        Self { number, skew, slot, tokens, step: begin(replica), finished: 0 }
    }

    /// Runs up to the next effect or answer of the API server.
    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready((replica, result)) = self.step.as_mut().poll(&mut context) {
            assert!(!matches!(result, Err(StepError::Issue(_))), "{result:?}");
            self.finished += 1;
            self.step = begin(replica);
        }
    }
}

fn begin(mut replica: Replica) -> Running {
    Box::pin(async move {
        let result = replica.manager.step().await;
        (replica, result)
    })
}

/// Checks the invariant against every configuration that some API server may still use.
#[derive(Default)]
struct Checker {
    /// Verifications done, by leaf and configuration version.
    known: HashMap<(Fingerprint, usize), Result<(), String>>,
    /// Configurations by version.
    parsed: HashMap<usize, WebhookConfiguration>,
    /// The first configuration that was complete.
    first: Option<usize>,
    served: BTreeSet<Fingerprint>,
    cas: BTreeSet<Vec<u8>>,
    /// Keys of CAs that were published before they issued.
    staged: BTreeSet<Vec<u8>>,
    tokens: BTreeSet<String>,
}

impl Checker {
    fn check(&mut self, cluster: &Cluster, processes: &[Process]) {
        let now = cluster.now();
        let world = cluster.0.lock().unwrap();
        let versions = world.configurations.len();
        let visible = (0..versions)
            .rev()
            .find(|&index| world.configurations[index].0 + LAG <= world.elapsed || index == 0);
        for index in visible.unwrap_or(0)..versions {
            let Some(raw) = &world.configurations[index].1 else { continue };
            let published = self.parsed.entry(index).or_insert_with(|| published(raw));
            let complete = published.trusted_by_all().next().is_some();
            if !complete && self.first.is_none_or(|first| index < first) {
                continue;
            }
            self.first.get_or_insert(index);
            for process in processes {
                let Some(pair) = process.slot.current() else { continue };
                if now > pair.validity.not_after {
                    continue; // nothing could verify it
                }
                let leaf = Fingerprint::of(&pair.key.cert[0]);
                self.served.insert(leaf);
                for entry in published.entries() {
                    let verdict = self.known.entry((leaf, index)).or_insert_with(|| {
                        verifies(&pair, entry.ca_bundle().unwrap_or_default(), NAME, now)
                    });
                    assert_eq!(*verdict, Ok(()), "replica {} at {now}", process.number);
                }
                let token = published.token().expect("a published path carries a token");
                assert!(process.tokens.accepts(token), "replica {} at {now}", process.number);
                self.tokens.insert(token.to_owned());
            }
        }
        if let Some(Some(secret)) = world.secrets.last() {
            let key = secret["ca.key"].clone();
            let new = !self.cas.contains(&key);
            assert!(!new || self.cas.is_empty() || self.staged.contains(&key), "a CA out of turn");
            self.cas.insert(key);
            self.staged.extend(secret.get("next-ca.key").cloned());
        }
    }
}

proptest! {
    // A case is some thousand steps: a few of them, and no shrinking to speak of.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_served_always_verifies_against_what_is_published(
        skews in prop::collection::vec(-5i64..=5, 2..=4),
        schedule in prop::collection::vec((any::<u16>(), any::<u8>()), 64..512),
    ) {
        let cluster = Cluster::with_entries(entries());
        let lives = lives();
        let mut incarnations = 0;
        let mut start = |skew| {
            incarnations += 1;
            Process::start(&cluster, incarnations, skew, &lives)
        };
        let mut processes: Vec<Process> =
            skews.iter().map(|skew| start(SignedDuration::from_secs(*skew))).collect();
        let mut checker = Checker::default();
        let mut crashed_at = Duration::ZERO;
        let mut finished_at = vec![(0, Duration::ZERO); processes.len()];

        // 30 renewals take 6,000 s; the schedule repeats until then.
        for (turn, (pick, chance)) in schedule.iter().cycle().enumerate() {
            cluster.advance(Duration::from_secs(u64::from(turn % 4 == 0)));
            let elapsed = cluster.0.lock().unwrap().elapsed;
            if elapsed > Duration::from_mins(110) {
                break;
            }
            let index = usize::from(*pick) % processes.len();
            match chance {
                // A crash, anywhere; but a CA can only be replaced in time by replicas that live
                // for longer than it is awaited.
                0..=9 if elapsed > crashed_at + Duration::from_mins(1) => {
                    crashed_at = elapsed;
                    processes[index] = start(processes[index].skew);
                }
                10..=99 => cluster.advance(Duration::from_secs(u64::from(pick % 8))),
                _ => {
                    cluster.0.lock().unwrap().stale_by = usize::from(*chance > 235);
                    processes[index].poll();
                    cluster.0.lock().unwrap().stale_by = 0;
                }
            }
            // Nobody sleeps for much longer than two intervals: those who do for a generation
            // cannot know the token of the next but one, and renew too late.
            for (process, (finished, at)) in processes.iter_mut().zip(&mut finished_at) {
                if process.finished != *finished {
                    (*finished, *at) = (process.finished, elapsed);
                } else if elapsed > *at + Duration::from_secs(25) {
                    process.poll();
                }
            }
            checker.check(&cluster, &processes);
        }

        // Left in peace, all replicas come to the same CA and leaf; a renewal may be under way.
        let served = |processes: &[Process]| -> BTreeSet<Fingerprint> {
            let current = |process: &Process| process.slot.current().unwrap();
            processes.iter().map(|process| Fingerprint::of(&current(process).key.cert[0])).collect()
        };
        for round in 0..80 {
            if round >= 40 && served(&processes).len() == 1 {
                break;
            }
            cluster.advance(Duration::from_secs(2));
            for process in &mut processes {
                (0..40).for_each(|_| process.poll());
            }
            checker.check(&cluster, &processes);
        }
        prop_assert_eq!(served(&processes).len(), 1, "replicas disagree");
        prop_assert!(checker.served.len() >= 28, "only {} certificates", checker.served.len());
        prop_assert!(checker.cas.len() >= 8, "only {} CAs", checker.cas.len());
        prop_assert!(checker.tokens.len() >= 20, "only {} tokens", checker.tokens.len());
        let anchors = published(&cluster.entries()).anchors()[0].len();
        prop_assert!(anchors <= 3, "{} CAs pile up in the caBundle", anchors);
        prop_assert!(cluster.entries()[2].ca_bundle.is_empty(), "a foreign entry was touched");
    }
}

#[test]
fn two_replicas_that_start_at_once_agree_on_one_ca() {
    // Interleavings of the first steps, by the bits of a number.
    for order in (0u32..4096).step_by(13) {
        let cluster = Cluster::with_entries(entries());
        let mut processes =
            [1, 2].map(|number| Process::start(&cluster, number, SignedDuration::ZERO, &lives()));
        for bit in 0..12 {
            processes[usize::from(order & (1 << bit) != 0)].poll();
        }
        for _ in 0..50 {
            processes.iter_mut().for_each(Process::poll);
        }
        assert_eq!(cluster.0.lock().unwrap().secrets.len(), 1, "order {order:b}");
        let [first, second] = processes.map(|process| process.slot.current().unwrap());
        assert_eq!(first.key.cert, second.key.cert, "order {order:b}");
    }
}
