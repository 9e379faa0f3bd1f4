//! Replicas of a fake cluster, stepped one after the other, and the invariant they keep.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::SignedDuration;
use rejob::certs::manager::StepOutcome;
use rejob::certs::plan::Lifetimes;

use super::fake::{Cluster, Raw, Replica, published};
use support::verify::verifies;

/// API servers notice a change of the configuration within this time.
pub const LAG: Duration = Duration::from_secs(10);

/// The name the entries call.
pub const NAME: &str = "rejob.rejob.svc";

/// Lifetimes of minutes, so that many rotations are few steps.
pub fn lives() -> Lifetimes {
    Lifetimes {
        cert: Duration::from_mins(5),
        ca: Duration::from_mins(15),
        renew: (2, 3),
        interval: Duration::from_secs(10),
        propagation: Duration::from_secs(40),
        skew: Duration::from_secs(30),
        token: Duration::from_secs(200),
        grace: Duration::from_mins(1),
    }
}

pub fn entries() -> Vec<Raw> {
    vec![
        Raw::service("replace.rejob.dev"),
        Raw::service("ttl.rejob.dev"),
        Raw::service("other.example.com"),
    ]
}

/// Runs steps of `replica` to the end of its work.
pub fn settle(replica: &mut Replica) {
    for _ in 0..50 {
        if block_on(replica.manager.step()) == Ok(StepOutcome::Idle) {
            return;
        }
    }
    panic!("a replica never comes to rest");
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Three replicas at rest.
pub fn installed() -> (Cluster, Vec<Replica>) {
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
pub fn run(cluster: &Cluster, replicas: &mut [Replica], seconds: u64) {
    for _ in 0..seconds / 5 {
        for index in 0..replicas.len() {
            settle(&mut replicas[index]);
            replicas.iter().for_each(|replica| verify_lagging(cluster, replica));
        }
        cluster.advance(Duration::from_secs(5));
    }
}

pub fn verify_lagging(cluster: &Cluster, replica: &Replica) {
    let versions = cluster.0.lock().unwrap().configurations.clone();
    let (now, elapsed) = (cluster.now(), cluster.monotonic());
    let first = versions.iter().rposition(|(written, _)| *written + LAG <= elapsed).unwrap_or(0);
    for (_, raw) in &versions[first..] {
        let published = published(raw.as_ref().unwrap());
        if published.trusted_by_all().next().is_none() {
            continue; // before the installation
        }
        let pair = replica.slot.current().unwrap();
        let bundle = published.entries().next().unwrap().ca_bundle().unwrap_or_default();
        assert_eq!(verifies(&pair, bundle, NAME, now), Ok(()));
        assert!(replica.tokens.accepts(published.token().unwrap()));
    }
}

pub fn verify_now(cluster: &Cluster, replica: &Replica) {
    let pair = replica.slot.current().unwrap();
    let published = published(&cluster.entries());
    for entry in published.entries() {
        let bundle = entry.ca_bundle().unwrap_or_default();
        assert_eq!(verifies(&pair, bundle, NAME, cluster.now()), Ok(()));
    }
    assert!(replica.tokens.accepts(published.token().unwrap()));
}
