//! The difference between two normal forms, leaf by leaf.
//!
//! Items of a list are matched by the fields that tell them apart in the schema (a container's
//! name, a port's number and protocol); where those are missing or not unique, by their place.
//! Lists of plain values, such as `args`, change as a whole.

use std::collections::BTreeMap;

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::change::{Change, is_harmless};
use super::normalize::{Shape, Type};

/// The changes of a struct of that type at that path, in the order of the keys.
pub(super) fn changes(kind: &'static Type, path: &str, old: &Value, new: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    value(Shape::Object(kind), false, path, Some(old), Some(new), &mut out);
    out
}

fn object(
    kind: &'static Type,
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    out: &mut Vec<Change>,
) {
    for name in union(old.keys(), new.keys()) {
        let shape = kind.field(name).map_or(Shape::Any, |field| field.shape);
        let harmless = is_harmless(name, shape);
        value(shape, harmless, &format!("{path}.{name}"), old.get(name), new.get(name), out);
    }
}

fn value(
    shape: Shape,
    harmless: bool,
    path: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Vec<Change>,
) {
    if old == new {
        return;
    }
    match (shape, old, new) {
        (Shape::Object(kind), Some(Value::Object(old)), Some(Value::Object(new))) => {
            object(kind, path, old, new, out);
        }
        (
            Shape::TextMap | Shape::Quantities,
            Some(Value::Object(_)) | None,
            Some(Value::Object(_)) | None,
        ) => {
            let empty = Map::new();
            let old = old.and_then(Value::as_object).unwrap_or(&empty);
            let new = new.and_then(Value::as_object).unwrap_or(&empty);
            let harmless = matches!(shape, Shape::Quantities);
            for key in union(old.keys(), new.keys()) {
                let path = format!("{path}[{key}]");
                value(Shape::Any, harmless, &path, old.get(key), new.get(key), out);
            }
        }
        (
            Shape::Objects(kind, keys),
            Some(Value::Array(_)) | None,
            Some(Value::Array(_)) | None,
        ) => {
            let old = old.and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
            let new = new.and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
            list(kind, keys, path, old, new, out);
        }
        (Shape::Any, Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in union(old.keys(), new.keys()) {
                let path = format!("{path}.{name}");
                value(Shape::Any, false, &path, old.get(name), new.get(name), out);
            }
        }
        _ => {
            let (old, new) = (old.cloned(), new.cloned());
            out.push(Change { path: path.to_owned(), old, new, harmless });
        }
    }
}

fn list(
    kind: &'static Type,
    keys: &[&str],
    path: &str,
    old: &[Value],
    new: &[Value],
    out: &mut Vec<Change>,
) {
    let (Some(old_names), Some(new_names)) = (names(keys, old), names(keys, new)) else {
        for index in 0..old.len().max(new.len()) {
            value(
                Shape::Object(kind),
                false,
                &format!("{path}[{index}]"),
                old.get(index),
                new.get(index),
                out,
            );
        }
        return;
    };
    let old_items: BTreeMap<&str, &Value> = old_names.iter().map(String::as_str).zip(old).collect();
    let new_items: BTreeMap<&str, &Value> = new_names.iter().map(String::as_str).zip(new).collect();
    let added = new_names.iter().filter(|name| !old_items.contains_key(name.as_str()));
    for name in old_names.iter().chain(added) {
        let path = format!("{path}[{name}]");
        let name = name.as_str();
        value(
            Shape::Object(kind),
            false,
            &path,
            old_items.get(name).copied(),
            new_items.get(name).copied(),
            out,
        );
    }
    let kept: Vec<&String> =
        old_names.iter().filter(|name| new_items.contains_key(name.as_str())).collect();
    let moved = new_names.iter().filter(|name| old_items.contains_key(name.as_str()));
    if !kept.into_iter().eq(moved) {
        out.push(Change {
            path: format!("{path} (order)"),
            old: Some(Value::from(old_names)),
            new: Some(Value::from(new_names)),
            harmless: false,
        });
    }
}

/// The items' names by their key fields, `None` where they do not tell the items apart.
fn names(keys: &[&str], items: &[Value]) -> Option<Vec<String>> {
    if keys.is_empty() {
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    let mut seen: HashSet<String> = HashSet::with_capacity(items.len());
    for item in items {
        let mut parts = Vec::with_capacity(keys.len());
        for key in keys {
            parts.push(match item.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                // The one key field with a default, which the normal form leaves out.
                None if *key == "protocol" => "TCP".to_owned(),
                _ => return None,
            });
        }
        let name = parts.join("/");
        if !seen.insert(name.clone()) {
            return None;
        }
        names.push(name);
    }
    Some(names)
}

/// The keys of both, sorted, each once.
fn union<'a>(
    old: impl Iterator<Item = &'a String>,
    new: impl Iterator<Item = &'a String>,
) -> impl Iterator<Item = &'a String> {
    old.chain(new).collect::<std::collections::BTreeSet<_>>().into_iter()
}
