//! The JSON Patch builder, and the proof that a patch applies.
//!
//! A patch that fails to apply is a 500 to the client even with `failurePolicy: Ignore`. So every
//! operation is made for the object at hand and applied as it is added, to a copy of the parts that
//! are touched: the proof comes with the patch. A patch touches only its own paths; setting what is
//! there already adds no operation, so that deciding again on the result changes nothing.

mod part;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use part::{Part, lookup};

/// A finished JSON Patch (RFC 6902), known to apply to the object it was made for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch(Vec<PatchOperation>);

/// A patch that would not apply: a defect of rejob, for which the request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the patch does not apply to the object: {0}")]
pub struct PatchError(String);

impl Patch {
    /// Whether the patch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operations.
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
    original: &'a Value,
    current: Part<'a>,
    operations: Vec<PatchOperation>,
    error: Option<PatchError>,
}

impl<'a> Draft<'a> {
    /// Begins a patch for an object.
    pub fn new(original: &'a Value) -> Self {
        let current = Part::Original(original);
        Self { original, current, operations: Vec::new(), error: None }
    }

    /// The object that the patch is for, as it came.
    pub fn original(&self) -> &'a Value {
        self.original
    }

    /// Whether this value is at a path of the object as patched so far.
    pub fn has(&self, path: &[&str], value: &Value) -> bool {
        self.current.look(path, |present| present.is(value)).unwrap_or(false)
    }

    /// Sets the value at a path of field names (or list indices), making missing parents.
    pub fn set(&mut self, path: &[&str], value: Value) {
        match self.current.look(path, |present| present.is(&value)) {
            Some(true) => return,
            Some(false) => {
                let operation = ReplaceOperation { path: pointer(path), value };
                self.push(path, PatchOperation::Replace(operation));
                return;
            }
            None => {}
        }
        for end in 1..path.len() {
            let parent = path.get(..end).unwrap_or_default();
            match self.current.look(parent, |present| present.is(&Value::Null)) {
                None => {
                    let (path, value) = (pointer(parent), Value::Object(Map::new()));
                    self.push(parent, PatchOperation::Add(AddOperation { path, value }));
                }
                Some(true) => {
                    let (path, value) = (pointer(parent), Value::Object(Map::new()));
                    self.push(parent, PatchOperation::Replace(ReplaceOperation { path, value }));
                }
                Some(false) => {}
            }
        }
        self.push(path, PatchOperation::Add(AddOperation { path: pointer(path), value }));
    }

    /// Removes what is at a path, if anything is.
    pub fn remove(&mut self, path: &[&str]) {
        if self.current.look(path, |_| ()).is_some() {
            self.push(path, PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
        }
    }

    /// Makes the value at a path what it is in another object: set, or removed.
    pub fn copy(&mut self, path: &[&str], from: &Value) {
        match lookup(from, path) {
            Some(value) if self.has(path, value) => {}
            Some(value) => self.set(path, value.clone()),
            None => self.remove(path),
        }
    }

    fn push(&mut self, path: &[&str], operation: PatchOperation) {
        if self.error.is_some() {
            return;
        }
        let applied = match &operation {
            PatchOperation::Add(AddOperation { value, .. })
            | PatchOperation::Replace(ReplaceOperation { value, .. }) => {
                self.current.put(path, value.clone())
            }
            _ => self.current.take(path),
        };
        match applied {
            Some(()) => self.operations.push(operation),
            None => self.error = Some(self.refusal(&operation)),
        }
    }

    /// What is wrong with an operation that cannot follow the others.
    fn refusal(&self, operation: &PatchOperation) -> PatchError {
        let mut object = self.original.clone();
        let applied = json_patch::patch(&mut object, &self.operations)
            .and_then(|()| json_patch::patch(&mut object, std::slice::from_ref(operation)));
        PatchError(applied.err().map_or_else(|| operation.to_string(), |error| error.to_string()))
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

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), Just(json!(1)), Just(json!("x"))];
        leaf.prop_recursive(3, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[ab0]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_draft_sees_what_the_patch_makes_of_the_object(
            object in value(),
            other in value(),
            steps in prop::collection::vec(
                (prop::collection::vec("[ab01]|01", 0..4), 0..3, value()),
                1..6,
            ),
        ) {
            let mut draft = Draft::new(&object);
            for (path, what, value) in &steps {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                match what {
                    0 => draft.set(&path, value.clone()),
                    1 => draft.remove(&path),
                    _ => draft.copy(&path, &other),
                }
                let mut patched = object.clone();
                Patch(draft.operations.clone()).apply(&mut patched).unwrap();
                prop_assert!(draft.current.is(&patched), "{:?} is not {patched}", draft.current);
            }
            // What the draft does not take, the library does not take either.
            if let Some(PatchError(text)) = &draft.error {
                prop_assert!(text.starts_with("operation '/0' failed"), "{text}");
            }
        }

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
