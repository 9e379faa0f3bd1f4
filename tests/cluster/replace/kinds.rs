//! Jobs that are not the plain one: Indexed, suspended, with a selector of their own; and requests
//! that carry a uid
//! or a revision.

use serde_json::{Value, json};

use support::binaries::Binaries;
use support::manifest::{image, job};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{JOB, Place};

fn place(rejob: &Rejob<'_>, object: &Value) -> Place {
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(object).ok();
    place
}

fn patch(place: &Place, spec: &Value) -> Value {
    send(place, spec).ok()
}

fn send(place: &Place, spec: &Value) -> Answer {
    let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
    place.namespace.user().patch("strategic-merge", &path, &json!({ "spec": spec }))
}

fn image_change(image: &str) -> Value {
    json!({ "template": { "spec": { "containers": [{ "name": "app", "image": image }] } } })
}

#[test]
fn an_elastic_indexed_job_is_scaled_by_the_api_server_and_replaced_otherwise() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let mut indexed = job(JOB, "app:1");
    indexed["spec"]["completionMode"] = json!("Indexed");
    indexed["spec"]["completions"] = json!(2);
    indexed["spec"]["parallelism"] = json!(2);
    let place = place(&rejob, &indexed);
    place.namespace.started_pods(JOB);
    let uid = place.uid();
    patch(&place, &json!({ "completions": 3, "parallelism": 3 }));
    assert_eq!((place.uid(), &place.job()["spec"]["completions"]), (uid.clone(), &json!(3)));
    patch(&place, &json!({ "completions": 4 }));
    let new = place.job();
    assert_ne!(place.uid(), uid);
    let spec = &new["spec"];
    assert_eq!((&spec["completions"], &spec["parallelism"]), (&json!(4), &json!(3)));
    super::deploy::assert_unmarked(&new);
    // Both at once: the image makes it a replacement.
    let uid = place.uid();
    let mut both = image_change("app:2");
    both["completions"] = json!(2);
    both["parallelism"] = json!(2);
    patch(&place, &both);
    let new = place.job();
    assert_ne!(place.uid(), uid);
    let spec = &new["spec"];
    assert_eq!((&spec["completions"], &spec["parallelism"]), (&json!(2), &json!(2)));
    assert_eq!(image(&new), "app:2");
}

#[test]
fn a_gangs_minimum_is_changed_by_the_api_server() {
    if Binaries::get().minor < 37 {
        return; // Jobs have no `scheduling` yet.
    }
    let plane = ControlPlane::start(&Options {
        feature_gates: vec!["GenericWorkload=true", "WorkloadWithJob=true"],
        runtime_config: vec!["scheduling.k8s.io/v1beta1=true"],
        ..Options::default()
    });
    let rejob = Rejob::builtin(&plane);
    let mut gang = job(JOB, "app:1");
    gang["spec"]["parallelism"] = json!(3);
    gang["spec"]["completions"] = json!(3);
    gang["spec"]["scheduling"] = json!({ "schedulingPolicy": { "gang": { "minCount": 1 } } });
    let place = place(&rejob, &gang);
    let uid = place.uid();
    let least = |count: Value| json!({ "scheduling": { "schedulingPolicy": { "gang": { "minCount": count } } } });
    for count in [json!(2), json!(3), Value::Null, json!(1)] {
        patch(&place, &least(count.clone()));
        let stored = &place.job()["spec"]["scheduling"]["schedulingPolicy"]["gang"];
        assert_eq!((&stored["minCount"], place.uid()), (&count, uid.clone()));
    }
    // Asleep it would have fewer Pods than its minimum, which the API server refuses.
    let answer = send(&place, &image_change("app:2"));
    assert_eq!((answer.status, place.uid()), (403, uid.clone()), "{}", answer.body);
    assert!(answer.message().contains("minCount"), "{}", answer.message());
    // An apply's new Job is made by the API server, awake.
    gang["spec"]["template"] = job(JOB, "app:2")["spec"]["template"].clone();
    let path = format!("{}?fieldManager=test&force=true", place.namespace.job_path(JOB));
    place.namespace.user().apply(&path, &gang).ok();
    let new = place.job();
    assert_ne!(place.uid(), uid);
    assert_eq!(new["spec"]["scheduling"]["schedulingPolicy"]["gang"]["minCount"], 1);
    assert_eq!(image(&new), "app:2");
    super::deploy::assert_unmarked(&new);
    // Another policy is a replacement.
    let uid = place.uid();
    let basic = json!({ "schedulingPolicy": { "gang": null, "basic": {} } });
    patch(&place, &json!({ "scheduling": basic }));
    let new = place.job();
    assert_ne!(place.uid(), uid);
    assert_eq!(new["spec"]["scheduling"]["schedulingPolicy"], json!({ "basic": {} }));
}

#[test]
fn a_job_with_a_selector_of_its_own_keeps_it() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let mut manual = job(JOB, "app:1");
    manual["spec"]["manualSelector"] = json!(true);
    manual["spec"]["selector"] = json!({ "matchLabels": { "run": "one" } });
    manual["spec"]["template"]["metadata"] = json!({ "labels": { "run": "one" } });
    for put in [false, true] {
        let place = place(&rejob, &manual);
        let uid = place.uid();
        if put {
            let mut changed = manual.clone();
            changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
            place.namespace.user().put(&place.namespace.job_path(JOB), &changed).ok();
        } else {
            patch(&place, &image_change("app:2"));
        }
        let new = place.job();
        assert_ne!(place.uid(), uid);
        assert_eq!(image(&new), "app:2");
        assert_eq!(new["spec"]["selector"], json!({ "matchLabels": { "run": "one" } }));
        assert_eq!(new["spec"]["parallelism"], 1);
        super::deploy::assert_unmarked(&new);
    }
}

#[test]
fn a_suspended_job_takes_scheduling_directives_and_stays_suspended_when_replaced() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let mut suspended = job(JOB, "app:1");
    suspended["spec"]["suspend"] = json!(true);
    let place = place(&rejob, &suspended);
    let uid = place.uid();
    let directive = json!({ "template": { "spec": { "nodeSelector": { "zone": "a" } } } });
    patch(&place, &directive);
    let job = place.job();
    assert_eq!(place.uid(), uid);
    assert_eq!(job["spec"]["template"]["spec"]["nodeSelector"]["zone"], "a");
    patch(&place, &image_change("app:2"));
    let new = place.job();
    assert_ne!(place.uid(), uid);
    assert_eq!((image(&new), &new["spec"]["suspend"]), ("app:2", &json!(true)));
    assert_eq!(new["spec"]["parallelism"], 1);
    assert_eq!(place.runs(), 0);
    patch(&place, &json!({ "suspend": false }));
    place.assert_runs("app:2");
    place.assert_ran(1);
}

/// A person who does so by kubectl is no queue. From 1.36 on resources may change as well.
#[test]
fn a_suspended_job_that_is_resumed_with_directives_keeps_them_when_replaced() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let mut suspended = job(JOB, "app:1");
    suspended["spec"]["suspend"] = json!(true);
    let directives = json!({ "nodeSelector": { "zone": "a" } });
    let mut resources = directives.clone();
    resources["containers"] = json!([{ "name": "app", "resources": { "limits": { "cpu": "2" } } }]);
    for pods in [Some(directives), Some(resources).filter(|_| Binaries::get().minor >= 36)] {
        let Some(pods) = pods else { continue };
        let place = place(&rejob, &suspended);
        let uid = place.uid();
        let resumed = json!({ "spec": { "suspend": false, "template": { "spec": pods } } });
        let path = format!("{}?fieldManager=kubectl-patch", place.namespace.job_path(JOB));
        place.namespace.user().patch("strategic-merge", &path, &resumed).ok();
        assert_eq!(place.uid(), uid);
        place.namespace.finish_pods(JOB);
        patch(&place, &image_change("app:2"));
        assert_ne!(place.uid(), uid);
        place.assert_runs("app:2");
        let pods = &place.job()["spec"]["template"]["spec"];
        assert_eq!(pods["nodeSelector"]["zone"], "a", "{pods}");
    }
}

#[test]
fn a_put_with_a_uid_gets_409_and_succeeds_when_read_and_sent_again() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = place(&rejob, &job(JOB, "app:1"));
    // From then on nobody else writes it: the resourceVersion that is sent back is not stale.
    place.namespace.finish_pods(JOB);
    let send = || {
        let mut object = place.job();
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
        let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
        place.namespace.user().put(&path, &object)
    };
    let answer = send();
    assert_eq!(answer.status, 409, "{}", answer.body);
    // Another write of the Job controller in between is a 409 as any other.
    wait::until("it succeeds when sent again", || match send() {
        answer if answer.status == 409 => None,
        answer => Some(answer.ok()),
    });
    place.assert_runs("app:2");
    place.assert_ran(2);
}

#[test]
fn whatever_parallelism_was_asked_for_is_what_the_new_job_gets() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for parallelism in [0, 1, 5] {
        let mut wide = job(JOB, "app:1");
        wide["spec"]["parallelism"] = json!(parallelism);
        wide["spec"]["completions"] = json!(5);
        let place = place(&rejob, &wide);
        let uid = place.uid();
        patch(&place, &image_change("app:2"));
        let new = place.job();
        assert_ne!(place.uid(), uid);
        assert_eq!((&new["spec"]["parallelism"], image(&new)), (&json!(parallelism), "app:2"));
        super::deploy::assert_unmarked(&new);
    }
}

#[test]
fn kubectl_replace_of_what_kubectl_get_shows_is_refused_until_the_uid_is_taken_out() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = place(&rejob, &job(JOB, "app:1"));
    place.namespace.finish_pods(JOB);
    let edited = || {
        let shown = place.namespace.kubectl(&["get", "job", JOB, "-o", "yaml"]).ok().stdout;
        assert!(shown.contains("\n  uid: ") && shown.contains("\n  resourceVersion: "), "{shown}");
        shown.replace("image: app:1", "image: app:2")
    };
    let replace = |manifest: &str| place.namespace.kubectl_with(manifest, &["replace", "-f", "-"]);
    let uid = place.uid();
    // Another write of the Job controller in between is a conflict as any other.
    let refused = wait::until("nobody else writes in between", || {
        let said = replace(&edited()).exited(1);
        (!said.stderr.contains("the object has been modified")).then_some(said)
    });
    refused.warns("job nightly cannot be replaced by a manifest with a metadata.uid");
    refused.warns("remove metadata.uid and metadata.resourceVersion and send it again");
    assert!(rejob.metrics().contains("reason=\"uid_denied\""));
    assert_eq!((place.uid(), image(&place.job())), (uid, "app:1"));
    super::deploy::assert_unmarked(&place.job());
    // As the message says.
    let named =
        |line: &&str| line.starts_with("  uid: ") || line.starts_with("  resourceVersion: ");
    let lines: Vec<_> = edited().lines().filter(|line| !named(line)).map(str::to_owned).collect();
    replace(&lines.join("\n")).ok();
    place.assert_runs("app:2");
    place.assert_ran(2);
}

/// The resourceVersion that is sent, made from the stored one.
type Revision = fn(&str) -> String;

/// The API server reads a revision as a number, and 0 as none. Whatever it makes of one, the client
/// is not told success where nothing was replaced.
#[test]
fn a_put_with_any_revision_either_replaces_or_conflicts() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let revisions: [(Revision, u16); 5] = [
        (|_| String::new(), 200),
        (|_| "0".to_owned(), 200),
        (|stored| format!("00{stored}"), 200),
        (|_| "1".to_owned(), 409),
        (|stored| format!("1{stored}"), 409),
    ];
    for (revision, status) in revisions {
        let place = place(&rejob, &job(JOB, "app:1"));
        place.namespace.finish_pods(JOB);
        let uid = place.uid();
        let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
        let mut sent = String::new();
        let answer = wait::until("nobody else writes in between", || {
            let mut changed = job(JOB, "app:2");
            sent = revision(place.job()["metadata"]["resourceVersion"].as_str().unwrap());
            changed["metadata"]["resourceVersion"] = json!(sent);
            let answer = place.namespace.user().put(&path, &changed);
            (answer.status == status).then_some(answer)
        });
        if status == 200 {
            assert_ne!(place.uid(), uid, "{sent:?}: {}", answer.body);
            place.assert_runs("app:2");
            place.assert_ran(2);
        } else {
            assert_eq!((place.uid(), image(&place.job())), (uid, "app:1"), "{sent:?}");
            super::deploy::assert_unmarked(&place.job());
        }
    }
}
