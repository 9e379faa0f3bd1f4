//! What the API server generates for a Job and then keeps: the selector, and the labels of its name
//! and uid (`generateSelector` in `pkg/registry/batch/job/strategy.go`).
//!
//! A manifest that brings those of another Job's uid is refused (exported manifests, Terraform's
//! second apply, controllers that retain what they have read). Taken out, they are generated anew.

use serde_json::{Map, Value};

use super::Job;

/// Labels that the API server generates into the pod template (and, by defaulting, sometimes into
/// the Job's own labels).
pub const GENERATED_LABELS: [&str; 4] =
    [UID_LABELS[1], NAME_LABELS[1], UID_LABELS[0], NAME_LABELS[0]];

/// Those of them that hold the Job's uid.
pub const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

/// Those that hold its name.
pub const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// The paths of what was generated for some Job: none where the user manages the selector, or gives
/// one of his own.
pub fn generated_paths(job: Job<'_>) -> Vec<Vec<&'static str>> {
    let mut paths = Vec::new();
    if job.has_manual_selector() {
        return paths;
    }
    let map = |path: &str| job.value().pointer(path).and_then(Value::as_object);
    let has_uid = |labels: &Map<String, Value>| UID_LABELS.iter().any(|l| labels.contains_key(*l));
    let selects_by_uid = map("/spec/selector").is_some_and(|selector| {
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        selector.len() == 1
            && labels.is_some_and(|labels| {
                has_uid(labels) && labels.keys().all(|l| GENERATED_LABELS.contains(&l.as_str()))
            })
    });
    if selects_by_uid {
        paths.push(vec!["spec", "selector"]);
    }
    for (pointer, parent) in [
        ("/metadata/labels", &["metadata", "labels"] as &[_]),
        ("/spec/template/metadata/labels", &["spec", "template", "metadata", "labels"]),
    ] {
        if let Some(labels) = map(pointer).filter(|labels| has_uid(labels)) {
            let generated = GENERATED_LABELS.iter().filter(|label| labels.contains_key(**label));
            paths.extend(generated.map(|label| [parent, &[*label]].concat()));
        }
    }
    paths
}

/// Takes what was generated for some Job out of a manifest.
pub fn take_generated(job: &mut Value) {
    for path in generated_paths(Job::new(job)) {
        if let Some((field, parents)) = path.split_last() {
            let parent = parents.iter().try_fold(&mut *job, |value, name| value.get_mut(name));
            if let Some(Value::Object(map)) = parent {
                map.remove(*field);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exported() -> Value {
        let uid = "batch.kubernetes.io/controller-uid";
        json!({
            "metadata": { "labels": { "app": "x", "controller-uid": "old", "job-name": "a" } },
            "spec": {
                "selector": { "matchLabels": { uid: "old" } },
                "template": { "metadata": { "labels": {
                    uid: "old", "controller-uid": "old", "job-name": "a", "app": "x"
                } } }
            }
        })
    }

    #[test]
    fn what_was_generated_for_another_job_goes() {
        let mut job = exported();
        take_generated(&mut job);
        let labels = json!({ "app": "x" });
        assert_eq!(
            job,
            json!({
                "metadata": { "labels": labels },
                "spec": { "template": { "metadata": { "labels": labels } } }
            })
        );
    }

    #[test]
    fn what_the_user_gives_stays() {
        let mut manual = exported();
        manual["spec"]["manualSelector"] = json!(true);
        let mut own = exported();
        own["spec"]["selector"]["matchLabels"]["app"] = json!("x");
        for (mut job, field) in [(manual, "labels"), (own, "selector")] {
            let before = job.clone();
            take_generated(&mut job);
            let path = if field == "labels" { "/metadata/labels" } else { "/spec/selector" };
            assert_eq!(job.pointer(path), before.pointer(path), "{field}");
        }
        let named =
            json!({ "spec": { "template": { "metadata": { "labels": { "job-name": "a" } } } } });
        let mut job = named.clone();
        take_generated(&mut job);
        assert_eq!(job, named, "a label of the Job's name is the user's own");
    }
}
