//! The immutable part of a Job and the difference between two of them.

use serde_json::Value;

/// The fields of `spec` that the API server refuses to change.
pub const IMMUTABLE_FIELDS: [&str; 9] = [
    "template",
    "selector",
    "completions",
    "completionMode",
    "podFailurePolicy",
    "successPolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "scheduling",
];

/// One difference between two immutable parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Human path: `spec.template.spec.containers[app].image`.
    pub path: String,
    /// The old value, `None` where the field is new.
    pub old: Option<Value>,
    /// The new value, `None` where the field was removed.
    pub new: Option<Value>,
}

/// The normalised immutable part of a Job.
#[must_use]
pub fn immutable_part(_job: &Value) -> Value {
    Value::Null
}

/// What differs between the immutable parts of two Jobs, after normalisation; empty when nothing does.
#[must_use]
pub fn changes(_old: &Value, _new: &Value) -> Vec<Change> {
    Vec::new()
}

impl Change {
    /// The change in words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.path.clone()
    }
}
