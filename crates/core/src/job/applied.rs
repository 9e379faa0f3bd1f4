//! What a manager applied: the part of an object that its Apply entry owns.
//!
//! After the deletion the API server creates the Job from the client's apply alone, so that is what
//! must be accepted, not the object that it was merged into.

use serde_json::{Map, Value};

use super::Job;
use super::managed_fields::{key_of, keys_of};

/// Where `fieldsV1` has a map or list whose fields or items have owners of their own, and where the
/// object has it. One that owns it and nothing in it has applied an empty one: what is in it is
/// others', such as the labels that the API server generates and the containers that a hook adds.
const SHARED: [(&str, &str); 8] = [
    ("/f:metadata/f:labels", "/metadata/labels"),
    ("/f:metadata/f:annotations", "/metadata/annotations"),
    ("/f:spec/f:template/f:metadata", "/spec/template/metadata"),
    ("/f:spec/f:template/f:metadata/f:labels", "/spec/template/metadata/labels"),
    ("/f:spec/f:template/f:metadata/f:annotations", "/spec/template/metadata/annotations"),
    ("/f:spec/f:template/f:spec/f:imagePullSecrets", "/spec/template/spec/imagePullSecrets"),
    ("/f:spec/f:template/f:spec/f:initContainers", "/spec/template/spec/initContainers"),
    ("/f:spec/f:template/f:spec/f:volumes", "/spec/template/spec/volumes"),
];

/// The manager's applied configuration as far as `fieldsV1` shows it; `None` without an Apply entry.
pub fn applied_part(job: Job<'_>, index: usize) -> Option<Value> {
    let fields = job.managed_fields().get(index)?.get("fieldsV1")?;
    let mut part = owned(fields, job.value())?;
    for (owned, place) in SHARED {
        if fields.pointer(owned).and_then(Value::as_object).is_some_and(Map::is_empty)
            && let Some(part) = part.pointer_mut(place)
        {
            *part = match part {
                Value::Array(_) => Value::Array(Vec::new()),
                _ => Value::Object(Map::new()),
            };
        }
    }
    let root = part.as_object_mut()?;
    for field in ["apiVersion", "kind"] {
        root.insert(field.to_owned(), job.value().get(field)?.clone());
    }
    let metadata = root.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    for field in ["name", "namespace"] {
        if let (Some(metadata), Some(value)) =
            (metadata.as_object_mut(), job.value().get("metadata").and_then(|all| all.get(field)))
        {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    Some(part)
}

/// The owned part of a value; `None` when nothing of it is there.
fn owned(fields: &Value, value: &Value) -> Option<Value> {
    let fields = fields.as_object()?;
    if fields.is_empty() {
        return Some(value.clone());
    }
    match value {
        Value::Object(map) => {
            let part: Map<String, Value> = fields
                .iter()
                .filter_map(|(segment, below)| {
                    let name = segment.strip_prefix("f:")?;
                    Some((name.to_owned(), owned(below, map.get(name)?)?))
                })
                .collect();
            (!part.is_empty() || fields.contains_key(".")).then_some(Value::Object(part))
        }
        Value::Array(list) => {
            let items: Vec<Value> = list
                .iter()
                .enumerate()
                .filter_map(|(at, item)| owned_item(fields, at, item))
                .collect();
            (!items.is_empty() || fields.contains_key(".")).then_some(Value::Array(items))
        }
        other => Some(other.clone()),
    }
}

fn owned_item(fields: &Map<String, Value>, at: usize, item: &Value) -> Option<Value> {
    fields.iter().find_map(|(segment, below)| match segment.split_once(':')? {
        ("k", _) => {
            let keys = keys_of(segment)?;
            let names: Vec<String> = keys.keys().cloned().collect();
            let wanted: Vec<Value> = keys.values().cloned().collect();
            if key_of(item, &names) != wanted {
                return None;
            }
            let mut part = owned(below, item).unwrap_or_else(|| Value::Object(Map::new()));
            if let (Some(part), Some(item)) = (part.as_object_mut(), item.as_object()) {
                // The keys are what the item is known by.
                for name in names {
                    if let Some(value) = item.get(&name) {
                        part.insert(name, value.clone());
                    }
                }
            }
            Some(part)
        }
        ("v", value) => (serde_json::from_str::<Value>(value).ok()? == *item).then(|| item.clone()),
        ("i", index) => (index.parse::<usize>().ok()? == at).then(|| owned(below, item))?,
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_entry_owns_is_applied() {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "a", "namespace": "b", "labels": { "x": "1", "y": "2" },
                "managedFields": [{ "manager": "m", "operation": "Apply", "fieldsV1": {
                    "f:metadata": { "f:labels": { "f:x": {} } },
                    "f:spec": { "f:template": { "f:spec": { "f:containers": {
                        "k:{\"name\":\"app\"}": {
                            ".": {}, "f:args": {}, "f:image": {}, "f:name": {}, "f:resources": {},
                            "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                ".": {}, "f:containerPort": {} } }
                        }
                    } } } }
                } }]
            },
            "spec": { "parallelism": 1, "template": { "spec": { "dnsPolicy": "ClusterFirst", "containers": [
                { "name": "proxy", "image": "p" },
                { "name": "app", "image": "a", "args": ["1", "2"], "tty": true, "resources": { "limits": { "cpu": "1" } },
                  "ports": [{ "containerPort": 80, "protocol": "TCP" }, { "containerPort": 81, "protocol": "TCP" }] }
            ] } } }
        });
        assert_eq!(
            applied_part(Job::new(&job), 0).unwrap(),
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": { "name": "a", "namespace": "b", "labels": { "x": "1" } },
                "spec": { "template": { "spec": { "containers": [
                    { "name": "app", "image": "a", "args": ["1", "2"], "resources": { "limits": { "cpu": "1" } },
                      "ports": [{ "containerPort": 80, "protocol": "TCP" }] }
                ] } } }
            })
        );
        assert_eq!(applied_part(Job::new(&job), 1), None);
    }

    #[test]
    fn of_an_applied_empty_map_nothing_is_the_appliers() {
        let mut job = json!({
            "metadata": { "name": "a", "labels": { "job-name": "a" }, "annotations": { "x": "y" } },
            "spec": { "template": {
                "metadata": { "labels": { "job-name": "a" } },
                "spec": { "initContainers": [{ "name": "proxy" }] }
            } }
        });
        for template in [json!({}), json!({ "f:labels": {} })] {
            job["metadata"]["managedFields"] = json!([{ "fieldsV1": {
                "f:metadata": { "f:labels": {}, "f:annotations": {} },
                "f:spec": { "f:template": {
                    "f:metadata": template, "f:spec": { "f:initContainers": {} }
                } }
            } }]);
            job["apiVersion"] = json!("batch/v1");
            job["kind"] = json!("Job");
            let part = applied_part(Job::new(&job), 0).unwrap();
            let metadata = json!({ "name": "a", "labels": {}, "annotations": {} });
            assert_eq!(part["metadata"], metadata);
            let labels = &part["spec"]["template"]["metadata"]["labels"];
            assert!(labels.as_object().is_none_or(Map::is_empty), "{part}");
            assert_eq!(part["spec"]["template"]["spec"]["initContainers"], json!([]));
        }
    }
}
