//! Fields that are valid only beside others, those that the API server fills in, and empty ones.

use serde_json::{Value, json};

use support::manifest::{image, job};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{JOB, Place, assert_unmarked};

const POLICIES: &str = "
policies:
  replace: {}
  keep: { onChange: Keep }
  ttl: { ttlSecondsAfterFinished: 3600 }
";

/// The plain Job with these fields of its spec.
fn with(spec: Value) -> Value {
    and(job(JOB, "app:1"), spec)
}

fn and(mut job: Value, spec: Value) -> Value {
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    job
}

fn failure_policy() -> Value {
    json!({ "rules": [
        { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [1] } }
    ] })
}

/// How a manifest is sent.
#[derive(Debug, Clone, Copy)]
enum Send {
    Apply,
    Put,
}

/// Sends it again after a 429, as client-go does.
fn send(place: &Place, how: Send, query: &str, manifest: &Value) -> Answer {
    let path = format!("{}?fieldManager=test{query}", place.namespace.job_path(JOB));
    wait::until("the Job is not busy", || {
        let answer = match how {
            Send::Apply => place.namespace.user().apply(&format!("{path}&force=true"), manifest),
            Send::Put => place.namespace.user().put(&path, manifest),
        };
        (answer.status != 429).then_some(answer)
    })
}

/// Changes of which the old Job's immutable fields and the new one's other fields are invalid
/// together.
fn changes() -> Vec<(&'static str, Send, Value, Value)> {
    let failure = failure_policy();
    let indexed = |completions: u32, more: Value| {
        and(with(json!({ "completionMode": "Indexed", "completions": completions })), more)
    };
    let per_index = |most: u32| json!({ "backoffLimitPerIndex": 1, "maxFailedIndexes": most });
    let mut own_selector = with(json!({
        "manualSelector": true, "selector": { "matchLabels": { "run": "one" } }
    }));
    own_selector["spec"]["template"]["metadata"] = json!({ "labels": { "run": "one" } });
    vec![
        ("limits appear", Send::Apply, indexed(3, json!({})), indexed(3, per_index(2))),
        ("limits grow", Send::Apply, indexed(3, per_index(2)), indexed(9, per_index(8))),
        ("a policy goes", Send::Put, with(json!({ "podFailurePolicy": failure })), with(json!({}))),
        (
            "a policy and its companion go",
            Send::Apply,
            with(json!({ "podFailurePolicy": failure, "podReplacementPolicy": "Failed" })),
            with(json!({ "podReplacementPolicy": "TerminatingOrFailed" })),
        ),
        ("an own selector goes", Send::Apply, own_selector, with(json!({}))),
    ]
}

fn deployed(rejob: &Rejob<'_>, policy: &str, how: Send, manifest: &Value) -> Place {
    let place = Place::new(rejob.namespace(policy));
    match how {
        Send::Apply => send(&place, how, "", manifest).ok(),
        Send::Put => place.namespace.create_job(manifest).ok(),
    };
    place
}

/// Without its watch cache the API server takes the first look for a true one, and tells the client
/// what it finds invalid.
#[test]
fn the_fields_that_go_with_immutable_ones_change_with_them() {
    let options = Options { no_watch_cache: true, ..Options::default() };
    for plane in [ControlPlane::shared(), ControlPlane::start(&options)] {
        let rejob = Rejob::with_policies(&plane, POLICIES);
        for (what, how, before, after) in changes() {
            let place = deployed(&rejob, "replace", how, &before);
            let uid = place.uid();
            let dry = send(&place, how, "&dryRun=All", &after);
            assert_eq!(dry.status, 200, "{what}: {}", dry.body);
            assert!(dry.body.to_string().contains("rejob.dev/replacing"), "{what}: {}", dry.body);
            assert_eq!(place.uid(), uid, "{what}");
            let answer = send(&place, how, "", &after);
            assert!(answer.status < 300, "{what}: {}", answer.body);
            assert_ne!(place.uid(), uid, "{what}");
            let new = place.job();
            for field in ["maxFailedIndexes", "backoffLimitPerIndex", "completions"] {
                let wanted = &after["spec"][field];
                assert!(wanted.is_null() || new["spec"][field] == *wanted, "{what}: {new}");
            }
            assert_eq!(new["spec"]["podFailurePolicy"], Value::Null, "{what}");
            assert_ne!(new["spec"]["manualSelector"], true, "{what}");
            assert_unmarked(&new);

            let place = deployed(&rejob, "keep", how, &before);
            let (uid, old) = (place.uid(), place.job());
            let answer = send(&place, how, "", &after);
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
            let kept = place.job();
            assert_eq!((place.uid(), &kept["spec"]), (uid, &old["spec"]), "{what}");
        }
    }
}

/// A chart's `labels: {{ toYaml .Values.labels }}` with nothing in it.
#[test]
fn an_apply_with_empty_maps_of_metadata_is_replaced() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for metadata in [json!({ "labels": {} }), json!({ "labels": null }), json!({}), Value::Null] {
        let manifest = |image: &str| {
            let mut manifest = job(JOB, image);
            manifest["metadata"]["labels"] = json!({});
            manifest["spec"]["template"]["metadata"] = metadata.clone();
            manifest
        };
        let place = deployed(&rejob, "replace", Send::Apply, &manifest("app:1"));
        for image in ["app:2", "app:3"] {
            let uid = place.uid();
            send(&place, Send::Apply, "", &manifest(image)).ok();
            assert_ne!(place.uid(), uid, "{metadata}");
            place.assert_runs(image);
        }
        let uid = place.uid();
        send(&place, Send::Apply, "", &manifest("app:3")).ok();
        assert_eq!(place.uid(), uid, "{metadata}");
    }
}

/// `podReplacementPolicy` is `TerminatingOrFailed` by default, and beside a `podFailurePolicy` it can
/// only be `Failed`.
#[test]
fn a_pod_failure_policy_is_added_by_a_patch() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let policy = failure_policy();
    let changed = with(json!({ "podFailurePolicy": policy }));
    for way in 0..4 {
        let place = Place::new(rejob.namespace("replace"));
        let kubectl = |manifest: &Value| {
            place.namespace.kubectl_with(&manifest.to_string(), &["apply", "-f", "-"]).ok();
        };
        kubectl(&with(json!({})));
        let uid = place.uid();
        let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
        let default = "TerminatingOrFailed";
        let both = json!({ "podFailurePolicy": policy, "podReplacementPolicy": default });
        match way {
            0 => kubectl(&changed),
            1 => {
                let spec = json!({ "spec": { "podFailurePolicy": policy } });
                place.namespace.user().patch("merge", &path, &spec).ok();
            }
            // As in what `kubectl get` showed.
            2 => {
                place.namespace.user().patch("merge", &path, &json!({ "spec": both })).ok();
            }
            _ => {
                send(&place, Send::Put, "", &with(both)).ok();
            }
        }
        let new = place.job();
        assert_ne!(place.uid(), uid);
        assert_eq!(new["spec"]["podReplacementPolicy"], "Failed");
        assert_eq!(new["spec"]["parallelism"], 1);
        assert_unmarked(&new);
        kubectl(&changed);
        assert_eq!(place.uid(), new["metadata"]["uid"].as_str().unwrap());
    }
}

/// The Job controller completes such a Job at once, also while it is dormant.
#[test]
fn a_job_of_no_completions_is_replaced() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let manifest = |image: &str| {
        let mut manifest = with(json!({ "completions": 0 }));
        manifest["spec"]["template"] = job(JOB, image)["spec"]["template"].clone();
        manifest
    };
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(&manifest("app:1")).ok();
    for number in 2..8 {
        let (uid, wanted) = (place.uid(), format!("app:{number}"));
        send(&place, Send::Put, "", &manifest(&wanted)).ok();
        let new = place.job();
        assert_ne!(place.uid(), uid);
        assert_eq!((image(&new), &new["spec"]["parallelism"]), (wanted.as_str(), &json!(1)));
        assert_unmarked(&new);
    }
}

/// `completions:` without a value, as a chart writes it: 1 when the Job is created, nothing when it is
/// updated.
#[test]
fn completions_of_null_ask_for_the_same_again() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let manifest = with(json!({ "completions": null }));
    let place = deployed(&rejob, "replace", Send::Apply, &manifest);
    let uid = place.uid();
    for _ in 0..2 {
        send(&place, Send::Apply, "", &manifest).ok();
    }
    let manifest = manifest.to_string();
    for _ in 0..2 {
        place.namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    }
    assert_eq!((place.uid(), &place.job()["spec"]["completions"]), (uid, &json!(1)));
}

#[test]
fn a_put_of_the_same_manifest_keeps_the_policys_ttl() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let place = Place::new(rejob.namespace("ttl"));
    place.namespace.create_job(&job(JOB, "app:1")).ok();
    let uid = place.uid();
    send(&place, Send::Put, "", &job(JOB, "app:1")).ok();
    let kept = place.job();
    assert_eq!((place.uid(), &kept["spec"]["ttlSecondsAfterFinished"]), (uid, &json!(3600)));
    // Taken out by somebody who has read the Job.
    let mut edited = kept;
    edited["spec"].as_object_mut().unwrap().remove("ttlSecondsAfterFinished");
    edited["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    send(&place, Send::Put, "", &edited).ok();
    assert_eq!(place.job()["spec"]["ttlSecondsAfterFinished"], Value::Null);
}
