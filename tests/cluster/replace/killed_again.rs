//! rejob is killed and started again while a client deploys one change after the other.

use support::manifest::image;
use support::plane::ControlPlane;
use support::wait;

use super::deploy::{Client, Place, assert_unmarked};
use super::kill::{REAPER, start};

/// Each change is deployed until the client is told success: a success is one, no change runs twice,
/// and a deploy with rejob at work comes through.
fn killed_again_and_again(failure_policy: &'static str) {
    const DEPLOYS: usize = 24;
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, failure_policy);
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(Client::Put, "app:0");
    let log = rejob.log_file().to_owned();
    let logged = || std::fs::metadata(&log).unwrap().len();
    std::thread::scope(|scope| {
        let deployer = scope.spawn(|| {
            let clients = [Client::Apply, Client::MergePatch, Client::ForcedApply, Client::Put];
            for n in 1..=DEPLOYS {
                let (client, wanted) = (clients[n % clients.len()], format!("app:{n}"));
                let mut last = String::new();
                let done = wait::poll(wait::DEADLINE, || {
                    place.try_deploy(client, &wanted).map_err(|error| last = error).ok()
                });
                assert!(done.is_some(), "{client:?} does not get through: {last}");
                let job = place.job();
                assert_eq!(image(&job), wanted, "{client:?}");
                assert_eq!(job["spec"]["parallelism"], 1, "{client:?}: {job:#}");
                assert_unmarked(&job);
            }
        });
        // A dormant Job that was left keeps other writers away until it is reaped.
        // Where it is hit follows from how much it has logged by then: a replacement logs 10 kB.
        let mut kills = 0_u64;
        while !deployer.is_finished() {
            let until = logged() + kills * 7919 % 24_000;
            while logged() < until && !deployer.is_finished() {
                std::thread::yield_now();
            }
            rejob.restart(&REAPER);
            kills += 1;
        }
        deployer.join().unwrap();
        assert!(kills >= 5, "killed only {kills} times");
    });
    place.deploy(Client::MergePatch, "app:last");
    place.assert_runs("app:last");
    let runs = place.runs();
    assert!(runs <= DEPLOYS + 2, "{runs} runs of {} changes", DEPLOYS + 1);
}

#[test]
fn killed_again_and_again_with_failure_policy_fail() {
    killed_again_and_again("Fail");
}

#[test]
fn killed_again_and_again_with_failure_policy_ignore() {
    killed_again_and_again("Ignore");
}
