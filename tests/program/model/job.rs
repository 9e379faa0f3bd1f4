//! Jobs as the model's API server keeps them: defaults, generated fields, validation, owners.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value, json};

pub const NAME: &str = "nightly";
pub const NAMESPACE: &str = "team";
const RELEASE: &str = "meta.helm.sh/release-name";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const GENERATED: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// A manifest: the image and the argument are the two leaves that clients change.
pub fn manifest(image: &str, arg: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "app", "image": image, "args": [arg] }]
            } }
        }
    })
}

pub fn text<'a>(job: &'a Value, pointer: &str) -> &'a str {
    job.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn image(job: &Value) -> &str {
    text(job, "/spec/template/spec/containers/0/image")
}

pub fn arg(job: &Value) -> &str {
    text(job, "/spec/template/spec/containers/0/args/0")
}

pub fn uid(job: &Value) -> &str {
    text(job, "/metadata/uid")
}

pub fn revision(job: &Value) -> &str {
    text(job, "/metadata/resourceVersion")
}

pub fn parallelism(job: &Value) -> i64 {
    job.pointer("/spec/parallelism").and_then(Value::as_i64).unwrap_or(1)
}

pub fn annotation<'a>(job: &'a Value, key: &str) -> Option<&'a str> {
    job["metadata"]["annotations"].get(key).and_then(Value::as_str)
}

pub fn is_dormant(job: &Value) -> bool {
    annotation(job, "rejob.dev/dormant").is_some()
        || job["metadata"]["labels"].get("rejob.dev/dormant").is_some()
}

pub fn last_applied(job: &Value) -> Option<&str> {
    annotation(job, LAST_APPLIED)
}

/// The release that Helm finds in its annotation.
pub fn release(job: &Value) -> Option<&str> {
    annotation(job, RELEASE)
}

pub fn set_release(job: &mut Value) {
    map(&mut job["metadata"], "annotations").insert(RELEASE.to_owned(), json!("r"));
}

/// Takes the space in front of the clients' records away.
pub fn settle_records(job: &mut Value) {
    for (_, value) in map(&mut job["metadata"], "annotations") {
        *value = json!(value.as_str().unwrap_or_default().trim());
    }
}

/// Sets kubectl's record of the manifest: here its image.
pub fn set_last_applied(job: &mut Value, image: &str) {
    map(&mut job["metadata"], "annotations").insert(LAST_APPLIED.to_owned(), json!(image));
}

pub fn set_image(job: &mut Value, image: &str) {
    job["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
}

pub fn set_arg(job: &mut Value, arg: &str) {
    job["spec"]["template"]["spec"]["containers"][0]["args"] = json!([arg]);
}

pub fn map<'a>(parent: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !parent[field].is_object() {
        parent[field] = json!({});
    }
    parent[field].as_object_mut().unwrap()
}

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
}

pub const INVALID: Refusal = Refusal { code: 422, reason: "Invalid" };
pub const CONFLICT: Refusal = Refusal { code: 409, reason: "Conflict" };
pub const EXISTS: Refusal = Refusal { code: 409, reason: "AlreadyExists" };
pub const MISSING: Refusal = Refusal { code: 404, reason: "NotFound" };

/// What the API server does with a new Job before it stores it: it wipes system fields, generates
/// labels and the selector, validates, and (on every later read) copies the template's labels
/// where the Job has none (`SetDefaults_Job`, `jobStrategy.PrepareForCreate`, `ValidateJob`).
pub fn create(mut job: Value, uid: &str) -> Result<Value, Refusal> {
    if !text(&job, "/metadata/resourceVersion").is_empty() {
        return Err(INVALID);
    }
    valid(&job)?;
    let refused = if parallelism(&job) == 0 { NEVER_DORMANT } else { NEVER_RELEASED };
    if image(&job) == refused {
        return Err(INVALID);
    }
    if job["spec"].get("selector").is_some() {
        return Err(INVALID);
    }
    let template = map(&mut job["spec"]["template"], "metadata");
    let labels = template.entry("labels").or_insert_with(|| json!({}));
    for key in GENERATED {
        let value = if key.ends_with("job-name") { NAME } else { uid };
        if labels.get(key).is_some_and(|present| present != value) {
            return Err(INVALID);
        }
        labels[key] = json!(value);
    }
    let labels = labels.clone();
    job["spec"]["selector"] =
        json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    if map(&mut job["metadata"], "labels").is_empty() {
        job["metadata"]["labels"] = labels;
    }
    job["metadata"]["uid"] = json!(uid);
    job["status"] = json!({});
    Ok(job)
}

/// A policy of the cluster refuses to create a Job of this image that starts no Pod.
pub const NEVER_DORMANT: &str = "awake:1";
/// Another one refuses to create a Job of this image that starts Pods.
pub const NEVER_RELEASED: &str = "never-released:1";

fn valid(job: &Value) -> Result<(), Refusal> {
    if image(job).is_empty() || image(job).contains('!') { Err(INVALID) } else { Ok(()) }
}

/// The API server's own check of an update (`ValidateJobUpdate`).
pub fn validate_update(old: &Value, new: &Value) -> Result<(), Refusal> {
    valid(new)?;
    for field in ["template", "selector", "completions"] {
        if old["spec"].get(field) != new["spec"].get(field) {
            return Err(INVALID);
        }
    }
    Ok(())
}

/// The leaves whose owners the model keeps.
const LEAVES: [(&str, &str); 2] = [("image", "f:image"), ("args", "f:args")];

fn leaf<'a>(job: &'a Value, name: &str) -> Option<&'a Value> {
    job.pointer("/spec/template/spec/containers/0")?.get(name)
}

fn entry(manager: &str, operation: &str, leaves: &[&str]) -> Value {
    let mut container = json!({ ".": {} });
    for leaf in leaves {
        container[*leaf] = json!({});
    }
    json!({
        "manager": manager, "operation": operation, "time": "t",
        "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"app\"}": container
        } } } } }
    })
}

const CONTAINER: &str = "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"app\"}";

fn owns(entry: &Value, leaf: &str) -> bool {
    entry.pointer(CONTAINER).is_some_and(|container| container.get(leaf).is_some())
}

fn disown(entry: &mut Value, leaf: &str) {
    if let Some(Value::Object(container)) = entry.pointer_mut(CONTAINER) {
        container.remove(leaf);
    }
}

fn is(entry: &Value, manager: &str, operation: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == operation
}

fn entries(job: &Value) -> Vec<Value> {
    job["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
}

fn set_entries(job: &mut Value, entries: Vec<Value>) {
    let kept = entries.into_iter().filter(|entry| {
        LEAVES.iter().any(|(_, leaf)| owns(entry, leaf)) || entry["operation"] == "Apply"
    });
    job["metadata"]["managedFields"] = kept.collect();
}

/// Field owners after anything but an apply: the manager's Update entry takes what changed.
pub fn own_by_update(old: Option<&Value>, new: &mut Value, manager: &str) {
    let mut all = old.map(entries).unwrap_or_default();
    let changed: Vec<&str> = LEAVES
        .iter()
        .filter(|(name, _)| old.and_then(|old| leaf(old, name)) != leaf(new, name))
        .map(|(_, field)| *field)
        .collect();
    for field in &changed {
        all.iter_mut().for_each(|entry| disown(entry, field));
    }
    match all.iter_mut().find(|entry| is(entry, manager, "Update")) {
        Some(mine) => {
            for field in &changed {
                mine.pointer_mut(CONTAINER).unwrap()[*field] = json!({});
            }
        }
        None if !changed.is_empty() => all.push(entry(manager, "Update", &changed)),
        None => {}
    }
    set_entries(new, all);
}

/// A server-side apply of both leaves, without force: a conflict where another entry owns a leaf
/// that would get another value.
pub fn apply(old: Option<&Value>, image: &str, arg: &str, manager: &str) -> Result<Value, Refusal> {
    let mut new = old.cloned().unwrap_or_else(|| manifest(image, arg));
    set_image(&mut new, image);
    set_arg(&mut new, arg);
    let all = old.map(entries).unwrap_or_default();
    for (name, field) in LEAVES {
        let others = |entry: &&Value| !is(entry, manager, "Apply") && owns(entry, field);
        if old.and_then(|old| leaf(old, name)) != leaf(&new, name)
            && all.iter().find(others).is_some()
        {
            return Err(CONFLICT);
        }
    }
    let mut all: Vec<Value> =
        all.into_iter().filter(|entry| !is(entry, manager, "Apply")).collect();
    all.push(entry(manager, "Apply", &LEAVES.map(|(_, field)| field)));
    set_entries(&mut new, all);
    Ok(new)
}

/// A Job that many states share, with its hash, which is asked for in each.
#[derive(Debug, Clone)]
pub struct Shared(Arc<(u64, Value)>);

impl Shared {
    pub fn new(job: Value) -> Self {
        let mut hasher = DefaultHasher::new();
        job.hash(&mut hasher);
        Self(Arc::new((hasher.finish(), job)))
    }
}

impl Deref for Shared {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.1
    }
}

impl AsRef<Value> for Shared {
    fn as_ref(&self) -> &Value {
        self
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0 && self.0.1 == other.0.1
    }
}
