//! `kubectl rejob rerun`.

use std::sync::mpsc;

use serde_json::{Value, json};

use super::kubelet;
use super::run::rejob;
use support::kubelet::{State, status};
use support::manifest::{annotated, annotation, job};
use support::namespace::Namespace;
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

const RERUN: &str = "rejob.dev/rerun";

fn stored(namespace: &Namespace) -> Value {
    namespace.job("nightly").expect("the Job exists")
}

fn uid(namespace: &Namespace) -> Value {
    stored(namespace)["metadata"]["uid"].clone()
}

/// A finished Job.
fn finished(namespace: &Namespace) -> Value {
    namespace.create_job(&job("nightly", "app:1")).ok();
    namespace.finish_pods("nightly");
    uid(namespace)
}

/// Runs the command while `meanwhile` happens.
fn beside(
    plane: &ControlPlane,
    namespace: &Namespace,
    args: &[&str],
    meanwhile: impl FnOnce(),
) -> Output {
    std::thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        scope.spawn(move || sender.send(rejob(plane, namespace, args)));
        meanwhile();
        ended.recv_timeout(wait::DEADLINE).expect("the command ends")
    })
}

/// Waits until the Job has another uid, and is no longer dormant.
fn until_replaced(namespace: &Namespace, old: &Value) {
    wait::until("the Job is replaced", || {
        let job = namespace.job("nightly")?;
        let is_released = job["metadata"]["labels"]["rejob.dev/dormant"].is_null();
        (is_released && job["metadata"]["uid"] != *old).then_some(())
    });
}

#[test]
fn a_rerun_is_waited_for_and_its_end_is_the_exit_code() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    let first = finished(&namespace);
    let output = rejob(&plane, &namespace, &["rerun", "nightly"]).ok();
    assert_eq!(output.line(), "job.batch/nightly runs again");
    output.warns("Warning: job nightly would be replaced");
    let second = uid(&namespace);
    assert_ne!(first, second);
    namespace.finish_pods("nightly");

    let output = beside(&plane, &namespace, &["rerun", "job/nightly", "--wait"], || {
        until_replaced(&namespace, &second);
        namespace.finish_pods("nightly");
    });
    output.clone().ok().warns("Complete in ");
    output.warns(", 1/1 done");

    let third = uid(&namespace);
    let output = beside(&plane, &namespace, &["rerun", "nightly", "--wait"], || {
        until_replaced(&namespace, &third);
        let limit = json!({ "spec": { "backoffLimit": 0 } });
        namespace.user().patch("merge", &namespace.job_path("nightly"), &limit).ok();
        namespace.fail_pods("nightly");
    });
    output.exited(1).warns("rejob: job nightly failed: BackoffLimitExceeded");
}

#[test]
fn a_run_that_works_is_waited_for_as_the_policy_says() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    let nightly = annotated(job("nightly", "app:1"), "rejob.dev/wait-seconds", "30");
    namespace.create_job(&nightly).ok();
    namespace.ready_pods("nightly");
    let old = uid(&namespace);
    let output = beside(&plane, &namespace, &["rerun", "nightly"], || {
        // The first answer is 429: rejob's log says so.
        wait::until("rejob asks to wait", || server.log().contains("running_wait").then_some(()));
        namespace.finish_pods("nightly");
    });
    output.ok().warns("job nightly is still running");
    assert_ne!(old, uid(&namespace));
}

#[test]
fn nothing_is_written_where_nothing_would_run() {
    let plane = ControlPlane::shared();
    let server = Rejob::with_policies(
        &plane,
        "policies:\n  keep: { onChange: Keep }\n  report: { onChange: Report }\n  replace: {}\n",
    );
    let missing = rejob(&plane, &server.namespace("replace"), &["rerun", "nightly"]).exited(1);
    missing.warns("rejob: there is no job nightly in the namespace replace-");

    let plain = server.unlabeled_namespace();
    let old = finished(&plain);
    let refused = rejob(&plane, &plain, &["rerun", "nightly"]).exited(1);
    refused.warns(&format!(
        "rejob: nothing would run job nightly again: namespace {0} does not opt in: kubectl label \
         namespace {0} rejob.dev/policy=replace",
        plain.name()
    ));
    assert_eq!((annotation(&stored(&plain), RERUN), uid(&plain)), (None, old));

    let does_nothing = "job nightly: rejob.dev/rerun does nothing, onChange is Keep";
    let keep = server.namespace("keep");
    finished(&keep);
    let refused = rejob(&plane, &keep, &["rerun", "nightly"]).exited(1);
    refused.warns(&format!("again: {does_nothing}"));
    assert_eq!(annotation(&stored(&keep), RERUN), None);

    let reports = server.namespace("report");
    finished(&reports);
    let refused = rejob(&plane, &reports, &["rerun", "nightly"]).exited(1);
    refused.warns("again: its onChange is Report, which reports what would be replaced");
    assert_eq!(annotation(&stored(&reports), RERUN), None);

    let own = server.namespace("replace");
    own.create_job(&annotated(job("nightly", "app:1"), "rejob.dev/on-change", "Keep")).ok();
    let refused = rejob(&plane, &own, &["rerun", "jobs.batch/nightly"]).exited(1);
    refused.warns(&format!("again: {does_nothing}"));
    assert_eq!(annotation(&stored(&own), RERUN), None);

    let unserved = server.namespace("other");
    finished(&unserved);
    let refused = rejob(&plane, &unserved, &["rerun", "nightly"]).exited(1);
    refused.warns("again: no rejob serves the policy other of the namespace other-");

    let skipped = server.namespace("replace");
    skipped.create_job(&annotated(job("nightly", "app:1"), "rejob.dev/skip", "true")).ok();
    let refused = rejob(&plane, &skipped, &["rerun", "nightly"]).exited(1);
    refused.warns("rejob.dev/skip asks to leave the Job alone");
    assert_eq!(annotation(&stored(&skipped), RERUN), None);
}

#[test]
fn whoever_may_not_delete_jobs_is_told_so() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    let old = finished(&namespace);
    let reader = namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get"])]);
    rejob(&plane, &reader, &["rerun", "nightly"]).exited(1).warns("cannot patch resource \"jobs\"");
    let patcher = namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "patch"])]);
    rejob(&plane, &patcher, &["rerun", "nightly"]).exited(1).warns("may not delete");
    assert_eq!(uid(&namespace), old);
}

#[test]
fn logs_are_printed_while_the_run_is_waited_for() {
    let plane = ControlPlane::shared();
    kubelet::node(&plane, "first line\nlast line\n");
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    let old = finished(&namespace);
    let output = beside(&plane, &namespace, &["rerun", "nightly", "--logs"], || {
        until_replaced(&namespace, &old);
        let pod = namespace.started_pods("nightly").remove(0);
        namespace.bind(&pod);
        namespace.set_status(&pod, &status(&pod, "Succeeded", &[("app", State::Ended(0))]));
        namespace.finish_pods("nightly");
    });
    let output = output.ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert_eq!(lines[0], "job.batch/nightly runs again");
    for (line, text) in lines[1..].iter().zip(["first line", "last line"]) {
        assert!(
            line.starts_with("[nightly-") && line.ends_with(&format!(" app] {text}")),
            "{line}"
        );
    }
}

#[test]
fn a_run_that_is_gone_before_its_end_is_an_error() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    finished(&namespace);
    let replaced_again = || {
        let path = namespace.job_path("nightly");
        let again = json!({ "metadata": { "annotations": { RERUN: "again" } } });
        namespace.user().patch("merge", &path, &again).ok();
    };
    let deleted = || {
        let background = json!({ "propagationPolicy": "Background" });
        namespace.user().delete(&namespace.job_path("nightly"), &background).ok();
    };
    for meanwhile in [&replaced_again as &dyn Fn(), &deleted] {
        let old = uid(&namespace);
        let output = beside(&plane, &namespace, &["rerun", "nightly", "--wait"], || {
            until_replaced(&namespace, &old);
            meanwhile();
        });
        output.exited(1).warns("the run is gone before its end was seen");
    }
}
