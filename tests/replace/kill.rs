//! rejob dies at a step of a replacement: the client's next identical command leads to the wanted
//! state, nothing runs twice, and what is left behind is cleaned up.
//!
//! A debug build ends itself as `kill -9` would at the step that `REJOB_FAIL_POINT` names. With
//! `failurePolicy: Fail` the client gets an error each time. With `Ignore` the API server goes on
//! without rejob; docs/design/limits.md says what that can come to, as measured here.

use crate::support::manifest::{annotation, image};
use crate::support::plane::ControlPlane;
use crate::support::rejob::{Options, Rejob};
use crate::support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked};

/// The steps of a replacement, each with whether the deletion has happened by then.
const STEPS: [(&str, bool); 5] = [
    ("before-dry-run-create", false),
    ("before-delete", false),
    ("after-delete", true),
    ("before-create", true),
    ("after-create", true),
];

/// A reaper that does not let a test wait.
const REAPER: [(&str, &str); 2] =
    [("REJOB_REAPER_INTERVAL_SECONDS", "1"), ("REJOB_REAPER_GRACE_SECONDS", "2")];

const FIRST: &str = "app:1";
const SECOND: &str = "app:2";

/// The steps that a client's replacement has: an apply's new Job is made by the API server.
fn steps(client: Client) -> impl Iterator<Item = (&'static str, bool)> {
    STEPS.into_iter().filter(move |(step, _)| {
        !(client.applies() && step.ends_with("-create") && !step.contains("dry-run"))
    })
}

fn start<'p>(plane: &'p ControlPlane, failure_policy: &'static str) -> Rejob<'p> {
    Rejob::start(plane, &Options { failure_policy, ..Options::default() })
}

/// Deploys the first image, then the second one while rejob dies at that step; what the client
/// said. rejob is dead afterwards.
fn crash(rejob: &mut Rejob<'_>, client: Client, step: &str) -> (Place, Result<String, String>) {
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(client, FIRST);
    place.assert_runs(FIRST);
    rejob.restart(&[("REJOB_FAIL_POINT", step)]);
    let said = place.try_deploy(client, SECOND);
    rejob.wait_until_dead();
    (place, said)
}

/// The first command's run, and exactly one of the second.
#[track_caller]
fn assert_second_ran_once(place: &Place) {
    place.assert_runs(SECOND);
    place.assert_ran(2);
}

fn with_failure_policy_fail(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Fail");
    for (step, deleted) in steps(client) {
        let (place, said) = crash(&mut rejob, client, step);
        let error = said.expect_err("the client gets an error");
        // The API server looks again before it reports that the webhook failed: a Job that is
        // deleted and not yet created again is what it then tells.
        let words = ["failed calling webhook", " not found"];
        assert!(words.iter().any(|words| error.contains(words)), "{client:?} {step}: {error}");
        let left = place.namespace.job(JOB);
        match &left {
            None => assert!(deleted, "{client:?} {step}: the Job is gone"),
            Some(job) if !deleted => {
                assert_eq!(image(job), FIRST, "{client:?} {step}");
                assert_unmarked(job);
            }
            Some(job) => {
                assert_eq!(step, "after-create", "{client:?}: {job:#}");
                assert_eq!(job["spec"]["parallelism"], 0);
            }
        }
        rejob.restart(&[]);
        place.deploy(client, SECOND);
        assert_second_ran_once(&place);
        let uid = place.uid();
        place.deploy(client, SECOND);
        assert_eq!(place.uid(), uid, "{client:?} {step}: an unchanged deploy ran again");
        assert_second_ran_once(&place);
    }
}

/// What the API server makes of a request when rejob dies under it and it goes on without.
fn with_failure_policy_ignore(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Ignore");
    for (step, deleted) in steps(client) {
        let (place, said) = crash(&mut rejob, client, step);
        let left = place.namespace.job(JOB);
        match (deleted, step) {
            // The API server's own refusal; the old Job is untouched.
            (false, _) => {
                let error = said.expect_err("the template cannot be changed");
                assert!(error.contains("field is immutable"), "{client:?} {step}: {error}");
                assert_eq!(image(&left.expect("the old Job")), FIRST);
            }
            // The API server creates the Job from the apply, without rejob.
            (true, "after-delete") if client.applies() => {
                said.expect("the API server's second turn creates the Job");
                let job = left.expect("the new Job");
                assert_eq!(image(&job), SECOND);
                assert_eq!(annotation(&job, "rejob.dev/template-hash"), None);
                assert_second_ran_once(&place);
            }
            // The client is told success, and the Job stays dormant until the next deploy. Only
            // kubectl apply then finds nothing to send: until the Job is reaped. Where the API
            // server had read the old Job from storage, not from its cache, there is no second
            // turn: it refuses the change of the Job that it has seen.
            (true, "after-create") => {
                if let Err(error) = said {
                    assert!(error.contains("field is immutable"), "{client:?} {step}: {error}");
                }
                assert_eq!(left.expect("the dormant Job")["spec"]["parallelism"], 0);
                rejob.restart(&[]);
                place.deploy(client, SECOND);
                let asleep = place.job()["spec"]["parallelism"] == 0;
                assert_eq!(asleep, client == Client::Apply, "{client:?}");
                if asleep {
                    rejob.restart(&REAPER);
                    wait::until("the dormant Job is reaped", || {
                        place.namespace.job(JOB).is_none().then_some(())
                    });
                }
            }
            (true, _) => {
                said.expect_err("the Job is gone");
                assert!(left.is_none(), "{client:?} {step}: {left:?}");
            }
        }
        rejob.restart(&[]);
        place.deploy(client, SECOND);
        assert_second_ran_once(&place);
    }
}

/// Nobody comes back for a dormant Job: it never starts a Pod, it goes, and the next deploy of the
/// same is a first one.
fn left_dormant(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Fail");
    let (place, said) = crash(&mut rejob, client, "after-create");
    said.expect_err("the client gets an error");
    assert_eq!(place.job()["metadata"]["labels"]["rejob.dev/dormant"], "true");
    rejob.restart(&REAPER);
    wait::until("the dormant Job is reaped", || place.namespace.job(JOB).is_none().then_some(()));
    place.assert_ran(1);
    wait::until("the metric counts it", || {
        rejob.metrics().contains("rejob_dormant_jobs_reaped_total 1").then_some(())
    });
    place.deploy(client, SECOND);
    assert_second_ran_once(&place);
}

#[test]
fn kubectl_apply_with_failure_policy_fail() {
    with_failure_policy_fail(Client::Apply);
}

#[test]
fn kubectl_apply_with_failure_policy_ignore() {
    with_failure_policy_ignore(Client::Apply);
}

#[test]
fn kubectl_apply_server_side_with_failure_policy_fail() {
    with_failure_policy_fail(Client::ServerSideApply);
}

#[test]
fn kubectl_apply_server_side_with_failure_policy_ignore() {
    with_failure_policy_ignore(Client::ServerSideApply);
}

#[test]
fn helm_3_with_failure_policy_fail() {
    with_failure_policy_fail(Client::Helm3);
}

#[test]
fn helm_3_with_failure_policy_ignore() {
    with_failure_policy_ignore(Client::Helm3);
}

#[test]
fn helm_4_with_failure_policy_fail() {
    with_failure_policy_fail(Client::Helm4);
}

#[test]
fn helm_4_with_failure_policy_ignore() {
    with_failure_policy_ignore(Client::Helm4);
}

#[test]
fn raw_requests_with_failure_policy_fail() {
    [Client::Put, Client::MergePatch, Client::JsonPatch, Client::ForcedApply]
        .into_iter()
        .for_each(with_failure_policy_fail);
}

#[test]
fn raw_requests_with_failure_policy_ignore() {
    [Client::MergePatch, Client::JsonPatch].into_iter().for_each(with_failure_policy_ignore);
}

/// rejob is killed and started again while a client deploys one change after the other, each until
/// it succeeds: a success is one, and no change runs twice.
#[test]
fn killed_again_and_again_while_a_client_deploys() {
    const DEPLOYS: usize = 24;
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Fail");
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
        // Where it is hit follows from how much it has logged by then: a replacement logs 10 kB.
        let mut kills = 0_u64;
        while !deployer.is_finished() {
            let until = logged() + kills * 7919 % 24_000;
            while logged() < until && !deployer.is_finished() {
                std::thread::yield_now();
            }
            rejob.restart(&[]);
            kills += 1;
        }
        deployer.join().unwrap();
        println!("killed {kills} times");
    });
    place.assert_runs(&format!("app:{DEPLOYS}"));
    let runs = place.runs();
    assert!(runs <= DEPLOYS + 1, "{runs} runs of {DEPLOYS} changes");
}

#[test]
fn a_dormant_job_that_nobody_comes_back_for_is_reaped() {
    [Client::Apply, Client::Helm3, Client::Put].into_iter().for_each(left_dormant);
}
