//! `onChange: Report`: the API server answers as without rejob, and whoever asked, the cluster's
//! Events, the audit log and the metrics tell what Replace would have done.

use serde_json::{Value, json};

use support::manifest::{annotated, image, job};
use support::plane::{self, ControlPlane};
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place};

/// Without a policy that replaces, rejob's account here may not delete Jobs, nor list them.
const POLICIES: &str = "policies: { report: { onChange: Report } }";

const CHANGE: &str = "spec.template.spec.containers[app].image: app:1 -> app:2";

/// The Events of rejob about the Job, once there is one for each of these.
fn events(place: &Place, expected: &[&str]) -> Vec<Value> {
    let found = || -> Vec<Value> {
        let list = place.namespace.kubectl(&["get", "events", "-o", "json"]).ok().stdout;
        let list: Value = serde_json::from_str(&list).unwrap();
        let events = list["items"].as_array().unwrap().iter();
        events.filter(|event| event["source"]["component"] == "rejob").cloned().collect()
    };
    let is_there = |words: &&str| {
        found().iter().any(|event| event["message"].as_str().unwrap().contains(*words))
    };
    wait::until("the Events are there", || expected.iter().all(is_there).then_some(()));
    found()
}

#[test]
fn every_client_is_answered_as_without_rejob_and_told_what_would_happen() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for client in Client::ALL {
        let place = Place::new(rejob.namespace("report"));
        place.deploy(client, "app:1");
        place.namespace.finish_pods(JOB);
        let uid = place.uid();
        // A retry, too, gets the API server's own answer, and brings no further Event.
        for _ in 0..3 {
            let error = place.try_deploy(client, "app:2").expect_err("it is refused");
            assert!(error.contains("field is immutable"), "{client:?}: {error}");
        }
        assert_eq!((place.uid(), image(&place.job())), (uid.clone(), "app:1"), "{client:?}");
        let sentence = format!("job {JOB} would be replaced (onChange is Report)");
        let told = events(&place, &[&sentence]);
        assert_eq!(told.len(), 1, "{client:?}: {told:?}");
        assert_eq!(told[0]["reason"], "WouldReplace");
        assert_eq!(told[0]["involvedObject"]["uid"], uid.as_str());
        assert!(told[0]["message"].as_str().unwrap().contains(CHANGE), "{told:?}");
        let described = place.namespace.kubectl(&["describe", "job", JOB]).ok().stdout;
        assert!(described.contains(&sentence), "{described}");
        place.assert_ran(1);
    }
    wait::until("the log tells of it", || {
        let log = rejob.log();
        (log.contains("reported") && log.contains("would be replaced")).then_some(())
    });
}

#[test]
fn what_stands_against_a_replacement_is_told_and_a_wait_as_well() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let warned = |place: &Place, manifest: &Value, as_seen_by: &support::namespace::Namespace| {
        let uid = place.uid();
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        let said = as_seen_by.kubectl_with(&manifest.to_string(), &apply);
        assert!(said.stderr.contains("field is immutable"), "{}", said.stderr);
        assert_eq!(place.uid(), uid);
        said.stderr
    };
    let started = || {
        let place = Place::new(rejob.namespace("report"));
        place.deploy(Client::ServerSideApply, "app:1");
        place.namespace.started_pods(JOB);
        place
    };

    let place = started();
    place.namespace.ready_pods(JOB);
    let said = warned(&place, &job(JOB, "app:2"), &place.namespace);
    assert!(said.contains("would be replaced when it has finished"), "{said}");
    place.namespace.finish_pods(JOB);
    let said = warned(&place, &job(JOB, "app:2"), &place.namespace);
    assert!(said.contains("would be replaced (onChange is Report)"), "{said}");
    // One change, which is replaced in either case.
    assert_eq!(events(&place, &["when it has finished"]).len(), 1);

    let place = started();
    let verbs: &[&str] = &["get", "patch", "create"];
    let patcher = place.namespace.seen_with_rights(&plane, &[("batch", "jobs", verbs)]);
    let said = warned(&place, &job(JOB, "app:2"), &patcher);
    let joined = said.replace("\nWarning: ", " ");
    assert!(joined.contains("would not be replaced (onChange is Report): user"), "{said}");
    assert!(joined.contains("may not delete jobs"), "{said}");
    let told = events(&place, &["may not delete jobs"]);
    let annotations = &told[0]["metadata"]["annotations"];
    assert_eq!(annotations["rejob.dev/why-not"], "rights_denied");
    assert_eq!(annotations["rejob.dev/user"], patcher.user().name());
    assert_eq!(annotations["rejob.dev/policy"], "report");

    let place = started();
    let mut invalid = job(JOB, "app:2");
    invalid["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let said = warned(&place, &invalid, &place.namespace);
    assert!(said.contains("would not be replaced (onChange is Report)"), "{said}");
    events(&place, &["restartPolicy: Required value"]);

    let metrics = rejob.metrics();
    for why_not in ["", "running_wait", "rights_denied", "invalid_denied"] {
        let line = format!("rejob_would_replace_total{{policy=\"report\",why_not=\"{why_not}\"}}");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

#[test]
fn a_rerun_is_stored_and_told_and_runs_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let place = Place::new(rejob.namespace("report"));
    place.deploy(Client::Apply, "app:1");
    place.namespace.finish_pods(JOB);
    let uid = place.uid();
    let again = ["annotate", "job", JOB, "rejob.dev/rerun=2"];
    place.namespace.kubectl(&again).ok().warns("would be replaced (onChange is Report)");
    assert_eq!(place.uid(), uid);
    events(&place, &["rejob.dev/rerun asks for a new run"]);
    place.assert_ran(1);
}

#[test]
fn where_rejob_is_gone_nothing_is_refused_whatever_failure_policy_says() {
    let plane = ControlPlane::shared();
    let policies = "policies: { report: { onChange: Report }, replace: {} }";
    let mut rejob = Rejob::start(
        &plane,
        &Options { policies: Some(policies), failure_policy: "Fail", ..Options::default() },
    );
    let [reports, replaces] = ["report", "replace"].map(|policy| {
        let place = Place::new(rejob.namespace(policy));
        place.deploy(Client::Apply, "app:1");
        place.namespace.finish_pods(JOB);
        place
    });
    let again = ["annotate", "job", JOB, "rejob.dev/rerun=1"];
    reports.namespace.kubectl(&again).ok().warns("would be replaced (onChange is Report)");
    rejob.kill();
    let again = ["annotate", "--overwrite", "job", JOB, "rejob.dev/rerun=2"];
    reports.namespace.kubectl(&again).ok();
    let error = reports.try_deploy(Client::Apply, "app:2").expect_err("it is refused");
    assert!(error.contains("field is immutable"), "{error}");
    reports.assert_ran(1);
    replaces.namespace.kubectl(&again).warns("failed calling webhook \"rerun.rejob.dev\"");
}

#[test]
fn a_job_reports_by_its_annotation_where_the_policy_replaces() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let with = |image| annotated(job(JOB, image), "rejob.dev/on-change", "Report");
    place.send(Client::Apply, &with("app:1"));
    place.namespace.finish_pods(JOB);
    let uid = place.uid();
    let error = place.try_send(Client::Apply, &with("app:2")).expect_err("it is refused");
    assert!(error.contains("field is immutable"), "{error}");
    assert_eq!(place.uid(), uid);
    // The pilot goes on with the annotation's other value: that is what changes by it.
    place.send(Client::Apply, &annotated(job(JOB, "app:2"), "rejob.dev/on-change", "Replace"));
    assert_ne!(place.uid(), uid);
    place.assert_runs("app:2");
}

#[test]
fn the_audit_log_tells_it_for_a_dry_run_as_well() {
    let plane = ControlPlane::start(&plane::Options { audit: true, ..plane::Options::default() });
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let place = Place::new(rejob.namespace("report"));
    place.deploy(Client::Apply, "app:1");
    place.namespace.finish_pods(JOB);
    let uid = place.uid();
    for flags in [&["--dry-run=server"][..], &[]] {
        let apply = [&["apply", "-f", "-"], flags].concat();
        place.namespace.kubectl_with(&job(JOB, "app:2").to_string(), &apply).exited(1);
    }
    let namespace = place.namespace.name();
    let told = wait::until("the audit log has both", || {
        let log = plane.audit_log();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let reported: Vec<Value> = events
            .filter(|event| {
                event["objectRef"]["namespace"] == namespace
                    && event["annotations"]["report.rejob.dev/reason"] == "reported"
            })
            .collect();
        (reported.len() == 2).then_some(reported)
    });
    for event in told {
        assert_eq!(event["responseStatus"]["code"], 422, "{event}");
        assert_eq!(event["annotations"]["report.rejob.dev/changed"], CHANGE);
    }
    // Only the real one may have an effect, were it an Event.
    assert_eq!(events(&place, &["would be replaced"]).len(), 1);
    assert_eq!(place.uid(), uid);
}
