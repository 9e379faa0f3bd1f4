//! A client that reads, compares and writes never takes the dormant Job for what it wants: it finds
//! its own annotation as it was, writes again, and the new Job runs.

use serde_json::{Value, json};

use support::manifest::{self, annotated, annotation, image, labeled};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked, uid_of};

/// The annotation in which an operator keeps what it made the Job of.
const HASH: &str = "operator.example.com/spec-hash";

/// What an operator sends when it has read the Job.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// What it read, with the template and the hash laid over it: a typed client.
    Read,
    /// Its manifest, with the uid and the revision that it read: kapp.
    Manifest,
}

/// What a turn of an operator came to.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    UpToDate,
    Updated,
    Conflict,
}

/// An operator's Job of that version.
fn wanted(version: u32) -> Value {
    annotated(Place::manifest(&format!("app:{version}")), HASH, &version.to_string())
}

/// One turn: read, compare, write.
fn turn(place: &Place, body: Body, query: &str, wanted: &Value) -> Turn {
    let live = place.job();
    if annotation(&live, HASH) == annotation(wanted, HASH) {
        assert_ne!(live["spec"]["parallelism"], 0, "a dormant Job looks done: {live:#}");
        return Turn::UpToDate;
    }
    let sent = match body {
        Body::Read => {
            let mut sent = live.clone();
            sent["metadata"]["annotations"][HASH] = wanted["metadata"]["annotations"][HASH].clone();
            sent["spec"]["template"]["spec"] = wanted["spec"]["template"]["spec"].clone();
            sent
        }
        Body::Manifest => {
            let mut sent = wanted.clone();
            for field in ["uid", "resourceVersion"] {
                sent["metadata"][field] = live["metadata"][field].clone();
            }
            sent["spec"]["selector"] = live["spec"]["selector"].clone();
            sent["spec"]["template"]["metadata"] = live["spec"]["template"]["metadata"].clone();
            sent
        }
    };
    let path = format!("{}{query}", place.namespace.job_path(JOB));
    let Answer { status, body, .. } = place.namespace.user().put(&path, &sent);
    match status {
        200 => Turn::Updated,
        409 => Turn::Conflict,
        // A request that meets the dormant Job of another one is told to come again.
        _ => panic!("{status} {body}"),
    }
}

#[test]
fn an_operator_that_compares_its_own_annotation_gets_its_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    std::thread::scope(|scope| {
        for body in [Body::Read, Body::Manifest] {
            for query in ["", "?fieldManager=operator"] {
                let place = Place::new(rejob.namespace("replace"));
                scope.spawn(move || operate(&place, body, query));
            }
        }
    });
}

fn operate(place: &Place, body: Body, query: &str) {
    let what = format!("{body:?} {query}");
    let jobs = format!("{}{query}", place.namespace.jobs_path());
    place.namespace.user().post(&jobs, &wanted(1)).ok();
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    for version in 2..=4 {
        let mut turns = Vec::new();
        // The first PUT makes the dormant Job, the second one releases it; the Job controller writes
        // in between.
        wait::until("the operator is content", || {
            turns.push(turn(place, body, query, &wanted(version)));
            (turns.last() == Some(&Turn::UpToDate)).then_some(())
        });
        assert!(turns.contains(&Turn::Updated), "{what}: {turns:?}");
        let job = place.job();
        assert_ne!(uid_of(&job), old, "{what}");
        assert_eq!(image(&job), format!("app:{version}"), "{what}");
        place.assert_runs(&format!("app:{version}"));
        place.assert_ran(version as usize);
    }
}

/// rejob dies when it has made the dormant Job: what a client then reads is the old Job's, but for
/// what policies ask of a new one.
#[test]
fn a_dormant_job_carries_the_old_annotations_and_the_new_labels() {
    let plane = ControlPlane::shared();
    let mut rejob = Rejob::builtin(&plane);
    let clients = [
        Client::Put,
        Client::MergePatch,
        Client::StrategicMergePatch,
        Client::Apply,
        Client::Helm3,
    ];
    let queue = "example.com/queue";
    for client in clients {
        let place = Place::new(rejob.namespace("replace"));
        let first = labeled(wanted(1), queue, "a");
        let second = annotated(labeled(wanted(2), queue, "b"), "example.com/owner", "team");
        place.send(client, &first);
        place.assert_ran(1);
        let old = place.job();
        rejob.restart(&[("REJOB_FAIL_POINT", "after-create")]);
        place.try_send(client, &second).expect_err("rejob is dead");
        rejob.wait_until_dead();
        let dormant = place.job();
        assert_eq!(dormant["spec"]["parallelism"], 0, "{client:?}: {dormant:#}");
        assert_eq!(annotation(&dormant, HASH), Some("1"), "{client:?}");
        assert_eq!(annotation(&dormant, "example.com/owner"), Some("team"), "{client:?}");
        assert_eq!(dormant["metadata"]["labels"][queue], "b", "{client:?}");
        // Who compares what kubectl noted as JSON finds the old manifest, whatever stands before it.
        let noted = "kubectl.kubernetes.io/last-applied-configuration";
        let parsed = |job: &Value| annotation(job, noted).map(serde_json::from_str::<Value>);
        if client == Client::Apply {
            let applied = parsed(&dormant).unwrap().unwrap();
            assert_eq!(applied, parsed(&old).unwrap().unwrap());
        }
        rejob.restart(&[]);
        place.send(client, &second);
        let job = place.job();
        assert_unmarked(&job);
        assert_eq!(annotation(&job, HASH), Some("2"), "{client:?}");
        assert_eq!(job["metadata"]["labels"][queue], "b", "{client:?}");
        place.assert_runs("app:2");
        place.assert_ran(2);
    }
}

/// A controller's turn that comes after rejob has died: it reads, compares and finishes the work.
#[test]
fn an_operator_gets_its_job_though_rejob_died_when_it_had_made_it() {
    let plane = ControlPlane::shared();
    let mut rejob = Rejob::builtin(&plane);
    for body in [Body::Read, Body::Manifest] {
        let place = Place::new(rejob.namespace("replace"));
        place.namespace.user().post(&place.namespace.jobs_path(), &wanted(1)).ok();
        place.namespace.finish_pods(JOB);
        rejob.restart(&[("REJOB_FAIL_POINT", "after-create")]);
        let path = place.namespace.job_path(JOB);
        let mut sent = place.job();
        sent["metadata"]["annotations"][HASH] = json!("2");
        sent["spec"]["template"]["spec"] = wanted(2)["spec"]["template"]["spec"].clone();
        let answer = place.namespace.user().put(&path, &sent);
        assert_ne!(answer.status, 200, "{}", answer.body);
        rejob.wait_until_dead();
        rejob.restart(&[]);
        wait::until("the operator is content", || {
            (turn(&place, body, "", &wanted(2)) == Turn::UpToDate).then_some(())
        });
        assert_eq!(manifest::annotation(&place.job(), HASH), Some("2"));
        place.assert_runs("app:2");
        place.assert_ran(2);
    }
}
