//! Several replicas against one Secret and one webhook configuration, in every order, with stale
//! reads, crashes and clocks that differ: a served certificate always verifies against the
//! published caBundle, and a published path is always accepted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_for_each,
    reason = "a test"
)]

#[path = "certs_support/fake.rs"]
mod fake;
#[path = "certs_support/verify.rs"]
mod verify;

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fake::{Cluster, Raw, Replica, published};
use jiff::SignedDuration;
use proptest::prelude::*;
use rejob::certs::bundle::Fingerprint;
use rejob::certs::inject::Published;
use rejob::certs::manager::{Step, StepError};
use rejob::certs::plan::Lives;
use rejob::certs::{AcceptedTokens, CertSlot};
use verify::verifies;

/// API servers notice a change of the configuration within this time.
const LAG: Duration = Duration::from_secs(10);

/// The name the entries call.
const NAME: &str = "rejob.rejob.svc";

type Running = Pin<Box<dyn Future<Output = (Replica, Result<Step, StepError>)>>>;

/// A replica between or inside steps, and what its server uses meanwhile.
struct Process {
    number: u64,
    skew: SignedDuration,
    slot: CertSlot,
    tokens: AcceptedTokens,
    step: Running,
    finished: usize,
}

impl Process {
    fn start(cluster: &Cluster, number: u64, skew: SignedDuration, lives: &Lives) -> Self {
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

/// Runs steps of `replica` to the end of its work.
fn settle(replica: &mut Replica) {
    for _ in 0..50 {
        if block_on(replica.manager.step()) == Ok(Step::Idle) {
            return;
        }
    }
    panic!("a replica never comes to rest");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Lives of minutes, so that many rotations are few steps.
fn lives() -> Lives {
    Lives {
        cert: Duration::from_mins(5),
        ca: Duration::from_mins(15),
        renew: (2, 3),
        interval: Duration::from_secs(10),
        settle: Duration::from_secs(40),
        skew: Duration::from_secs(30),
    }
}

fn entries() -> Vec<Raw> {
    vec![
        Raw::service("replace.rejob.dev"),
        Raw::service("ttl.rejob.dev"),
        Raw::service("other.example.com"),
    ]
}

/// Checks the invariant against every configuration that some API server may still use.
#[derive(Default)]
struct Checker {
    /// Verifications done, by leaf and configuration version.
    known: HashMap<(Fingerprint, usize), Result<(), String>>,
    /// Configurations by version.
    parsed: HashMap<usize, Published>,
    /// The first configuration that was complete.
    first: Option<usize>,
    served: BTreeSet<Fingerprint>,
    cas: BTreeSet<Vec<u8>>,
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
                for entry in &published.entries {
                    let verdict = self
                        .known
                        .entry((leaf, index))
                        .or_insert_with(|| verifies(&pair, &entry.ca_bundle, NAME, now));
                    assert_eq!(*verdict, Ok(()), "replica {} at {now}", process.number);
                }
                let token = published.token().expect("a published path carries a token");
                assert!(process.tokens.accepts(token), "replica {} at {now}", process.number);
                self.tokens.insert(token.to_owned());
            }
        }
        if let Some(Some(secret)) = world.secrets.last() {
            self.cas.insert(secret["ca.key"].clone());
        }
    }
}

proptest! {
    // A case is some thousand steps: a few of them, and no shrinking to speak of.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 8, ..ProptestConfig::default() })]

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
                0..=9 => processes[index] = start(processes[index].skew), // a crash, anywhere
                10..=99 => cluster.advance(Duration::from_secs(u64::from(pick % 8))),
                _ => {
                    cluster.0.lock().unwrap().stale_by = usize::from(*chance > 235);
                    processes[index].poll();
                    cluster.0.lock().unwrap().stale_by = 0;
                }
            }
            // Nobody sleeps through half a generation: with the API server gone for that long,
            // a replica cannot know the token of the next but one.
            for (process, (finished, at)) in processes.iter_mut().zip(&mut finished_at) {
                if process.finished != *finished {
                    (*finished, *at) = (process.finished, elapsed);
                } else if elapsed > *at + Duration::from_secs(90) {
                    process.poll();
                }
            }
            checker.check(&cluster, &processes);
        }

        // Left in peace, all replicas come to the same CA and leaf.
        for _ in 0..40 {
            cluster.advance(Duration::from_secs(2));
            for process in &mut processes {
                (0..40).for_each(|_| process.poll());
            }
            checker.check(&cluster, &processes);
        }
        let served: BTreeSet<Fingerprint> = processes
            .iter()
            .map(|process| Fingerprint::of(&process.slot.current().unwrap().key.cert[0]))
            .collect();
        prop_assert_eq!(served.len(), 1, "replicas disagree");
        prop_assert!(checker.served.len() >= 28, "only {} certificates", checker.served.len());
        prop_assert!(checker.cas.len() >= 8, "only {} CAs", checker.cas.len());
        prop_assert!(checker.tokens.len() >= 20, "only {} tokens", checker.tokens.len());
        let anchors = published(&cluster.entries()).entries[0].anchors.len();
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

/// Three replicas at rest.
fn installed() -> (Cluster, Vec<Replica>) {
    let cluster = Cluster::with_entries(entries());
    let mut replicas: Vec<Replica> = (1..=3)
        .map(|number| Replica::new(&cluster, number, SignedDuration::ZERO, &lives()))
        .collect();
    for replica in &mut replicas {
        settle(replica);
        assert_eq!(replica.ready(), Ok(()));
    }
    (cluster, replicas)
}

/// Steps all replicas for `seconds`, checking after each step that nobody is refused, not even by
/// an API server that has not noticed the last changes.
fn run(cluster: &Cluster, replicas: &mut [Replica], seconds: u64) {
    for _ in 0..seconds / 5 {
        for index in 0..replicas.len() {
            settle(&mut replicas[index]);
            replicas.iter().for_each(|replica| verify_lagging(cluster, replica));
        }
        cluster.advance(Duration::from_secs(5));
    }
}

fn verify_lagging(cluster: &Cluster, replica: &Replica) {
    let versions = cluster.0.lock().unwrap().configurations.clone();
    let (now, elapsed) = (cluster.now(), cluster.monotonic());
    let first = versions.iter().rposition(|(written, _)| *written + LAG <= elapsed).unwrap_or(0);
    for (_, raw) in &versions[first..] {
        let published = published(raw.as_ref().unwrap());
        if published.trusted_by_all().next().is_none() {
            continue; // before the installation
        }
        let pair = replica.slot.current().unwrap();
        assert_eq!(verifies(&pair, &published.entries[0].ca_bundle, NAME, now), Ok(()));
        assert!(replica.tokens.accepts(published.token().unwrap()));
    }
}

fn verify_now(cluster: &Cluster, replica: &Replica) {
    let pair = replica.slot.current().unwrap();
    let published = published(&cluster.entries());
    for entry in &published.entries {
        assert_eq!(verifies(&pair, &entry.ca_bundle, NAME, cluster.now()), Ok(()));
    }
    assert!(replica.tokens.accepts(published.token().unwrap()));
}

#[test]
fn a_ca_issues_only_after_it_was_published_for_a_while() {
    let (cluster, mut replicas) = installed();
    let mut staged_for = 0;
    while published(&cluster.entries()).entries[0].anchors.len() < 2 || staged_for < 100 {
        run(&cluster, &mut replicas, 5);
        let anchors = published(&cluster.entries()).entries[0].anchors.len();
        staged_for += if anchors == 2 { 5 } else { 0 };
        // Whoever starts now serves what every API server accepts.
        let mut fresh = Replica::new(&cluster, 9, SignedDuration::ZERO, &lives());
        settle(&mut fresh);
        verify_lagging(&cluster, &fresh);
    }
    assert!(cluster.text("state.json").contains("retired\":[{"), "the CA was never replaced");
}

#[test]
fn a_deleted_secret_is_made_again_and_nobody_is_refused_meanwhile() {
    let (cluster, mut replicas) = installed();
    run(&cluster, &mut replicas, 30);
    let before = (cluster.text("tls.crt"), cluster.text("ca.key"), cluster.text("state.json"));
    cluster.set_secret(None);
    run(&cluster, &mut replicas, 10);
    assert_ne!(cluster.text("ca.key"), before.1);
    run(&cluster, &mut replicas, 150);
    for replica in &replicas {
        let served = replica.slot.current().unwrap();
        let made = rejob::certs::load_pair(
            cluster.text("tls.crt").as_bytes(),
            cluster.text("tls.key").as_bytes(),
            cluster.now(),
        );
        assert_eq!(served.key.cert, made.unwrap().key.cert);
        let old: serde_json::Value = serde_json::from_str(&before.2).unwrap();
        let token = old["tokens"]["next"].as_str().unwrap();
        assert!(!replica.tokens.accepts(token), "the tokens of a deleted Secret end");
    }
}

#[test]
fn whatever_is_done_to_the_secret_is_repaired_while_serving_goes_on() {
    let keys =
        ["tls.crt", "tls.key", "ca.crt", "ca.key", "state.json", "next-ca.crt", "next-ca.key"];
    let other = rejob::certs::self_signed(&["other"]).unwrap().ca_pem;
    let values = [None, Some(""), Some("garbage"), Some("{}"), Some(other.as_str())];
    for key in keys {
        for value in values {
            let (cluster, mut replicas) = installed();
            cluster.edit_secret(key, value);
            run(&cluster, &mut replicas, 100);
            // A replica that starts now needs a Secret in order.
            let mut fresh = Replica::new(&cluster, 9, SignedDuration::ZERO, &lives());
            settle(&mut fresh);
            assert_eq!(fresh.ready(), Ok(()), "{key} = {value:?}");
            verify_now(&cluster, &fresh);
            let served = fresh.slot.current().unwrap();
            for replica in &replicas {
                assert_eq!(replica.slot.current().unwrap().key.cert, served.key.cert);
            }
        }
    }
}

#[test]
fn swapped_parts_of_the_secret_are_repaired() {
    let (cluster, mut replicas) = installed();
    let (cert, key) = (cluster.text("tls.crt"), cluster.text("tls.key"));
    cluster.edit_secret("tls.crt", Some(&key));
    cluster.edit_secret("tls.key", Some(&cert));
    run(&cluster, &mut replicas, 10);
    cluster.edit_secret("ca.key", Some(&key));
    run(&cluster, &mut replicas, 100);
    verify_now(&cluster, &replicas[0]);
    cluster.edit_secret("tls.crt", Some(&cert)); // a leaf of the CA before
    run(&cluster, &mut replicas, 10);
    assert_ne!(cluster.text("tls.crt"), cert);
}

#[test]
fn what_somebody_takes_out_of_the_configuration_is_put_back() {
    let (cluster, mut replicas) = installed();
    let good = cluster.entries();
    let edits: [fn(&mut Vec<Raw>); 4] = [
        |entries| entries.iter_mut().for_each(|entry| entry.ca_bundle.clear()),
        |entries| entries[0].ca_bundle = b"garbage".to_vec(),
        |entries| entries[1] = Raw::service("ttl.rejob.dev"),
        |entries| {
            let host = NAME.to_owned();
            let path = Some("/v1/t/guessed/policies/replace".to_owned());
            entries[0].target = rejob::certs::inject::Target::Service { host, path };
        },
    ];
    for edit in edits {
        cluster.edit(edit);
        settle(&mut replicas[0]);
        let now = cluster.entries();
        for (now, good) in now.iter().zip(&good) {
            assert_eq!((&now.ca_bundle, &now.target), (&good.ca_bundle, &good.target));
        }
        replicas.iter().for_each(|replica| verify_now(&cluster, replica));
    }
    // A policy that a chart upgrade adds.
    cluster.edit(|entries| entries.push(Raw::service("hash-name.rejob.dev")));
    settle(&mut replicas[1]);
    let entries = cluster.entries();
    assert_eq!(entries[3].ca_bundle, good[0].ca_bundle);
    assert!(
        matches!(&entries[3].target, rejob::certs::inject::Target::Service { path: Some(path), .. }
        if path.ends_with("/policies/hash-name"))
    );
}

#[test]
fn is_not_ready_before_the_configuration_carries_the_ca() {
    let cluster = Cluster::default();
    cluster.configure(None);
    let mut replica = Replica::new(&cluster, 1, SignedDuration::ZERO, &lives());
    assert!(replica.ready().unwrap_err().contains("first look"));
    settle(&mut replica);
    assert!(replica.slot.current().is_none());
    assert!(replica.ready().unwrap_err().contains("<policy>.rejob.dev"));
    cluster.configure(Some(vec![Raw::service("other.example.com")]));
    settle(&mut replica);
    assert!(replica.ready().is_err());
    cluster.configure(Some(entries()));
    settle(&mut replica);
    assert_eq!(replica.ready(), Ok(()));
    // An API server that goes away later takes neither the certificate nor readiness.
    let gone = StepError::Store(rejob::certs::store::StoreError::Conflict);
    cluster.0.lock().unwrap().failing = Some(rejob::certs::store::StoreError::Conflict);
    assert_eq!(block_on(replica.manager.step()), Err(gone));
    assert_eq!(replica.ready(), Ok(()));
    // Time does.
    cluster.advance(Duration::from_secs(400));
    assert!(replica.ready().unwrap_err().contains("expired"));
}

#[test]
fn after_a_long_sleep_everything_is_made_anew() {
    let (cluster, mut replicas) = installed();
    cluster.advance(Duration::from_secs(100_000));
    for replica in &mut replicas {
        settle(replica);
        assert_eq!(replica.ready(), Ok(()));
        verify_now(&cluster, replica);
    }
    assert_eq!(published(&cluster.entries()).entries[0].anchors.len(), 1);
}

#[test]
fn a_clock_far_behind_touches_nothing() {
    let (cluster, _) = installed();
    let before = cluster.secret_data();
    let mut lost = Replica::new(&cluster, 9, SignedDuration::from_hours(-24 * 365), &lives());
    settle(&mut lost);
    assert_eq!(cluster.secret_data(), before);
}

#[test]
fn a_url_keeps_its_own_path_and_names_the_certificate() {
    let url = "https://hooks.example.com:8443/rejob/";
    let cluster = Cluster::with_entries(vec![
        Raw::url("replace.rejob.dev", url),
        Raw::url("ttl.rejob.dev", "https://[::1]:8443/v1/policies/ttl"),
    ]);
    let mut replica = Replica::new(&cluster, 1, SignedDuration::ZERO, &lives());
    settle(&mut replica);
    let names = &replica.slot.current().unwrap().names;
    assert!(names.contains(&"hooks.example.com".to_owned()) && names.contains(&"::1".to_owned()));
    for _ in 0..2 {
        let token = published(&cluster.entries()).token().unwrap().to_owned();
        let urls = cluster.entries().into_iter().map(|entry| entry.target).collect::<Vec<_>>();
        let expected = [
            format!("https://hooks.example.com:8443/rejob/v1/t/{token}/policies/replace"),
            format!("https://[::1]:8443/v1/t/{token}/policies/ttl"),
        ];
        assert_eq!(urls, expected.map(rejob::certs::inject::Target::Url));
        // Another token takes the old one's place.
        let before = token.clone();
        for _ in 0..60 {
            cluster.advance(Duration::from_secs(5));
            settle(&mut replica);
        }
        assert_ne!(published(&cluster.entries()).token(), Some(before.as_str()));
    }
}
