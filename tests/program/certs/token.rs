//! The path token where others supply the certificate: replicas of a fake cluster, in any order and
//! with stale reads, keep one that every replica accepts, and touch nothing but paths.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rejob::certs::manager::StepOutcome;
use rejob::certs::replica;
use rejob::certs::token_keeper::TokenKeeper;
use rejob::certs::{AcceptedTokens, CertResolver, Clock, Readiness, accepted_tokens, self_signed};

use super::fake::{Cluster, Counter, FakeClock, Raw, published};
use super::replicas::{LAG, block_on, lives};

/// A caBundle of somebody else's.
const THEIRS: &[u8] = b"theirs";

/// A clock for the certificate, which is another one's business here.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Replica {
    keeper: TokenKeeper<Cluster, FakeClock, Counter>,
    tokens: AcceptedTokens,
    readiness: Readiness,
}

impl Replica {
    fn new(cluster: &Cluster, number: u64, skew: i64) -> Self {
        let clock = FakeClock { cluster: cluster.clone(), skew: SignedDuration::from_secs(skew) };
        let served = CertResolver::new(self_signed(&["rejob.test"]).unwrap().pair);
        let (tokens, readiness) = (accepted_tokens(), Readiness::when_published(served));
        let keeper = TokenKeeper::new(replica::Replica {
            store: cluster.clone(),
            clock,
            random: Counter(number << 32),
            lives: lives(),
            tokens: tokens.clone(),
            readiness: readiness.clone(),
        });
        Self { keeper, tokens, readiness }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            if block_on(self.keeper.step()) == Ok(StepOutcome::Idle) {
                return;
            }
        }
        panic!("a replica never comes to rest");
    }

    fn ready(&self) -> Result<(), String> {
        self.readiness.check(&Now)
    }
}

fn cluster() -> Cluster {
    let entry = |name| Raw { ca_bundle: THEIRS.to_vec(), ..Raw::service(name) };
    Cluster::with_entries(vec![
        entry("replace.rejob.dev"),
        entry("ttl.rejob.dev"),
        entry("other.example.com"),
    ])
}

/// The tokens that some API server may still call with.
fn in_use(cluster: &Cluster) -> BTreeSet<String> {
    let world = cluster.0.lock().unwrap();
    let last = world.configurations.len() - 1;
    let visible =
        |index: &usize| *index == last || world.configurations[*index + 1].0 + LAG > world.elapsed;
    let raws = (0..=last).filter(visible).map(|index| world.configurations[index].1.clone());
    raws.flatten().filter_map(|raw| published(&raw).token().map(str::to_owned)).collect()
}

fn secret(cluster: &Cluster) -> serde_json::Value {
    serde_json::from_str(&cluster.text("tokens.json")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_replica_accepts_what_any_api_server_calls_with(
        skews in prop::collection::vec(-15i64..=15, 2..=4),
        schedule in prop::collection::vec((any::<u8>(), any::<u8>()), 64..512),
    ) {
        let cluster = cluster();
        let mut replicas: Vec<_> = skews.iter().enumerate()
            .map(|(index, skew)| Replica::new(&cluster, 1 + index as u64, *skew))
            .collect();
        replicas.iter_mut().for_each(Replica::settle);
        let mut looked = vec![Duration::ZERO; replicas.len()];
        let (mut seen, mut restarts) = (BTreeSet::new(), 100);
        for (pick, chance) in schedule.iter().cycle() {
            let now = cluster.monotonic();
            if now > lives().token * 34 {
                break;
            }
            cluster.advance(Duration::from_secs(u64::from(pick % 4)));
            let late = looked.iter().position(|at| now > *at + Duration::from_secs(20));
            let index = late.unwrap_or(usize::from(*pick) % replicas.len());
            if *chance < 3 {
                restarts += 1;
                replicas[index] = Replica::new(&cluster, restarts, skews[index]);
                replicas[index].settle();
            }
            cluster.0.lock().unwrap().stale_by = usize::from(*chance > 200);
            prop_assert!(block_on(replicas[index].keeper.step()).is_ok());
            cluster.0.lock().unwrap().stale_by = 0;
            looked[index] = now;
            for token in in_use(&cluster) {
                for (number, replica) in replicas.iter().enumerate() {
                    prop_assert!(replica.tokens.accepts(&token), "replica {number} at {now:?}");
                }
                seen.insert(token);
            }
        }
        prop_assert!(seen.len() >= 30, "only {} tokens", seen.len());
        prop_assert!(cluster.entries().iter().all(|entry| entry.ca_bundle == THEIRS));
        prop_assert!(published(&cluster.entries()).token().is_some());
    }
}

#[test]
fn the_previous_token_ends_a_little_after_the_current_one_was_published() {
    let cluster = cluster();
    let mut replica = Replica::new(&cluster, 1, 0);
    assert!(replica.ready().is_err());
    replica.settle();
    assert_eq!(replica.ready(), Ok(()));
    let first = in_use(&cluster).pop_first().unwrap();
    while in_use(&cluster).len() == 1 {
        cluster.advance(Duration::from_secs(5));
        replica.settle();
    }
    assert!(cluster.monotonic() >= lives().token);
    cluster.advance(lives().grace.saturating_sub(Duration::from_secs(1)));
    replica.settle();
    assert!(replica.tokens.accepts(&first));
    cluster.advance(Duration::from_secs(1));
    replica.settle();
    assert!(!replica.tokens.accepts(&first));
    assert_eq!(secret(&cluster)["previous"], first.as_str(), "the Secret was not written");
}

#[test]
fn the_previous_token_stays_while_an_entry_carries_it() {
    let cluster = cluster();
    let mut replica = Replica::new(&cluster, 1, 0);
    replica.settle();
    let first = in_use(&cluster).pop_first().unwrap();
    let written = cluster.entries();
    while in_use(&cluster).len() == 1 {
        cluster.advance(Duration::from_secs(5));
        replica.settle();
    }
    // Somebody puts the old entries back; nobody can mend them for a while.
    cluster.configure(Some(written));
    cluster.advance(lives().grace * 2);
    replica = Replica::new(&cluster, 2, 0);
    let _ = block_on(replica.keeper.step());
    assert!(replica.tokens.accepts(&first));
    replica.settle();
    assert!(replica.tokens.accepts(&first), "an API server may lag");
    assert!(!in_use(&cluster).is_empty() && !published(&cluster.entries()).all_carry(&first));
}

#[test]
fn a_replica_that_restarts_again_and_again_lets_the_previous_token_end() {
    let cluster = cluster();
    let mut replica = Replica::new(&cluster, 1, 0);
    replica.settle();
    let first = in_use(&cluster).pop_first().unwrap();
    while published(&cluster.entries()).all_carry(&first) {
        cluster.advance(Duration::from_secs(5));
        replica.settle();
    }
    let restarted = || {
        let mut replica = Replica::new(&cluster, 2, 0);
        replica.settle();
        replica.tokens.accepts(&first)
    };
    cluster.advance(lives().grace + lives().skew);
    assert!(restarted());
    cluster.advance(Duration::from_secs(1));
    assert!(!restarted());
}

#[test]
fn a_clock_that_was_far_ahead_does_not_keep_a_token_for_long() {
    let cluster = cluster();
    Replica::new(&cluster, 1, 30 * 86_400).settle();
    let first = in_use(&cluster).pop_first().unwrap();
    // The clock is right again.
    let mut replica = Replica::new(&cluster, 2, 0);
    replica.settle();
    cluster.advance(lives().propagation);
    replica.settle();
    assert!(!published(&cluster.entries()).all_carry(&first));
    let rotate_at: Timestamp = secret(&cluster)["rotateAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(rotate_at, cluster.now() + lives().token);
}

#[test]
fn a_secret_restored_from_one_token_ago_goes_on_with_the_published_one() {
    let cluster = cluster();
    let mut replica = Replica::new(&cluster, 1, 0);
    let mut next_token = |cluster: &Cluster| {
        let before = cluster.secret_data();
        while cluster.secret_data() == before {
            cluster.advance(Duration::from_secs(5));
            replica.settle();
        }
        before
    };
    for _ in 0..2 {
        next_token(&cluster);
    }
    let backup = next_token(&cluster);
    let entries = published(&cluster.entries());
    let token = entries.token().unwrap().to_owned();
    cluster.set_secret(backup);
    let restored = secret(&cluster);
    assert_eq!(restored["next"], token);
    replica.settle();
    assert_eq!(secret(&cluster)["current"], token);
    assert!(published(&cluster.entries()).all_carry(&token), "nothing was refused");
    assert!(!replica.tokens.accepts(restored["previous"].as_str().unwrap()));
    cluster.advance(lives().grace);
    replica.settle();
    assert!(!replica.tokens.accepts(restored["current"].as_str().unwrap()));
}

#[test]
fn a_secret_deleted_or_spoiled_is_made_again_and_the_published_token_stays_for_a_while() {
    for spoiled in [None, Some("garbage"), Some(r#"{"current":"guess"}"#)] {
        let cluster = cluster();
        let mut replicas = [1, 2].map(|number| Replica::new(&cluster, number, 0));
        replicas.iter_mut().for_each(Replica::settle);
        let first = in_use(&cluster).pop_first().unwrap();
        match spoiled {
            None => cluster.set_secret(None),
            Some(text) => cluster.edit_secret("tokens.json", Some(text)),
        }
        replicas[0].settle();
        assert!(replicas.iter().all(|replica| replica.tokens.accepts(&first)), "{spoiled:?}");
        assert!(published(&cluster.entries()).all_carry(&first));
        for _ in 0..40 {
            cluster.advance(Duration::from_secs(5));
            replicas.iter_mut().for_each(Replica::settle);
        }
        assert!(!published(&cluster.entries()).all_carry(&first), "a known token was kept");
        assert!(!replicas[1].tokens.accepts(&first));
    }
}
