//! Requests that say what to do, not what is to be, and what comes of them in the second turn.

use serde_json::{Value, json};

use support::binaries::Binaries;
use support::manifest::{image, job};
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;

use super::deploy::{Client, JOB, Place};

const CONTAINER: &str = "/spec/template/spec/containers/0";

/// A place with the Job, started.
fn deployed(rejob: &Rejob<'_>) -> Place {
    let place = Place::new(rejob.namespace("replace"));
    let mut object = job(JOB, "app:1");
    object["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["one"]);
    object["spec"]["backoffLimit"] = json!(0);
    place.namespace.create_job(&object).ok();
    place.namespace.started_pods(JOB);
    place
}

fn send(place: &Place, kind: &str, change: &Value) -> Answer {
    let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
    place.namespace.user().patch(kind, &path, change)
}

/// How many Jobs rejob has replaced.
fn replaced(rejob: &Rejob<'_>) -> u32 {
    rejob
        .metrics()
        .lines()
        .filter(|line| line.starts_with("rejob_replacements_total{"))
        .filter(|line| line.contains("result=\"replaced\""))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok())
        .sum()
}

#[test]
fn a_json_patch_that_adds_to_a_list_ends_after_five_turns_and_is_told_why() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = deployed(&rejob);
    let add = json!([{ "op": "add", "path": format!("{CONTAINER}/args/-"), "value": "more" }]);
    for sent in 1..=2 {
        let answer = send(&place, "json", &add);
        assert_eq!(answer.status, 403, "{}", answer.body);
        for words in ["job nightly was replaced 5 times", "JSON Patch that adds to a list"] {
            assert!(answer.message().contains(words), "{}", answer.message());
        }
        assert_eq!(replaced(&rejob), 5 * sent);
        assert_eq!(place.job()["spec"]["parallelism"], 0);
    }
    // What says what is to be goes through at once.
    place.deploy(Client::JsonPatch, "app:2");
    place.assert_runs("app:2");
    place.assert_ran(2);
}

#[test]
fn a_json_patch_that_tests_the_old_value_fails_and_one_that_replaces_succeeds() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = deployed(&rejob);
    let path = format!("{CONTAINER}/image");
    let test = json!([
        { "op": "test", "path": path, "value": "app:1" },
        { "op": "replace", "path": path, "value": "app:2" },
    ]);
    let answer = send(&place, "json", &test);
    assert_eq!(answer.status, 422, "{}", answer.body);
    place.deploy(Client::JsonPatch, "app:2");
    place.assert_runs("app:2");
    place.assert_ran(2);
}

#[test]
fn a_patch_that_names_the_uid_goes_through() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for kind in ["merge", "strategic-merge"] {
        let place = deployed(&rejob);
        let uid = place.uid();
        let template = json!({ "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "app", "image": "app:2" }],
        }});
        let mut change = json!({ "metadata": { "uid": uid }, "spec": { "template": template } });
        send(&place, kind, &change).ok();
        assert_ne!(place.uid(), uid);
        place.assert_runs("app:2");
        place.assert_ran(2);
        // Another Job's uid is refused, and nothing happens.
        let uid = place.uid();
        change["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:3");
        let answer = send(&place, kind, &change);
        assert!([409, 422].contains(&answer.status), "{}", answer.body);
        assert_eq!((place.uid().as_str(), image(&place.job())), (uid.as_str(), "app:2"));
    }
}

/// kubectl's own doing: without server-side apply it notes the uid before its PATCH.
#[test]
fn pruning_by_an_apply_set_keeps_the_new_job_and_by_labels_does_not() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let manifest = |image: &str| {
        let mut object = job(JOB, image);
        object["metadata"]["labels"]["set"] = json!("a");
        object.to_string()
    };
    let apply_set: &[&str] =
        &["--server-side", "--applyset=secrets/set", "--prune", "-f", "-", "--force-conflicts"];
    let labels: &[&str] = &["--prune", "-l", "set=a", "--prune-allowlist=batch/v1/Job", "-f", "-"];
    for (args, kept) in [(apply_set, true), (labels, false)] {
        let place = Place::new(rejob.namespace("replace"));
        let apply = |image: &str| {
            let text = manifest(image);
            let mut kubectl = place.namespace.user().command(&Binaries::get().kubectl);
            kubectl.env("KUBECTL_APPLYSET", "true").arg("apply").args(args);
            Output::of(kubectl.args(["--namespace", place.namespace.name()]), &text).ok()
        };
        apply("app:1");
        place.namespace.started_pods(JOB);
        let uid = place.uid();
        apply("app:2");
        let job = place.namespace.job(JOB);
        let living = job.filter(|job| job["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(living.is_some(), kept, "{args:?}");
        if kept {
            assert_ne!(place.uid(), uid);
        } else {
            apply("app:2");
        }
        place.assert_runs("app:2");
    }
}
