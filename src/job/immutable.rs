//! The immutable part of a Job and the difference between two of them.
//!
//! What counts is what the API server compares in an update (`ValidateJobSpecUpdate` in
//! `pkg/apis/batch/validation`), in normal form, less what it generates itself: the labels of the
//! Job's name and uid in the template and the selector by them, unless the Job brings its own
//! selector (`manualSelector: true`).

use serde_json::{Map, Value};

use super::GENERATED_LABELS;
use super::change::Change;
use super::diff;
use super::normalize::{JOB_SPEC, Shape};

/// The fields of `spec` that the API server refuses to change.
pub const IMMUTABLE_FIELDS: [&str; 9] = [
    "template",
    "selector",
    "completions",
    "completionMode",
    "podFailurePolicy",
    "successPolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "scheduling",
];

/// The normalized immutable part of a Job, as an object of the fields of its `spec`.
#[must_use]
pub fn immutable_part(job: &Value) -> Value {
    Value::Object(normalized(job, has_manual_selector(job)))
}

/// What differs between the immutable parts of two Jobs, after normalization; empty when nothing
/// does. The order is that of the paths, and the same for the same two Jobs.
#[must_use]
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    // Where one of them brings its own selector, what was generated for the other counts too:
    // the API server compares them as they are.
    let manual = has_manual_selector(old) || has_manual_selector(new);
    let (old, new) = (normalized(old, manual), normalized(new, manual));
    diff::changes(&JOB_SPEC, "spec", &old, &new)
}

fn has_manual_selector(job: &Value) -> bool {
    job.pointer("/spec/manualSelector").and_then(Value::as_bool).unwrap_or(false)
}

fn normalized(job: &Value, manual_selector: bool) -> Map<String, Value> {
    let spec = job.get("spec").filter(|spec| spec.is_object()).unwrap_or(&Value::Null);
    let Value::Object(mut part) = Shape::Object(&JOB_SPEC).normalize(spec) else {
        return Map::new();
    };
    // `SetDefaults_Job`: without both, one Pod has to complete; with `parallelism` alone the Job
    // is a work queue.
    if !part.contains_key("completions") && !part.contains_key("parallelism") {
        part.insert("completions".to_owned(), Value::from(1));
    }
    part.retain(|name, _| IMMUTABLE_FIELDS.contains(&name.as_str()));
    if !manual_selector {
        drop_generated(&mut part);
    }
    part
}

/// Takes the generated labels out of the template and the selector, and the selector itself where
/// nothing else is in it.
fn drop_generated(part: &mut Map<String, Value>) {
    drop_labels(part, &["template", "metadata"], "labels");
    drop_labels(part, &["selector"], "matchLabels");
    for empty in ["selector", "template"] {
        if part.get(empty).and_then(Value::as_object).is_some_and(Map::is_empty) {
            part.remove(empty);
        }
    }
}

/// Takes the generated labels out of the map `name` in the object at `path`, and what becomes
/// empty by it: the map, and `metadata` in its template.
fn drop_labels(part: &mut Map<String, Value>, path: &[&str], name: &str) {
    let Some((first, rest)) = path.split_first() else {
        if let Some(Value::Object(labels)) = part.get_mut(name) {
            labels.retain(|label, _| !GENERATED_LABELS.contains(&label.as_str()));
            if labels.is_empty() {
                part.remove(name);
            }
        }
        return;
    };
    if let Some(Value::Object(inner)) = part.get_mut(*first) {
        drop_labels(inner, rest, name);
        if *first == "metadata" && inner.is_empty() {
            part.remove(*first);
        }
    }
}
