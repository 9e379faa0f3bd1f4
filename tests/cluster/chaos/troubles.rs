//! What goes wrong, one thing after the other, as the seed says.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde_json::Value;

use super::random::Random;
use super::site::Site;

/// How long the other webhook takes over a Job, in milliseconds.
static HOOK_TAKES: AtomicU64 = AtomicU64::new(0);

/// For the other webhook.
pub fn takes(_job: &Value) -> Duration {
    Duration::from_millis(HOOK_TAKES.load(SeqCst))
}

/// The other webhook changes what clients ask for.
pub fn rewrite(job: &mut Value) {
    job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 20.into();
}

/// How far the clocks of two replicas may differ for certificates that live a minute: `Lifetimes::skew`
/// is 6 s.
const STEP: i64 = 3;

/// Makes trouble of one kind, and says which. What was slow, or was to be cut, stays so half of the time.
pub fn make_one(site: &mut Site<'_>, random: &mut Random) -> String {
    // None has ended before it is killed.
    site.assert_sound();
    if random.below(2) == 0 {
        calm(site);
    }
    let replicas = u64::try_from(site.replicas.len()).unwrap();
    let replica = usize::try_from(random.below(replicas)).unwrap();
    match random.below(16) {
        0..=3 => {
            // Those that were killed before come back: one at a time is down.
            (0..site.replicas.len()).for_each(|replica| site.run(replica));
            site.kill(replica);
            format!("replica {replica} is killed")
        }
        4 | 5 => {
            site.relay.cut_all();
            "all connections to the replicas are cut".to_owned()
        }
        6 => {
            let bytes = site.relay.cut_later(random, 30_000);
            format!("the connection to a replica is cut that carries byte {bytes}")
        }
        7 => {
            let milliseconds = site.relay.delay_up_to(random, 150);
            format!("each piece to the replicas takes {milliseconds} ms")
        }
        8 | 9 => {
            let bytes = site.replicas[replica].relay.cut_later(random, 30_000);
            format!("the connection of replica {replica} is cut that carries byte {bytes}")
        }
        10 | 11 => {
            let milliseconds = site.replicas[replica].relay.delay_up_to(random, 300);
            format!("each piece of replica {replica} takes {milliseconds} ms")
        }
        12 => {
            let longest = random.pick(&[1000, 1000, 3000]);
            let milliseconds = 100 + random.below(longest - 100);
            site.plane.stop_etcd(true);
            std::thread::sleep(Duration::from_millis(milliseconds));
            site.plane.stop_etcd(false);
            format!("etcd stops for {milliseconds} ms")
        }
        13 => {
            let seconds = random.pick(&[-STEP, -1, 1, STEP]);
            site.replicas[replica].clock.set(seconds);
            format!("the clock of replica {replica} is {seconds} s off")
        }
        14 => {
            let told = site.end_the_hour_of_the_token();
            format!("the hour of the path token ends: {told}")
        }
        _ => {
            let milliseconds = random.below(700);
            HOOK_TAKES.store(milliseconds, SeqCst);
            format!("the other webhook takes {milliseconds} ms")
        }
    }
}

/// Nothing is slow any more, and nothing is to be cut.
fn calm(site: &Site<'_>) {
    site.relay.calm();
    site.replicas.iter().for_each(|replica| replica.relay.calm());
    HOOK_TAKES.store(0, SeqCst);
}

/// Ends all trouble; every replica comes back.
pub fn end(site: &mut Site<'_>) {
    calm(site);
    for replica in 0..site.replicas.len() {
        site.replicas[replica].clock.set(0);
        site.run(replica);
    }
    site.wait_until_ready();
    site.assert_sound();
    site.wait_until_called();
}
