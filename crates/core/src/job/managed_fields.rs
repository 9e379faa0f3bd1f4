//! Was the request a server-side apply? Read off `metadata.managedFields`.
//!
//! On CREATE any entry with `operation: Apply` shows it. On UPDATE the owners of the changed fields
//! show it, not the clock: entry times are whole seconds, and an apply within the second of the last
//! one changes nothing in managedFields. `fieldsV1` is walked beside the two objects
//! (`sigs.k8s.io/structured-merge-diff`, `fieldpath/serialize-pe.go`: `f:` a field, `k:` a list
//! item by its keys, `v:` a set's value, `i:` an index, `.` the item itself); a path that ends
//! there is a leaf, so atomic lists count whole.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{IMMUTABLE_FIELDS, Job, keys};
use crate::json;

/// Whether some manager applied this object (CREATE: whether the request is an apply).
pub fn has_apply_entry(job: Job<'_>) -> bool {
    job.managed_fields().iter().any(|entry| operation(entry) == Some("Apply"))
}

/// What acted in an UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActingOperation {
    /// A server-side apply.
    Apply,
    /// A PUT or a patch.
    Update,
    /// Either: leaves were only removed, within the second of the manager's last apply.
    Unclear,
}

/// Whether the UPDATE from `old` to `new` by `manager` is a server-side apply.
///
/// The entry that owns the deepest changed leaf acted. (An entry that owns an empty object formally
/// owns everything inside it.) If unsure, this assumes that it was no apply. That is the harmless
/// mistake: a Job that was deleted for an apply that is none would not come back.
pub fn acting_operation(old: Job<'_>, new: Job<'_>, manager: Option<&str>) -> ActingOperation {
    let Some(manager) = manager else { return ActingOperation::Update };
    let Some(applied) = entry(new, manager, "Apply") else { return ActingOperation::Update };
    let depth =
        |entry: &Value| entry.get("fieldsV1").and_then(|fields| deepest_change(fields, old, new));
    let by_apply = depth(applied);
    let by_update = entry(new, manager, "Update").and_then(depth);
    if by_apply.is_some() || by_update.is_some() {
        return if by_apply > by_update { ActingOperation::Apply } else { ActingOperation::Update };
    }
    // Only removals: the Apply entry gets a new time when, and only when, it acts, in whole seconds.
    let time = |entry: &Value| entry.get("time").and_then(Value::as_str).map(str::to_owned);
    let before = entry(old, manager, "Apply");
    match before {
        None => ActingOperation::Apply,
        Some(before) if time(applied) > time(before) => ActingOperation::Apply,
        Some(before) if before.get("fieldsV1") == applied.get("fieldsV1") => {
            ActingOperation::Update
        }
        Some(_) => ActingOperation::Unclear,
    }
}

/// The time of a manager's last apply, as RFC 3339.
pub fn last_apply<'a>(job: Job<'a>, manager: &str) -> Option<&'a str> {
    entry(job, manager, "Apply")?.get("time")?.as_str()
}

/// The index in `metadata.managedFields` of a manager's own Apply entry.
pub fn entry_index(job: Job<'_>, manager: &str) -> Option<usize> {
    job.managed_fields().iter().position(|entry| is_entry(entry, manager, "Apply"))
}

fn entry<'a>(job: Job<'a>, manager: &str, wanted: &str) -> Option<&'a Value> {
    job.managed_fields().iter().find(|entry| is_entry(entry, manager, wanted))
}

fn is_entry(entry: &Value, manager: &str, wanted: &str) -> bool {
    entry.get("manager").and_then(Value::as_str) == Some(manager)
        && operation(entry) == Some(wanted)
        && !is_of_subresource(entry)
}

/// Whether an entry of managedFields is about a subresource, such as the status.
pub fn is_of_subresource(entry: &Value) -> bool {
    entry.get("subresource").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
}

fn operation(entry: &Value) -> Option<&str> {
    entry.get("operation")?.as_str()
}

/// How deep the deepest leaf of the immutable part, or the rerun annotation, lies that the request
/// added or modified and the fields contain.
fn deepest_change(fields: &Value, old: Job<'_>, new: Job<'_>) -> Option<usize> {
    let of_spec = IMMUTABLE_FIELDS.iter().filter_map(|field| {
        let owned = fields.get("f:spec").and_then(|spec| spec.get(format!("f:{field}")))?;
        deepest_leaf(owned, old.spec(field), new.spec(field), 0)
    });
    let rerun = || {
        fields
            .pointer("/f:metadata/f:annotations")
            .and_then(|annotations| annotations.get(format!("f:{}", keys::RERUN)))?;
        let value = |job: Job<'_>| job.annotation(keys::RERUN).map(str::to_owned);
        (value(new).is_some() && value(new) != value(old)).then_some(0)
    };
    of_spec.max().max(rerun())
}

/// How deep the deepest leaf below `owned` lies that is in `new` and not the same in `old`.
fn deepest_leaf(
    owned: &Value,
    old: Option<&Value>,
    new: Option<&Value>,
    depth: usize,
) -> Option<usize> {
    let new = new?;
    if old == Some(new) {
        return None;
    }
    let Some(children) = owned.as_object().filter(|children| !children.is_empty()) else {
        return Some(depth);
    };
    let items = Items::of(children, old, new);
    let below_it = depth + 1;
    let found = |child: bool| child.then_some(below_it);
    children
        .iter()
        .filter_map(|(segment, below)| match segment.split_once(':') {
            None => found(old.is_none()), // ".": the item itself
            Some(("f", name)) => {
                deepest_leaf(below, old.and_then(|old| old.get(name)), new.get(name), below_it)
            }
            Some(("k", _)) => {
                let (old, new) = items.of_key(segment)?;
                deepest_leaf(below, old, new, below_it)
            }
            Some(("v", value)) => {
                let value: Value = json::read(value)?;
                let has = |list: &Value| list.as_array().is_some_and(|list| list.contains(&value));
                found(has(new) && !old.is_some_and(has))
            }
            Some(("i", index)) => {
                let index = index.parse::<usize>().ok()?;
                deepest_leaf(below, old.and_then(|old| old.get(index)), new.get(index), below_it)
            }
            Some(_) => None,
        })
        .max()
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

    /// The old and the new item of a `k:` segment.
    fn of_key(&self, segment: &str) -> Option<(Option<&'a Value>, Option<&'a Value>)> {
        let keys = keys_of(segment).filter(|keys| keys.keys().eq(self.names.iter()))?;
        let key: Vec<Value> = keys.into_iter().map(|(_, value)| value).collect();
        Some((self.old.get(&key).copied(), self.new.get(&key).copied()))
    }
}

/// The keys of a `k:` segment, sorted by name.
pub(super) fn keys_of(segment: &str) -> Option<Map<String, Value>> {
    json::read(segment.strip_prefix("k:")?)
}

/// The key of a list item. A key whose value is a default may be absent (`protocol: TCP` of a port).
pub(super) fn key_of(item: &Value, names: &[String]) -> Vec<Value> {
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
        acting_operation(Job::new(old), Job::new(new), Some("helm")) == ActingOperation::Apply
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
    fn only_removals_within_the_second_are_unclear() {
        let with = job("a", &["1"], json!([entry("Apply", "t1", &["image", "args"])]));
        let mut same = job("a", &[], json!([entry("Apply", "t1", &["image"])]));
        same["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("args");
        let acted = |new: &Value| acting_operation(Job::new(&with), Job::new(new), Some("helm"));
        assert_eq!(acted(&same), ActingOperation::Unclear);
        // A PUT can carry older managedFields, which are no sign of an apply.
        same["metadata"]["managedFields"] = json!([entry("Apply", "t0", &["image"])]);
        assert_eq!(acted(&same), ActingOperation::Unclear);
        same["metadata"]["managedFields"] = with["metadata"]["managedFields"].clone();
        assert_eq!(acted(&same), ActingOperation::Update);
    }

    #[test]
    fn what_was_put_into_an_applied_empty_object_is_its_putters() {
        let mut old = job("a", &[], json!([entry("Apply", "t1", &["image", "resources"])]));
        old["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
        let mut update = entry("Update", "t1", &[]);
        update["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"app\"}"]
            ["f:resources"] = json!({ "f:limits": { ".": {}, "f:cpu": {} } });
        let mut new = old.clone();
        new["spec"]["template"]["spec"]["containers"][0]["resources"] =
            json!({ "limits": { "cpu": "1" } });
        let applied = entry("Apply", "t1", &["image", "resources"]);
        new["metadata"]["managedFields"] = json!([applied, update]);
        assert_eq!(
            acting_operation(Job::new(&old), Job::new(&new), Some("helm")),
            ActingOperation::Update
        );
    }

    #[test]
    fn another_manager_or_none_is_not_an_apply() {
        let entries = json!([entry("Apply", "t1", &["image"])]);
        let (old, new) = (job("a:1", &[], entries.clone()), job("a:2", &[], entries));
        assert_eq!(
            acting_operation(Job::new(&old), Job::new(&new), Some("kubectl")),
            ActingOperation::Update
        );
        assert_eq!(acting_operation(Job::new(&old), Job::new(&new), None), ActingOperation::Update);
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
        let owned = |fields: Value| deepest_leaf(&fields, Some(&old), Some(&new), 0).is_some();
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
            assert_eq!(deepest_leaf(&fields, None, Some(&json!([1])), 0), None);
        }
    }
}
