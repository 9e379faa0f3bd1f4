//! Edits of an object that is no more than JSON, and JSON that stands in its strings.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The longest text that is read as JSON, in bytes: the API server's limit of all annotations of an
/// object. What is read takes a hundred times its text.
const LONGEST: usize = 256 * 1024;

/// What a text in an object says; `None` if it is too long, or is not that.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    (text.len() <= LONGEST).then(|| serde_json::from_str(text).ok())?
}

/// Takes a field out of the object at that JSON Pointer.
pub(crate) fn take(value: &mut Value, parent: &str, field: &str) {
    if let Some(Value::Object(map)) = value.pointer_mut(parent) {
        map.remove(field);
    }
}

/// Sets a field of an object of the root, if that is there.
pub(crate) fn put(job: &mut Value, parent: &str, field: &str, value: Value) {
    if let Some(Value::Object(map)) = job.get_mut(parent) {
        map.insert(field.to_owned(), value);
    }
}

/// Sets a key in a map of `metadata`, which is made if it is not there.
pub(crate) fn put_in(job: &mut Value, map: &str, key: &str, value: Value) {
    if let Some(Value::Object(metadata)) = job.get_mut("metadata") {
        let entry = metadata.entry(map).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        if let Value::Object(entry) = entry {
            entry.insert(key.to_owned(), value);
        }
    }
}
