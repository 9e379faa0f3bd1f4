//! The immutable part of a Job and the difference between two of them.
//!
//! What counts is what the API server compares in an update (`ValidateJobSpecUpdate` in
//! `pkg/apis/batch/validation`), in normal form, less what it generates itself: the labels of the
//! Job's name and uid in the template and the selector by them, unless the Job brings its own
//! selector (`manualSelector: true`).

use serde_json::Value;

use super::change::Change;
use super::diff;
use super::normalize::{Fields, JOB_SPEC, Normal, fields};
use super::{GENERATED_LABELS, Job};

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
pub fn immutable_part(job: &Value) -> Value {
    normalized(job, Job::new(job).has_manual_selector()).into_value()
}

/// The canonical JSON of the normalized immutable part: sorted keys, no insignificant space.
pub(super) fn canonical(job: &Value) -> String {
    // Strings, numbers and names that are strings always serialize.
    serde_json::to_string(&normalized(job, Job::new(job).has_manual_selector())).unwrap_or_default()
}

/// What differs between the immutable parts of two Jobs, after normalization; empty when nothing
/// does. The order is that of the paths, and the same for the same two Jobs.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    if old.get("spec") == new.get("spec") {
        return Vec::new(); // Most updates: nothing needs its normal form.
    }
    // Where one of them brings its own selector, what was generated for the other counts too:
    // the API server compares them as they are.
    let manual = [old, new].into_iter().any(|job| Job::new(job).has_manual_selector());
    let (old, new) = (normalized(old, manual), normalized(new, manual));
    if old == new {
        return Vec::new();
    }
    diff::changes(&JOB_SPEC, "spec", &old.into_value(), &new.into_value())
}

fn normalized(job: &Value, manual_selector: bool) -> Fields<'_> {
    let spec = job.get("spec").and_then(Value::as_object);
    let mut part = spec.map(|spec| fields(&JOB_SPEC, spec)).unwrap_or_default();
    // `SetDefaults_Job`: without both, one Pod has to complete; with `parallelism` alone the Job
    // is a work queue.
    if part.get("parallelism").is_none() {
        part.insert_missing("completions", Normal::owned(Value::from(1)));
    }
    part.retain(|name| IMMUTABLE_FIELDS.contains(&name));
    if !manual_selector {
        drop_generated(&mut part);
    }
    part
}

/// Takes the generated labels out of the template and the selector, and the selector itself where
/// nothing else is in it.
fn drop_generated(part: &mut Fields<'_>) {
    drop_labels(part, &["template", "metadata"], "labels");
    drop_labels(part, &["selector"], "matchLabels");
    for name in ["selector", "template"] {
        if matches!(part.get(name), Some(Normal::Object(fields)) if fields.is_empty()) {
            part.remove(name);
        }
    }
}

/// Takes the generated labels out of the map `name` in the object at `path`, and what becomes
/// empty by it: the map, and `metadata` in its template.
fn drop_labels(part: &mut Fields<'_>, path: &[&str], name: &str) {
    let Some((first, rest)) = path.split_first() else {
        if let Some(Normal::Object(labels)) = part.get_mut(name) {
            labels.retain(|label| !GENERATED_LABELS.contains(&label));
            if labels.is_empty() {
                part.remove(name);
            }
        }
        return;
    };
    if let Some(Normal::Object(inner)) = part.get_mut(first) {
        drop_labels(inner, rest, name);
        if *first == "metadata" && inner.is_empty() {
            part.remove(first);
        }
    }
}
