//! Was the request a server-side apply? Read off `metadata.managedFields`.
//!
//! On CREATE any entry with `operation: Apply` tells. On UPDATE the owners of the changed fields
//! tell, not the clock: entry times are whole seconds, and an apply within the second of the last
//! one changes nothing in managedFields. `fieldsV1` is walked beside the two objects
//! (`sigs.k8s.io/structured-merge-diff`, `fieldpath/serialize-pe.go`: `f:` a field, `k:` a list
//! item by its keys, `v:` a set's value, `i:` an index, `.` the item itself); a path that ends
//! there is a leaf, so atomic lists count whole.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{IMMUTABLE_FIELDS, Job, keys};

/// Whether some manager applied this object (CREATE: whether the request is an apply).
#[must_use]
pub fn has_apply_entry(job: Job<'_>) -> bool {
    job.managed_fields().iter().any(|entry| operation(entry) == Some("Apply"))
}

/// Whether the UPDATE from `old` to `new` by `manager` is a server-side apply.
#[must_use]
pub fn is_apply(old: Job<'_>, new: Job<'_>, manager: Option<&str>) -> bool {
    let Some(manager) = manager else { return false };
    let Some(applied) = entry(new, manager, "Apply") else { return false };
    let acted =
        |entry: &Value| entry.get("fieldsV1").is_some_and(|fields| owns_a_change(fields, old, new));
    if acted(applied) {
        return true;
    }
    if entry(new, manager, "Update").is_some_and(acted) {
        return false;
    }
    // Only removals: the Apply entry gets a new time when, and only when, it acts.
    entry(old, manager, "Apply").and_then(|before| before.get("time")) != applied.get("time")
}

/// The index in `metadata.managedFields` of a manager's own Apply entry.
#[must_use]
pub fn entry_index(job: Job<'_>, manager: &str) -> Option<usize> {
    job.managed_fields().iter().position(|entry| is_entry(entry, manager, "Apply"))
}

fn entry<'a>(job: Job<'a>, manager: &str, wanted: &str) -> Option<&'a Value> {
    job.managed_fields().iter().find(|entry| is_entry(entry, manager, wanted))
}

fn is_entry(entry: &Value, manager: &str, wanted: &str) -> bool {
    let subresource = entry.get("subresource").and_then(Value::as_str).unwrap_or_default();
    entry.get("manager").and_then(Value::as_str) == Some(manager)
        && operation(entry) == Some(wanted)
        && subresource.is_empty()
}

fn operation(entry: &Value) -> Option<&str> {
    entry.get("operation")?.as_str()
}

/// Whether the fields contain a leaf of the immutable part, or the rerun annotation, that the
/// request added or modified.
fn owns_a_change(fields: &Value, old: Job<'_>, new: Job<'_>) -> bool {
    let of_spec = IMMUTABLE_FIELDS.iter().any(|field| {
        let owned = fields.get("f:spec").and_then(|spec| spec.get(format!("f:{field}")));
        owned.is_some_and(|owned| touches(owned, old.spec(field), new.spec(field)))
    });
    of_spec || {
        let owned = fields
            .pointer("/f:metadata/f:annotations")
            .and_then(|annotations| annotations.get(format!("f:{}", keys::RERUN)));
        let rerun = |job: Job<'_>| job.annotation(keys::RERUN).map(str::to_owned);
        owned.is_some() && rerun(new).is_some() && rerun(new) != rerun(old)
    }
}

/// Whether a leaf below `owned` is in `new` and not the same in `old`.
fn touches(owned: &Value, old: Option<&Value>, new: Option<&Value>) -> bool {
    let Some(new) = new else { return false };
    if old == Some(new) {
        return false;
    }
    let Some(children) = owned.as_object().filter(|children| !children.is_empty()) else {
        return true;
    };
    let items = Items::of(children, old, new);
    children.iter().any(|(segment, below)| match segment.split_once(':') {
        None => old.is_none(), // ".": the item itself
        Some(("f", name)) => touches(below, old.and_then(|old| old.get(name)), new.get(name)),
        Some(("k", _)) => items.touch(segment, below),
        Some(("v", value)) => {
            let Ok(value) = serde_json::from_str::<Value>(value) else { return false };
            let has = |list: &Value| list.as_array().is_some_and(|list| list.contains(&value));
            has(new) && !old.is_some_and(has)
        }
        Some(("i", index)) => {
            let Ok(index) = index.parse::<usize>() else { return false };
            touches(below, old.and_then(|old| old.get(index)), new.get(index))
        }
        Some(_) => false,
    })
}

/// The items of the two lists by their keys: one look at each list, however many keys there are.
struct Items<'a> {
    names: Vec<String>,
    old: HashMap<Vec<Value>, &'a Value>,
    new: HashMap<Vec<Value>, &'a Value>,
}

impl<'a> Items<'a> {
    /// All `k:` segments of one list name the same keys.
    fn of(children: &Map<String, Value>, old: Option<&'a Value>, new: &'a Value) -> Self {
        let keys = children.keys().find_map(|segment| keys_of(segment)).unwrap_or_default();
        let names: Vec<String> = keys.into_iter().map(|(name, _)| name).collect();
        let by_key = |list: Option<&'a Value>| -> HashMap<Vec<Value>, &'a Value> {
            let items = list.filter(|_| !names.is_empty()).and_then(Value::as_array);
            items.into_iter().flatten().map(|item| (key_of(item, &names), item)).collect()
        };
        Self { old: by_key(old), new: by_key(Some(new)), names }
    }

    fn touch(&self, segment: &str, below: &Value) -> bool {
        let Some(keys) = keys_of(segment) else { return false };
        if !keys.keys().eq(self.names.iter()) {
            return false;
        }
        let key: Vec<Value> = keys.into_iter().map(|(_, value)| value).collect();
        touches(below, self.old.get(&key).copied(), self.new.get(&key).copied())
    }
}

/// The keys of a `k:` segment, sorted by name.
fn keys_of(segment: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(segment.strip_prefix("k:")?).ok()
}

/// The key of a list item. A key whose value is a default may be absent (`protocol: TCP` of a port).
fn key_of(item: &Value, names: &[String]) -> Vec<Value> {
    let value = |name: &String| match item.get(name) {
        Some(value) => value.clone(),
        None if name == "protocol" => Value::from("TCP"),
        None => Value::Null,
    };
    names.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(image: &str, args: &[&str], entries: Value) -> Value {
        json!({
            "metadata": { "managedFields": entries },
            "spec": { "template": { "spec": { "containers": [
                { "name": "app", "image": image, "args": args, "ports": [{ "containerPort": 80 }] }
            ] } } }
        })
    }

    fn entry(operation: &str, time: &str, leaves: &[&str]) -> Value {
        let mut container = json!({ ".": {} });
        for leaf in leaves {
            container[format!("f:{leaf}")] = json!({});
        }
        json!({
            "manager": "helm", "operation": operation, "time": time,
            "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"app\"}": container
            } } } } }
        })
    }

    fn decided(old: &Value, new: &Value) -> bool {
        is_apply(Job::new(old), Job::new(new), Some("helm"))
    }

    #[test]
    fn an_apply_within_the_second_is_told_by_the_owner_of_the_leaf() {
        let entries = json!([entry("Apply", "t1", &["image", "args"])]);
        assert!(decided(&job("a:1", &[], entries.clone()), &job("a:2", &[], entries)));
    }

    #[test]
    fn a_put_by_the_same_manager_is_told_by_the_owner_of_the_leaf() {
        let old = job("a:1", &[], json!([entry("Apply", "t1", &["image", "args"])]));
        let new = job(
            "a:2",
            &[],
            json!([entry("Apply", "t1", &["args"]), entry("Update", "t1", &["image"])]),
        );
        assert!(!decided(&old, &new));
    }

    #[test]
    fn an_atomic_list_counts_whole() {
        let entries = json!([entry("Apply", "t1", &["args"])]);
        assert!(decided(&job("a", &["1", "2"], entries.clone()), &job("a", &["1"], entries)));
    }

    #[test]
    fn only_removals_are_told_by_the_time_of_the_apply_entry() {
        let with = job("a", &["1"], json!([entry("Apply", "t1", &["image", "args"])]));
        let mut later = job("a", &[], json!([entry("Apply", "t2", &["image"])]));
        later["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("args");
        assert!(decided(&with, &later));
        let mut same = later.clone();
        same["metadata"]["managedFields"] = json!([entry("Apply", "t1", &["image"])]);
        assert!(!decided(&with, &same));
    }

    #[test]
    fn another_manager_or_none_is_not_an_apply() {
        let entries = json!([entry("Apply", "t1", &["image"])]);
        let (old, new) = (job("a:1", &[], entries.clone()), job("a:2", &[], entries));
        assert!(!is_apply(Job::new(&old), Job::new(&new), Some("kubectl")));
        assert!(!is_apply(Job::new(&old), Job::new(&new), None));
    }

    #[test]
    fn a_subresource_entry_does_not_count() {
        let mut applied = entry("Apply", "t1", &["image"]);
        applied["subresource"] = json!("status");
        let entries = json!([applied]);
        assert!(!decided(&job("a:1", &[], entries.clone()), &job("a:2", &[], entries)));
    }

    #[test]
    fn a_rerun_annotation_is_a_leaf_too() {
        let with = |value: &str| {
            json!({ "metadata": {
                "annotations": { "rejob.dev/rerun": value },
                "managedFields": [{ "manager": "helm", "operation": "Apply", "time": "t1", "fieldsV1":
                    { "f:metadata": { "f:annotations": { "f:rejob.dev/rerun": {} } } } }]
            } })
        };
        assert!(decided(&with("1"), &with("2")));
    }

    #[test]
    fn keys_sets_and_indices_are_followed() {
        let new = json!({ "ports": [{ "containerPort": 80, "hostPort": 1 }], "set": ["a", "b"], "list": [1, 2] });
        let old = json!({ "ports": [{ "containerPort": 80 }], "set": ["a"], "list": [1, 3] });
        let owned = |fields: Value| touches(&fields, Some(&old), Some(&new));
        assert!(owned(
            json!({ "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { "f:hostPort": {} } } })
        ));
        assert!(!owned(
            json!({ "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {} } } })
        ));
        assert!(owned(json!({ "f:set": { "v:\"b\"": {} } })));
        assert!(!owned(json!({ "f:set": { "v:\"a\"": {} } })));
        assert!(owned(json!({ "f:list": { "i:1": {} } })));
        assert!(!owned(json!({ "f:list": { "i:0": {} } })));
    }

    #[test]
    fn malformed_fields_never_panic() {
        for fields in
            [json!({ "k:{": {} }), json!({ "v:{": {} }), json!({ "i:x": {} }), json!({ "z:": {} })]
        {
            assert!(!touches(&fields, None, Some(&json!([1]))));
        }
    }
}
