//! What a manager applied: the part of an object that its Apply entry owns.
//!
//! After the deletion the API server creates the Job from the client's apply alone, so that is what
//! must be accepted, not the object that it was merged into.

use serde_json::{Map, Value};

use super::Job;
use super::fields::{key_of, keys_of};

/// The manager's applied configuration as far as `fieldsV1` tells; `None` without an Apply entry.
#[must_use]
pub fn applied_part(job: Job<'_>, index: usize) -> Option<Value> {
    let fields = job.managed_fields().get(index)?.get("fieldsV1")?;
    let mut part = owned(fields, job.value())?;
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
}
