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

/// The other webhook writes into the Pod's template.
pub fn stamp(job: &mut Value) {
    job["spec"]["template"]["metadata"]["annotations"]["hook.example.com/stamp"] = "yes".into();
}

/// How far the clocks of two replicas may differ for certificates that live a minute: `Lifetimes::skew`
/// is 6 s.
const STEP: i64 = 3;

/// Makes trouble of one kind, and says which.
pub fn make_one(site: &mut Site<'_>, random: &mut Random) -> String {
    let replicas = u64::try_from(site.replicas.len()).unwrap();
    let replica = usize::try_from(random.below(replicas)).unwrap();
    match random.below(12) {
        0..=3 => {
            // Those that were killed before come back: one at a time is down.
            (0..site.replicas.len()).for_each(|replica| site.run(replica));
            site.kill(replica);
            format!("replica {replica} is killed")
        }
        4 => {
            site.relay.cut_all();
            "all connections are cut".to_owned()
        }
        5 | 6 => {
            let bytes = random.below(60_000);
            site.relay.cut_after(i64::try_from(bytes).unwrap());
            format!("the connection is cut that carries byte {bytes}")
        }
        7 => {
            let milliseconds = random.below(400);
            site.relay.delay(milliseconds);
            format!("each piece takes {milliseconds} ms")
        }
        8 => {
            let milliseconds = 200 + random.below(1800);
            site.plane.stop_etcd(true);
            std::thread::sleep(Duration::from_millis(milliseconds));
            site.plane.stop_etcd(false);
            format!("etcd stops for {milliseconds} ms")
        }
        9 => {
            let seconds = random.pick(&[-STEP, -1, 1, STEP]);
            site.replicas[replica].clock.set(seconds);
            format!("the clock of replica {replica} is {seconds} s off")
        }
        10 => {
            let told = site.end_the_hour_of_the_token();
            format!("the hour of the path token ends: {told}")
        }
        _ => {
            let milliseconds = random.below(1500);
            HOOK_TAKES.store(milliseconds, SeqCst);
            format!("the other webhook takes {milliseconds} ms")
        }
    }
}

/// Ends all trouble.
pub fn end(site: &mut Site<'_>) {
    site.relay.calm();
    HOOK_TAKES.store(0, SeqCst);
    for replica in 0..site.replicas.len() {
        site.replicas[replica].clock.set(0);
        site.run(replica);
    }
    site.wait_until_called();
}
