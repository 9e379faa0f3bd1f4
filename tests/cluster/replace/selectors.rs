//! What a client read of a Job and sends back: the selector and the generated labels are the old
//! Job's, and the new Job gets its own.

use serde_json::{Value, json};

use support::manifest::{annotated, image};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked, uid_of};

/// The labels that the API server generates, and whether their value is the uid.
const GENERATED: [(&str, bool); 4] = [
    ("batch.kubernetes.io/controller-uid", true),
    ("batch.kubernetes.io/job-name", false),
    ("controller-uid", true),
    ("job-name", false),
];

/// The selector and all generated labels name this Job, and the Job controller finds its Pod by them.
#[track_caller]
fn assert_names_itself(place: &Place) {
    let job = place.job();
    let uid = uid_of(&job);
    let selector = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    assert_eq!(job["spec"]["selector"], selector, "{job:#}");
    for metadata in [&job["metadata"], &job["spec"]["template"]["metadata"]] {
        for (label, is_uid) in GENERATED {
            let wanted = if is_uid { uid.as_str() } else { JOB };
            assert_eq!(metadata["labels"][label], wanted, "{label}: {job:#}");
        }
    }
    assert_unmarked(&job);
    place.namespace.started_pods(JOB);
}

/// The Job as a client has read it, without what it knows the API server to write.
fn exported(place: &Place, drop: &[&str]) -> Value {
    let mut job = place.job();
    job.as_object_mut().unwrap().remove("status");
    for field in drop {
        job["metadata"].as_object_mut().unwrap().remove(*field);
    }
    job
}

const SYSTEM_FIELDS: &[&str] =
    &["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"];

fn with_image(mut job: Value, image: &str) -> Value {
    job["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    job
}

/// Sends it again after a 429, as client-go does.
fn apply(place: &Place, query: &str, manifest: &Value) -> Answer {
    let path = format!("{}?{query}", place.namespace.job_path(JOB));
    wait::until("the client is not told to wait", || {
        let answer = place.namespace.user().apply(&path, manifest);
        (answer.status != 429).then_some(answer)
    })
}

fn put(place: &Place, manifest: &Value) -> Answer {
    let path = format!("{}?fieldManager=controller", place.namespace.job_path(JOB));
    place.namespace.user().put(&path, manifest)
}

/// Nothing runs.
#[track_caller]
fn assert_unchanged(place: &Place, answer: Answer, uid: &str) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(place.uid(), uid);
    assert_names_itself(place);
}

/// A new Job of that image runs; its uid.
#[track_caller]
fn assert_replaced(place: &Place, answer: Answer, uid: &str, wanted: &str) -> String {
    assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    assert_ne!(place.uid(), uid);
    assert_eq!(image(&place.job()), wanted);
    assert_names_itself(place);
    place.uid()
}

/// `kubectl get job -o yaml`, edited and applied.
#[test]
fn an_export_with_another_image_is_applied() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in [Client::ServerSideApply, Client::ForcedApply, Client::Put] {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, "app:1");
        place.namespace.finish_pods(JOB);
        let uid = place.uid();
        place.send(client, &exported(&place, SYSTEM_FIELDS));
        assert_eq!(place.uid(), uid, "{client:?}: an unchanged export ran");
        let changed = with_image(exported(&place, SYSTEM_FIELDS), "app:2");
        place.send(client, &changed);
        assert_ne!(place.uid(), uid, "{client:?}");
        place.assert_runs("app:2");
        assert_names_itself(&place);
        let uid = place.uid();
        place.send(client, &exported(&place, SYSTEM_FIELDS));
        // The file is applied as it was once, again: its labels are those of a Job that is gone.
        place.send(client, &changed);
        assert_eq!(place.uid(), uid, "{client:?}: an unchanged deploy ran");
        assert_names_itself(&place);
        place.assert_ran(2);
    }
}

/// The API server creates no Job from an apply that names a uid, and its review does not tell that it
/// does: the client gets an error that names the uid, with a warning of what to do, and the same
/// manifest without it creates the Job. A revision does no harm.
#[test]
fn an_apply_with_the_uid_that_was_read_is_told_to_leave_it_out() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let query = "fieldManager=test&force=true";
    for (fields, works) in [
        (&["resourceVersion"][..], true),
        (&["uid", "resourceVersion", "creationTimestamp"], false),
    ] {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(Client::ForcedApply, "app:1");
        place.namespace.finish_pods(JOB);
        let live = place.job();
        let mut sent = with_image(exported(&place, SYSTEM_FIELDS), "app:2");
        for field in fields {
            sent["metadata"][field] = live["metadata"][field].clone();
        }
        let answer = apply(&place, query, &sent);
        if works {
            assert_replaced(&place, answer, &uid_of(&live), "app:2");
            continue;
        }
        assert_eq!(answer.status, 409, "{}", answer.body);
        assert!(answer.message().contains("uid mismatch"), "{}", answer.body);
        let told = |warning: &String| warning.contains("remove metadata.uid from");
        assert!(answer.warnings.iter().any(told), "{:?}", answer.warnings);
        let again = apply(&place, query, &with_image(sent_without(sent, fields), "app:2"));
        assert_eq!(again.status, 201, "{}", again.body);
        place.assert_runs("app:2");
    }
}

fn sent_without(mut sent: Value, fields: &[&str]) -> Value {
    for field in fields {
        sent["metadata"].as_object_mut().unwrap().remove(*field);
    }
    sent
}

/// The Job has gone, and its export brings it back.
#[test]
fn an_export_of_a_deleted_job_is_created() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for command in [
        &["create", "-f", "-"][..],
        &["apply", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
    ] {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(Client::Apply, "app:1");
        place.assert_ran(1);
        let applies = command.contains(&"--server-side");
        // kubectl itself takes out what the API server does not take, but for an apply.
        let drop = if applies { SYSTEM_FIELDS } else { &["managedFields"] };
        let export = exported(&place, drop);
        place.namespace.kubectl(&["delete", "job", JOB]).ok();
        place.namespace.kubectl_with(&export.to_string(), command).ok();
        assert_ne!(place.uid(), export["metadata"]["uid"].as_str().unwrap_or_default());
        place.assert_runs("app:1");
        assert_names_itself(&place);
    }
}

/// Terraform's `kubernetes_manifest` fills what the manifest does not set from what it read. What the answer
/// says otherwise it calls an inconsistent result. The requests are those that Terraform 1.11.4 was seen to
/// send.
#[test]
fn terraform_sends_back_what_it_read() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    apply(&place, TERRAFORM, &Place::manifest("app:1")).ok();
    place.namespace.finish_pods(JOB);
    let mut uid = place.uid();
    let read = |image: &str| bare(with_image(exported(&place, SYSTEM_FIELDS), image));
    assert_unchanged(&place, apply(&place, TERRAFORM, &read("app:1")), &uid);
    for image in ["app:2", "app:3"] {
        let sent = read(image);
        let dry = apply(&place, &format!("{TERRAFORM}&dryRun=All"), &sent);
        assert_eq!(dry.status, 200, "{}", dry.body);
        assert_eq!(place.uid(), uid);
        let answer = apply(&place, TERRAFORM, &sent);
        let mut others = Vec::new();
        changed_leaves("", &sent, &answer.body, &mut others);
        assert_eq!(others, NEW_WITH_EACH_RUN);
        uid = assert_replaced(&place, answer, &uid, image);
        assert_unchanged(&place, apply(&place, TERRAFORM, &read(image)), &uid);
    }
    place.assert_ran(3);
}

const TERRAFORM: &str = "fieldManager=Terraform&force=false";
/// What a replaced Job has anew, of what a client reads back.
const NEW_WITH_EACH_RUN: [&str; 6] = [
    "/metadata/annotations/rejob.dev/template-hash",
    "/metadata/labels/batch.kubernetes.io/controller-uid",
    "/metadata/labels/controller-uid",
    "/spec/selector/matchLabels/batch.kubernetes.io/controller-uid",
    "/spec/template/metadata/labels/batch.kubernetes.io/controller-uid",
    "/spec/template/metadata/labels/controller-uid",
];

/// The leaves that were sent and came back with another value.
fn changed_leaves(path: &str, sent: &Value, answer: &Value, changed: &mut Vec<String>) {
    match sent {
        Value::Object(fields) => {
            for (field, value) in fields {
                changed_leaves(&format!("{path}/{field}"), value, &answer[field], changed);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                changed_leaves(&format!("{path}/{index}"), item, &answer[index], changed);
            }
        }
        leaf if leaf != answer => changed.push(path.to_owned()),
        _ => {}
    }
}

/// With `computed_fields = ["metadata", "spec"]` it sends the manifest alone, and takes every answer.
#[test]
fn terraform_sends_its_manifest_where_the_fields_are_computed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let manifest = |image: &str| annotated(Place::manifest(image), "example.com/spec", image);
    apply(&place, TERRAFORM, &manifest("app:1")).ok();
    for image in ["app:2", "app:3"] {
        place.namespace.finish_pods(JOB);
        let (uid, sent) = (place.uid(), manifest(image));
        let answer = apply(&place, TERRAFORM, &sent);
        let mut others = Vec::new();
        changed_leaves("", &sent, &answer.body, &mut others);
        assert_eq!(others, [] as [&str; 0]);
        assert_replaced(&place, answer, &uid, image);
    }
    place.assert_ran(3);
}

/// Without what is empty.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, bare(value)));
            let kept = fields.filter(|(_, value)| !value.is_null() && *value != json!({}));
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.into_iter().map(bare).collect(),
        value => value,
    }
}

/// The Job of a controller that distributes it: the generated part is emptied.
fn emptied(image: &str) -> Value {
    let mut job = annotated(Place::manifest(image), "work.example.com/name", "pi");
    job["spec"]["selector"] = json!({ "matchLabels": {} });
    job["spec"]["template"]["metadata"] = json!({ "labels": {} });
    job
}

/// The same with what the controller copies from the Job that it has read.
fn retained(place: &Place, image: &str) -> Value {
    let (live, mut job) = (place.job(), emptied(image));
    job["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    job["metadata"]["labels"] = live["metadata"]["labels"].clone();
    job["spec"]["selector"] = live["spec"]["selector"].clone();
    job["spec"]["template"]["metadata"] = live["spec"]["template"]["metadata"].clone();
    job
}

#[test]
fn a_controller_hands_back_the_old_selector_or_an_empty_one() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(&emptied("app:1")).ok();
    place.namespace.finish_pods(JOB);
    let revised = |image: &str| {
        let mut job = emptied(image);
        job["metadata"]["resourceVersion"] = place.job()["metadata"]["resourceVersion"].clone();
        job
    };
    let uid = place.uid();
    assert_unchanged(&place, put_quietly(&place, || retained(&place, "app:1")), &uid);
    assert_unchanged(&place, put_quietly(&place, || revised("app:1")), &uid);
    let stale = retained(&place, "app:2");
    let uid =
        assert_replaced(&place, put_quietly(&place, || retained(&place, "app:2")), &uid, "app:2");
    // The same once more, of the revision that is gone.
    let answer = put(&place, &stale);
    assert_eq!((answer.status, place.uid()), (409, uid.clone()), "{}", answer.body);
    assert_unchanged(&place, put_quietly(&place, || retained(&place, "app:2")), &uid);
    let changed = put_quietly(&place, || revised("app:3"));
    let uid = assert_replaced(&place, changed, &uid, "app:3");
    assert_unchanged(&place, put_quietly(&place, || revised("app:3")), &uid);
    place.assert_ran(3);
}

/// Reads and writes until the Job controller does not write in between.
fn put_quietly(place: &Place, body: impl Fn() -> Value) -> Answer {
    wait::until("nobody else writes in between", || {
        let answer = put(place, &body());
        (answer.status != 409).then_some(answer)
    })
}

#[test]
fn a_controller_applies_an_empty_selector() {
    const SERVER_SIDE: &str = "fieldManager=controller&force=true";
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    apply(&place, SERVER_SIDE, &emptied("app:1")).ok();
    place.namespace.finish_pods(JOB);
    let mut uid = place.uid();
    assert_unchanged(&place, apply(&place, SERVER_SIDE, &emptied("app:1")), &uid);
    for image in ["app:2", "app:3"] {
        uid = assert_replaced(&place, apply(&place, SERVER_SIDE, &emptied(image)), &uid, image);
        assert_unchanged(&place, apply(&place, SERVER_SIDE, &emptied(image)), &uid);
    }
    place.assert_ran(3);
}

/// With `manualSelector` the selector is the client's own, whatever it names.
#[test]
fn a_manual_selector_stays_as_it_is() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in [Client::Put, Client::ForcedApply, Client::ServerSideApply] {
        let place = Place::new(rejob.namespace("replace"));
        let manual = |image: &str| {
            let mut job = Place::manifest(image);
            job["spec"]["manualSelector"] = json!(true);
            job["spec"]["selector"] = json!({ "matchLabels": { "run": "one" } });
            job["spec"]["template"]["metadata"] = json!({ "labels": { "run": "one" } });
            job
        };
        place.send(client, &manual("app:1"));
        place.assert_ran(1);
        let uid = place.uid();
        place.send(client, &exported(&place, SYSTEM_FIELDS));
        assert_eq!(place.uid(), uid, "{client:?}");
        place.send(client, &with_image(exported(&place, SYSTEM_FIELDS), "app:2"));
        assert_ne!(place.uid(), uid, "{client:?}");
        let job = place.job();
        assert_eq!(image(&job), "app:2");
        assert_eq!(job["spec"]["selector"], json!({ "matchLabels": { "run": "one" } }));
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(*labels, json!({ "run": "one" }), "{client:?}");
        place.assert_ran(2);
    }
}
