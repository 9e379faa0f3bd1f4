//! Values that look like secrets, replaced by `***`.
//!
//! A secret in a pod template is a mistake, but a common one: in an environment variable, an
//! argument, a header, an annotation. What only refers to a Secret (`secretKeyRef`, `secretName`)
//! is no secret.

use serde_json::{Map, Value};

/// What stands for a hidden value.
pub(super) const HIDDEN: &str = "***";

/// What, in the name of a value or in an argument, makes it a secret.
const WORDS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "bearer",
    "cookie",
    "private",
    "signature",
    "dsn",
];

/// Fields of the schema whose names have such a word and that hold no secret.
const REFERENCES: [&str; 18] = [
    "automountServiceAccountToken",
    "clusterTrustBundle",
    "configMapKeyRef",
    "fileKeyRef",
    "imagePullSecrets",
    "key",
    "keyType",
    "keyring",
    "matchLabelKeys",
    "mismatchLabelKeys",
    "nodePublishSecretRef",
    "podCertificate",
    "secret",
    "secretKeyRef",
    "secretName",
    "secretRef",
    "serviceAccountToken",
    "topologyKey",
];

/// The value at a path of a [`super::Change`], with what looks like a secret hidden.
pub(super) fn value(path: &str, value: &Value) -> Value {
    let (owner, field) = names(path);
    nested(owner, field, value)
}

/// The name a user chose that a path ends in (`[NAME]` or `[NAME].value`), and its last field
/// behind that.
fn names(path: &str) -> (Option<&str>, &str) {
    let owner = |path: &str| {
        // A name may have a bracket in it, so the first one of the last field counts.
        let inner = path.strip_suffix(']')?;
        let start = inner.rfind("].").map_or(0, |at| at + 2);
        let (field, _) = inner.get(start..)?.split_once('[')?;
        Some(start + field.len() + 1)
    };
    if let Some(start) = owner(path) {
        return (path.get(start..path.len() - 1), "");
    }
    let Some((parent, field)) = path.rsplit_once('.') else { return (None, path) };
    let owner = owner(parent).and_then(|start| parent.get(start..parent.len() - 1));
    (owner, field)
}

/// A value in the field of that name, in an object or map entry of that name.
fn nested(owner: Option<&str>, field: &str, value: &Value) -> Value {
    let secret_name = match (owner, field) {
        (Some(owner), "value" | "") => has_word(owner),
        _ => !REFERENCES.contains(&field) && has_word(field),
    };
    match value {
        Value::String(text) if secret_name || is_telling(text) => Value::from(HIDDEN),
        Value::Array(items) if matches!(field, "args" | "command") => arguments(items),
        Value::Array(items) => items.iter().map(|item| nested(None, field, item)).collect(),
        Value::Object(fields) => Value::Object(object(fields)),
        _ => value.clone(),
    }
}

fn object(fields: &Map<String, Value>) -> Map<String, Value> {
    let owner = fields.get("name").and_then(Value::as_str);
    fields.iter().map(|(name, value)| (name.clone(), nested(owner, name, value))).collect()
}

/// Arguments with such a word, and the one behind an option that has it: `--password hunter2`.
fn arguments(items: &[Value]) -> Value {
    let mut value_follows = false;
    items
        .iter()
        .map(|item| {
            let text = item.as_str().unwrap_or_default();
            let word = has_word(text);
            let hidden = word || value_follows || is_telling(text);
            value_follows = word && text.starts_with('-') && !text.contains('=');
            if hidden { Value::from(HIDDEN) } else { item.clone() }
        })
        .collect()
}

fn has_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// A private key in PEM, or a URL with a user in it: `scheme://user:password@host`.
fn is_telling(text: &str) -> bool {
    text.contains("PRIVATE KEY")
        || text.split("://").skip(1).any(|rest| {
            rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        })
}
