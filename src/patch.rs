//! The JSON Patch builder, and the proof that a patch applies.
//!
//! A patch that fails to apply is a 500 to the client even with `failurePolicy: Ignore`. So every
//! operation is made for the object at hand and applied to a copy as it is added: the proof comes
//! with the patch. A patch touches only its own paths; setting what is there already adds no operation, so that deciding again on the result
//! changes nothing.

use std::borrow::Cow;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

/// A finished JSON Patch (RFC 6902), known to apply to the object it was made for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch(Vec<PatchOperation>);

/// A patch that would not apply: a defect of rejob, answered without a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the patch does not apply to the object: {0}")]
pub struct PatchError(String);

impl Patch {
    /// Whether the patch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operations.
    #[must_use]
    pub fn operations(&self) -> &[PatchOperation] {
        &self.0
    }

    /// Applies the patch.
    ///
    /// # Errors
    /// When an operation does not fit the object; never for the object the patch was made for.
    pub fn apply(&self, object: &mut Value) -> Result<(), PatchError> {
        json_patch::patch(object, &self.0).map_err(|error| PatchError(error.to_string()))
    }
}

/// A patch in the making for one object.
#[derive(Debug)]
pub struct Draft<'a> {
    current: Cow<'a, Value>,
    operations: Vec<PatchOperation>,
    error: Option<PatchError>,
}

impl<'a> Draft<'a> {
    /// Begins a patch for an object.
    #[must_use]
    pub fn new(original: &'a Value) -> Self {
        Self { current: Cow::Borrowed(original), operations: Vec::new(), error: None }
    }

    /// The object as patched so far.
    #[must_use]
    pub fn current(&self) -> &Value {
        &self.current
    }

    /// Sets the value at a path of field names (or list indices), making missing parents.
    pub fn set(&mut self, path: &[&str], value: Value) {
        match lookup(&self.current, path) {
            Some(present) if *present == value => return,
            Some(_) => {
                let path = pointer(path);
                self.push(PatchOperation::Replace(ReplaceOperation { path, value }));
                return;
            }
            None => {}
        }
        for end in 1..path.len() {
            let parent = path.get(..end).unwrap_or_default();
            match lookup(&self.current, parent) {
                None => self.push(PatchOperation::Add(AddOperation {
                    path: pointer(parent),
                    value: Value::Object(Map::new()),
                })),
                Some(Value::Null) => self.push(PatchOperation::Replace(ReplaceOperation {
                    path: pointer(parent),
                    value: Value::Object(Map::new()),
                })),
                Some(_) => {}
            }
        }
        self.push(PatchOperation::Add(AddOperation { path: pointer(path), value }));
    }

    /// Removes what is at a path, if anything is.
    pub fn remove(&mut self, path: &[&str]) {
        if lookup(&self.current, path).is_some() {
            self.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
        }
    }

    /// Makes the value at a path what it is in another object: set, or removed.
    pub fn copy(&mut self, path: &[&str], from: &Value) {
        match lookup(from, path) {
            Some(value) => self.set(path, value.clone()),
            None => self.remove(path),
        }
    }

    fn push(&mut self, operation: PatchOperation) {
        if self.error.is_some() {
            return;
        }
        // One operation either applies whole or changes nothing, so there is nothing to undo.
        let current = self.current.to_mut();
        match json_patch::patch_unsafe(current, std::slice::from_ref(&operation)) {
            Ok(()) => self.operations.push(operation),
            Err(error) => self.error = Some(PatchError(error.to_string())),
        }
    }

    /// Ends the patch, which is proven to apply to the original.
    ///
    /// # Errors
    /// When it does not apply: the object has another shape than a Job's (`metadata` a string, …).
    pub fn finish(self) -> Result<Patch, PatchError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // By induction: each operation has been applied to what the ones before it made of the
        // original, which is what applying them one after the other means.
        Ok(Patch(self.operations))
    }
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

fn lookup<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get(*token),
        Value::Array(list) => list.get(token.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn patched(object: &Value, build: impl FnOnce(&mut Draft<'_>)) -> (Value, usize) {
        let mut draft = Draft::new(object);
        build(&mut draft);
        let patch = draft.finish().unwrap();
        let mut result = object.clone();
        patch.apply(&mut result).unwrap();
        (result, patch.operations().len())
    }

    #[test]
    fn missing_parents_are_made() {
        let object = json!({ "metadata": {} });
        let (result, operations) =
            patched(&object, |draft| draft.set(&["metadata", "annotations", "a/b~c"], json!("x")));
        assert_eq!(result, json!({ "metadata": { "annotations": { "a/b~c": "x" } } }));
        assert_eq!(operations, 2);
    }

    #[test]
    fn a_parent_that_is_null_becomes_an_object() {
        let object = json!({ "metadata": { "labels": null } });
        let (result, _) =
            patched(&object, |draft| draft.set(&["metadata", "labels", "a"], json!("x")));
        assert_eq!(result, json!({ "metadata": { "labels": { "a": "x" } } }));
    }

    #[test]
    fn what_is_there_already_adds_no_operation() {
        let object = json!({ "a": { "b": 1 } });
        let (_, operations) = patched(&object, |draft| {
            draft.set(&["a", "b"], json!(1));
            draft.remove(&["a", "c"]);
            draft.copy(&["a"], &json!({ "a": { "b": 1 } }));
        });
        assert_eq!(operations, 0);
    }

    #[test]
    fn a_shape_that_cannot_be_patched_is_an_error() {
        let object = json!({ "metadata": "text" });
        let mut draft = Draft::new(&object);
        draft.set(&["metadata", "annotations", "a"], json!("x"));
        assert!(draft.finish().is_err());
    }

    proptest! {
        #[test]
        fn any_key_is_escaped(key in "\\PC{1,12}") {
            let object = json!({ "metadata": { "labels": { "k": 1 } } });
            let (result, _) = patched(&object, |draft| draft.set(&["metadata", "annotations", &key], json!(1)));
            prop_assert_eq!(&result["metadata"]["annotations"][&key], &json!(1));
            let (back, _) = patched(&result, |draft| draft.remove(&["metadata", "annotations", &key]));
            prop_assert!(back["metadata"]["annotations"].as_object().unwrap().is_empty());
        }
    }
}
