//! What a queue wrote into a suspended Job's template when it admitted the Job.
//!
//! The API server lets anyone change the scheduling directives of a suspended Job
//! (`validatePodTemplateUpdate` in `pkg/apis/batch/validation`), and queues such as Kueue do: an
//! annotation that names the admission, node selectors, tolerations. They belong to that admission,
//! not to what was asked for, so they count as no change and do not go along into a new Job.
//!
//! Field owners show it: a queue is a manager that did not create the Job and does not send the request,
//! and owns scheduling directives or `suspend`. The manager that created the Job owns its containers.
//! kubectl is never a queue: what a person writes into a suspended Job is asked for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::managed_fields::is_of_subresource;
use super::requested::last_applied;
use super::{Job, TemplateHash, changes};

/// The scheduling directives that have one owner as a whole, by parent and name.
const WHOLE: [(&str, &str); 4] = [
    ("/spec/template/spec", "nodeSelector"),
    ("/spec/template/spec", "tolerations"),
    ("/spec/template/spec", "schedulingGates"),
    ("/spec/template/spec/affinity", "nodeAffinity"),
];

/// Those in which each key has an owner of its own.
const BY_KEY: [&str; 2] = ["annotations", "labels"];

/// What the managedFields of a Job say about queues; `None` if there is no queue.
struct Queue<'a> {
    /// The fields of the managers that are queues.
    theirs: Vec<&'a Value>,
    /// The fields of the manager that created the Job, of the requester, and of kubectl.
    ours: Vec<&'a Value>,
}

/// A Job, stored or asked for, without what queues wrote into its template. `requester` is not a queue.
/// What a request changes stays: without a field manager it may be the queue's own.
pub fn without_queue_fields<'a>(
    job: Job<'a>,
    stored: Job<'_>,
    requester: Option<&str>,
) -> Cow<'a, Value> {
    without(job, stored, requester, Some(stored.value()))
}

/// A Job without all that queues have written into its template, the requester among them.
pub fn without_any_queue_fields<'a>(job: Job<'a>, stored: Job<'_>) -> Cow<'a, Value> {
    without(job, stored, None, None)
}

/// Whether a queue has written the Job.
pub fn has_a_queue(job: Job<'_>, requester: Option<&str>) -> bool {
    Queue::of(job, requester).is_some()
}

/// Whether the requester is a queue that has written the Job. Without a field manager it may be.
pub fn is_its_queue(job: Job<'_>, requester: Option<&str>) -> bool {
    let Some(queue) = Queue::of(job, None) else { return false };
    let is_by = |entry: &Value, name: &str| {
        entry.get("manager").is_some_and(|manager| manager == name)
            && entry.get("fieldsV1").is_some_and(|fields| queue.theirs.contains(&fields))
    };
    requester.is_none_or(|name| job.managed_fields().iter().any(|entry| is_by(entry, name)))
}

/// Whether two forms of a Job differ in nothing but what queues own in one of them.
pub fn differ_by_a_queue(old: Job<'_>, new: Job<'_>) -> bool {
    let queues = [old, new].map(|job| Queue::of(job, None));
    let [old, new] = [old, new].map(|job| {
        let mut job = job.value().clone();
        for queue in queues.iter().flatten() {
            queue.take_keys(&mut job, None);
            queue.take_whole(&mut job, None, None);
        }
        job
    });
    changes(&old, &new).is_empty()
}

/// With `unchanged`, only what is the same there.
fn without<'a>(
    job: Job<'a>,
    stored: Job<'_>,
    requester: Option<&str>,
    unchanged: Option<&Value>,
) -> Cow<'a, Value> {
    let Some(queue) = Queue::of(job, requester) else { return Cow::Borrowed(job.value()) };
    let mut stripped = job.value().clone();
    queue.take_keys(&mut stripped, unchanged);
    // A directive of one owner hides what it was before.
    match Queue::of(stored, requester) {
        // The queue writes it now: it was what is stored.
        None => queue.take_whole(&mut stripped, Some(stored.value()), unchanged),
        // The queue wrote it earlier: it was what kubectl's record says, or without one perhaps nothing.
        Some(earlier) => {
            let manifest = last_applied(job);
            if manifest.is_some() || earlier.hides_nothing(stored) {
                queue.take_whole(&mut stripped, manifest.as_ref(), unchanged);
            }
        }
    }
    Cow::Owned(stripped)
}

/// The `suspend` of a new Job that replaces one whose `suspend` only queues own: what the manifest
/// says, and without one true, so that the queue admits the new Job as it did the old one.
pub fn suspended_by_a_queue(job: Job<'_>, requester: Option<&str>) -> Option<bool> {
    Queue::of(job, requester).filter(Queue::owns_suspend)?;
    let manifest = last_applied(job);
    Some(manifest.is_none_or(|manifest| Job::new(&manifest).is_suspended()))
}

/// `metadata.managedFields` of a new Job: those of the status left out, and what queues own of it.
pub fn owners(job: Job<'_>, requester: Option<&str>) -> Vec<Value> {
    let queue = Queue::of(job, requester);
    let of_a_queue = |entry: &Value| {
        let theirs = queue.as_ref().map(|queue| queue.theirs.as_slice()).unwrap_or_default();
        theirs.iter().any(|fields| entry.get("fieldsV1") == Some(*fields))
    };
    let entries = job.managed_fields().iter().filter(|entry| !is_of_subresource(entry));
    entries
        .map(|entry| {
            let mut kept = entry.clone();
            if of_a_queue(entry)
                && let Some(Value::Object(spec)) = kept.pointer_mut("/fieldsV1/f:spec")
            {
                spec.remove("f:template");
                spec.remove("f:suspend");
            }
            kept
        })
        .collect()
}

impl<'a> Queue<'a> {
    fn of(job: Job<'a>, requester: Option<&str>) -> Option<Self> {
        let entries = || {
            let entries = job.managed_fields().iter().filter(|entry| !is_of_subresource(entry));
            entries.filter_map(|entry| {
                Some((entry.get("manager").and_then(Value::as_str), entry.get("fieldsV1")?))
            })
        };
        let has_made_it = |name| {
            let containers = "/f:spec/f:template/f:spec/f:containers";
            entries()
                .any(|(manager, fields)| manager == name && fields.pointer(containers).is_some())
        };
        let (ours, others): (Vec<_>, Vec<_>) = entries().partition(|(name, _)| {
            let is_a_person = name.is_some_and(|name| name.starts_with("kubectl"));
            *name == requester || is_a_person || has_made_it(*name)
        });
        let ours = ours.into_iter().map(|(_, fields)| fields).collect();
        let theirs = others.into_iter().map(|(_, fields)| fields);
        let theirs =
            theirs.filter(|fields| fields.pointer("/f:spec/f:template").is_some()).collect();
        let queue = Self { theirs, ours };
        let was_suspended = job.is_suspended() || job.has_condition("Suspended");
        (!queue.theirs.is_empty() && (was_suspended || queue.owns_suspend())).then_some(queue)
    }

    /// Whether the rest of the stored Job is what was recorded at its creation.
    fn hides_nothing(&self, stored: Job<'_>) -> bool {
        let mut rest = stored.value().clone();
        self.take_keys(&mut rest, None);
        self.take_whole(&mut rest, None, None);
        stored.recorded_hash() == Some(TemplateHash::of(&rest))
    }

    fn owns_suspend(&self) -> bool {
        self.owns("/f:spec/f:suspend")
    }

    /// Whether only queues own the field at that path of `fieldsV1`.
    fn owns(&self, path: &str) -> bool {
        let has = |fields: &&Value| fields.pointer(path).is_some();
        self.theirs.iter().any(has) && !self.ours.iter().any(has)
    }

    /// Takes out the annotations and labels of the template that only queues own.
    fn take_keys(&self, job: &mut Value, unchanged: Option<&Value>) {
        for map in BY_KEY {
            let path = format!("/spec/template/metadata/{map}");
            let parent = format!("/f:spec/f:template/f:metadata/f:{map}");
            let keys = self.theirs.iter().filter_map(|fields| fields.pointer(&parent)?.as_object());
            let keys: Vec<&str> =
                keys.flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:")).collect();
            for key in keys {
                if self.owns(&format!("{parent}/f:{}", escaped(key)))
                    && is_as_in(unchanged, job, &path, key)
                    && let Some(Value::Object(map)) = job.pointer_mut(&path)
                {
                    map.remove(key);
                }
            }
        }
    }

    /// Removes the directives that only queues own, or makes them what the manifest says.
    fn take_whole(&self, job: &mut Value, manifest: Option<&Value>, unchanged: Option<&Value>) {
        for (parent, name) in WHOLE {
            if !self.owns(&format!("{}/f:{name}", parent.replace('/', "/f:")))
                || !is_as_in(unchanged, job, parent, name)
            {
                continue;
            }
            let wanted = manifest.and_then(|manifest| manifest.pointer(parent)?.get(name));
            if let Some(Value::Object(fields)) = job.pointer_mut(parent) {
                match wanted {
                    Some(value) => fields.insert(name.to_owned(), value.clone()),
                    None => fields.remove(name),
                };
            }
        }
    }
}

/// Whether a field is the same in both, if there is another one.
fn is_as_in(other: Option<&Value>, job: &Value, parent: &str, name: &str) -> bool {
    let field = |job: &Value| job.pointer(parent).and_then(|parent| parent.get(name)).cloned();
    other.is_none_or(|other| field(other) == field(job))
}

/// A reference token of a JSON Pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A Job of `kubectl` that `kueue` has admitted.
    fn admitted() -> Value {
        json!({
            "metadata": { "managedFields": [
                { "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:spec": {
                    "f:template": {
                        "f:metadata": { "f:annotations": { ".": {}, "f:a/b": {} } },
                        "f:spec": { "f:containers": { "k:{\"name\":\"app\"}": { "f:image": {} } } }
                    }
                } } },
                { "manager": "kueue", "operation": "Update", "fieldsV1": { "f:spec": {
                    "f:suspend": {},
                    "f:template": {
                        "f:metadata": { "f:annotations": { "f:kueue.x-k8s.io/workload": {} } },
                        "f:spec": { "f:nodeSelector": {}, "f:tolerations": {} }
                    }
                } } }
            ] },
            "spec": { "suspend": false, "template": {
                "metadata": { "annotations": { "a/b": "ours", "kueue.x-k8s.io/workload": "w" } },
                "spec": {
                    "containers": [{ "name": "app", "image": "a:1" }],
                    "nodeSelector": { "zone": "b" }, "tolerations": [{ "key": "spot" }]
                }
            } }
        })
    }

    /// With the hash of what was made at first.
    fn recorded(mut job: Value, made: &Value) -> Value {
        let hash = TemplateHash::of(made);
        job["metadata"]["annotations"]["rejob.dev/template-hash"] = json!(hash.as_str());
        job
    }

    fn stripped(job: &Value, requester: &str) -> Value {
        without_queue_fields(Job::new(job), Job::new(job), Some(requester)).into_owned()
    }

    fn made() -> Value {
        json!({ "spec": { "template": {
            "metadata": { "annotations": { "a/b": "ours" } },
            "spec": { "containers": [{ "name": "app", "image": "a:1" }] }
        } } })
    }

    #[test]
    fn what_only_a_queue_owns_is_not_part_of_what_was_asked_for() {
        let job = recorded(admitted(), &made());
        let job = stripped(&job, "helm");
        assert_eq!(job["spec"]["template"], made()["spec"]["template"]);
    }

    #[test]
    fn what_the_requester_or_the_maker_owns_is() {
        let mut job = recorded(admitted(), &made());
        assert_eq!(stripped(&job, "kueue"), job, "its own request");
        let pointer = "/metadata/managedFields/0/fieldsV1/f:spec/f:template/f:spec";
        job.pointer_mut(pointer).unwrap()["f:nodeSelector"] = json!({});
        let job = stripped(&job, "helm");
        assert_eq!(job["spec"]["template"]["spec"]["nodeSelector"], json!({ "zone": "b" }));
    }

    #[test]
    fn a_directive_that_hides_another_one_stays_unless_a_manifest_tells() {
        let mut first = made();
        first["spec"]["template"]["spec"]["nodeSelector"] = json!({ "arch": "arm64" });
        let mut job = recorded(admitted(), &first);
        let selector =
            |job: &Value| stripped(job, "helm")["spec"]["template"]["spec"]["nodeSelector"].clone();
        assert_eq!(selector(&job), json!({ "zone": "b" }));
        job["metadata"]["annotations"][LAST_APPLIED] = json!(first.to_string());
        assert_eq!(selector(&job), json!({ "arch": "arm64" }));
    }

    #[test]
    fn a_job_that_was_never_suspended_has_no_queue() {
        let mut job = admitted();
        let kueue = "/metadata/managedFields/1/fieldsV1/f:spec";
        job.pointer_mut(kueue).unwrap().as_object_mut().unwrap().remove("f:suspend");
        assert_eq!(stripped(&job, "helm"), job);
        job["status"]["conditions"] = json!([{ "type": "Suspended", "status": "False" }]);
        assert_ne!(stripped(&job, "helm"), job);
    }

    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
}
