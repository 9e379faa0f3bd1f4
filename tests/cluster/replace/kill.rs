//! rejob dies at a step of a replacement: the client's next identical command leads to the wanted
//! state, nothing runs twice, and what is left behind is cleaned up.
//!
//! A debug build ends itself as `kill -9` would at the step that `REJOB_FAIL_POINT` names. With
//! `failurePolicy: Fail` the client gets an error each time. With `Ignore` the API server goes on
//! without rejob; docs/design/limits.md says what that can come to, as measured here.

use serde_json::json;

use support::manifest::{self, annotation, image};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked};

/// What is left when rejob dies at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// The old Job, as it was.
    Untouched,
    /// No Job.
    Gone,
    /// The new Job, which does not start.
    Dormant,
}

/// A reaper that does not let a test wait.
pub const REAPER: [(&str, &str); 2] =
    [("REJOB_REAPER_INTERVAL", "1s"), ("REJOB_REAPER_GRACE", "2s")];

pub const FIRST: &str = "app:1";
pub const SECOND: &str = "app:2";

/// Every step of a client's replacement, in both of its turns: each effect, before and after, and
/// the answers. An apply's new Job is made by the API server, so its second turn is a creation.
fn steps(client: Client) -> Vec<(String, Left)> {
    let mut steps: Vec<_> = ["opt-in", "can-delete", "can-create", "dry-run-create"]
        .iter()
        .flat_map(|check| ["before", "after"].map(|side| format!("{side}-{check}")))
        // The answer to its own dry run, which comes back to it.
        .chain(["before-answer-own_request", "before-delete"].map(str::to_owned))
        .map(|step| (step, Left::Untouched))
        .collect();
    let rest: &[_] = if client.applies() {
        &[
            ("after-delete", Left::Gone),
            ("before-answer-replaced", Left::Gone),
            ("before-answer-created", Left::Gone),
        ]
    } else {
        &[
            ("after-delete", Left::Gone),
            ("before-create", Left::Gone),
            ("after-create", Left::Dormant),
            ("before-answer-replaced", Left::Dormant),
            ("before-answer-released", Left::Dormant),
        ]
    };
    steps.extend(rest.iter().map(|(step, left)| ((*step).to_owned(), *left)));
    steps
}

pub fn start<'p>(plane: &'p ControlPlane, failure_policy: &'static str) -> Rejob<'p> {
    Rejob::start(plane, &Options { failure_policy, ..Options::default() })
}

/// Deploys the first image, then the second one while rejob dies at that step; what the client
/// said. rejob is dead afterwards.
pub fn crash(rejob: &mut Rejob<'_>, client: Client, step: &str) -> (Place, Result<String, String>) {
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
pub fn assert_second_ran_once(place: &Place) {
    place.assert_runs(SECOND);
    place.assert_ran(2);
}

fn with_failure_policy_fail(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Fail");
    for (step, left) in steps(client) {
        let (place, said) = crash(&mut rejob, client, &step);
        let error = said.expect_err("the client gets an error");
        // The API server looks again before it reports that the webhook failed: a Job that is
        // deleted and not yet created again is what it then tells.
        let words = ["failed calling webhook", " not found"];
        assert!(words.iter().any(|words| error.contains(words)), "{client:?} {step}: {error}");
        assert_left(&place, left, &format!("{client:?} {step}"));
        rejob.restart(&[]);
        place.deploy(client, SECOND);
        assert_second_ran_once(&place);
        let uid = place.uid();
        place.deploy(client, SECOND);
        assert_eq!(place.uid(), uid, "{client:?} {step}: an unchanged deploy ran again");
        assert_second_ran_once(&place);
    }
}

#[track_caller]
fn assert_left(place: &Place, left: Left, when: &str) {
    let job = place.namespace.job(JOB);
    match left {
        Left::Gone => assert_eq!(job, None, "{when}"),
        Left::Untouched => {
            let job = job.unwrap_or_else(|| panic!("{when}: the Job is gone"));
            assert_eq!(image(&job), FIRST, "{when}");
            assert_unmarked(&job);
        }
        Left::Dormant => {
            let job = job.unwrap_or_else(|| panic!("{when}: there is no Job"));
            assert_eq!(job["metadata"]["labels"]["rejob.dev/dormant"], "true", "{when}");
            assert_eq!(job["spec"]["parallelism"], 0, "{when}");
        }
    }
}

/// What the API server makes of a request when rejob dies under it and it goes on without.
fn with_failure_policy_ignore(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Ignore");
    for (step, left) in steps(client) {
        let (place, said) = crash(&mut rejob, client, &step);
        let when = format!("{client:?} {step}");
        match left {
            // The API server's own refusal; the old Job is untouched.
            Left::Untouched => {
                let error = said.expect_err("the template cannot be changed");
                assert!(error.contains("field is immutable"), "{when}: {error}");
                assert_left(&place, left, &when);
            }
            // The API server creates the Job from the apply, without rejob; where it had read the
            // old Job from storage, not from its cache, it refuses instead, and the Job is gone.
            Left::Gone if client.applies() => match said {
                Ok(_) => {
                    let job = place.job();
                    assert_eq!(image(&job), SECOND, "{when}");
                    assert_eq!(annotation(&job, "rejob.dev/template-hash"), None, "{when}");
                    assert_second_ran_once(&place);
                }
                Err(error) => {
                    assert!(error.contains("field is immutable"), "{when}: {error}");
                    assert_ne!(step, "before-answer-created", "{when}: there is nothing to refuse");
                    assert_left(&place, left, &when);
                }
            },
            Left::Gone => {
                said.expect_err("the Job is gone");
                assert_left(&place, left, &when);
            }
            // Changes of a dormant Job fail closed. Where the API server had read the old Job from
            // storage, not from its cache, there is no second turn: it refuses the change of the
            // Job that it has seen.
            Left::Dormant => {
                let error = said.expect_err("the new Job does not run yet");
                let words = ["failed calling webhook", "field is immutable"];
                assert!(words.iter().any(|words| error.contains(words)), "{when}: {error}");
                assert_left(&place, left, &when);
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

/// Waits until the API server has taken notice that it is to call rejob no longer.
pub fn wait_until_not_called(place: &Place) {
    let dry = format!("{}?dryRun=All", place.namespace.jobs_path());
    wait::until("the API server calls rejob no longer", || {
        let answer = place.namespace.user().post(&dry, &manifest::job("probe", "a"));
        let hash = "rejob.dev/template-hash";
        (answer.status == 201 && annotation(&answer.body, hash).is_none()).then_some(())
    });
}

/// The namespace opts out while the Job is dormant: the same command starts it all the same.
fn no_label_any_more(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Fail");
    let (place, said) = crash(&mut rejob, client, "after-create");
    said.expect_err("the client gets an error");
    let namespace = format!("/api/v1/namespaces/{}", place.namespace.name());
    let unlabel = json!({ "metadata": { "labels": { "rejob.dev/policy": null } } });
    plane.admin().patch("merge", &namespace, &unlabel).ok();
    rejob.restart(&[]);
    wait_until_not_called(&place);
    place.deploy(client, SECOND);
    assert_second_ran_once(&place);
    // And from then on it is plain Kubernetes.
    let error = place.try_deploy(client, "app:3").expect_err("the template cannot be changed");
    assert!(error.contains("field is immutable"), "{client:?}: {error}");
}

#[test]
fn a_dormant_job_starts_though_its_namespace_has_opted_out() {
    [Client::Apply, Client::Put, Client::MergePatch].into_iter().for_each(no_label_any_more);
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
    [Client::Put, Client::MergePatch, Client::JsonPatch, Client::ForcedApply]
        .into_iter()
        .for_each(with_failure_policy_ignore);
}

/// Asks for a new run of the same Job: what the client said.
fn rerun(place: &Place, client: Client, value: &str) -> Result<String, String> {
    let annotated = manifest::annotated(Place::manifest(FIRST), "rejob.dev/rerun", value);
    let kubectl = match client {
        Client::MergePatch => {
            let value = format!("rejob.dev/rerun={value}");
            place.namespace.kubectl(&["annotate", "job", JOB, "--overwrite", &value])
        }
        Client::Apply => {
            place.namespace.kubectl_with(&annotated.to_string(), &["apply", "-f", "-"])
        }
        Client::ServerSideApply => place
            .namespace
            .kubectl_with(&annotated.to_string(), &["apply", "--server-side", "-f", "-"]),
        _ => unreachable!("{client:?} is not among them"),
    };
    if kubectl.code == 0 { Ok(kubectl.stdout) } else { Err(kubectl.stderr) }
}

/// A new run is asked for while rejob dies at each step, and while it is dead: under Ignore as well
/// nobody is told success about a value that is stored and runs nothing.
fn rerun_with_failure_policy_ignore(client: Client) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane, "Ignore");
    for (step, left) in steps(client) {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, FIRST);
        place.assert_runs(FIRST);
        rejob.restart(&[("REJOB_FAIL_POINT", &step)]);
        let said = rerun(&place, client, "1");
        rejob.wait_until_dead();
        let when = format!("{client:?} {step}");
        if left == Left::Gone && client.applies() && said.is_ok() {
            // The API server creates the Job from the apply, without rejob.
            place.assert_ran(2);
        } else {
            said.expect_err(&when);
            assert_left(&place, left, &when);
        }
        if left == Left::Untouched {
            assert_eq!(annotation(&place.job(), "rejob.dev/rerun"), None, "{when}");
            let error = rerun(&place, client, "1").expect_err("rejob is dead");
            let name = "failed calling webhook \"rerun.rejob.dev\"";
            assert!(error.contains(name), "{when}: {error}");
        }
        rejob.restart(&[]);
        if left == Left::Gone && client == Client::MergePatch {
            // An annotation makes no Job, a deploy does.
            let error = rerun(&place, client, "1").expect_err("there is no Job");
            assert!(error.contains("not found"), "{when}: {error}");
            place.deploy(client, FIRST);
            place.assert_ran(2);
            continue;
        }
        rerun(&place, client, "1").unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(annotation(&place.job(), "rejob.dev/rerun"), Some("1"), "{when}");
        place.assert_runs(FIRST);
        place.assert_ran(2);
    }
}

#[test]
fn a_rerun_with_failure_policy_ignore() {
    [Client::MergePatch, Client::Apply, Client::ServerSideApply]
        .into_iter()
        .for_each(rerun_with_failure_policy_ignore);
}

#[test]
fn a_dormant_job_that_nobody_comes_back_for_is_reaped() {
    [Client::Apply, Client::Helm3, Client::Put].into_iter().for_each(left_dormant);
}
