//! One change of the immutable part, and its description for people.
//!
//! A sentence about a change reaches terminals, logs, Events and audit records, where more people
//! read it than may read the Job. So it shows values only of fields that are known to be harmless;
//! of everything else, environment, arguments and commands above all, it shows the path alone.

use serde_json::Value;

use super::normalize::Shape;

/// The most characters of a value that a description shows.
const SHOWN: usize = 60;

/// Text fields of the schema whose values are shown: what runs, and names of Kubernetes objects.
/// Numbers, truth values and quantities are shown wherever the schema has one.
const HARMLESS: [&str; 22] = [
    "claimName",
    "containerName",
    "image",
    "imagePullPolicy",
    "name",
    "nodeName",
    "podGroupName",
    "priorityClassName",
    "pullPolicy",
    "reference",
    "resourceClaimName",
    "resourceClaimTemplateName",
    "resourceName",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "secretName",
    "serviceAccount",
    "serviceAccountName",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeName",
];

/// One difference between two immutable parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Human path: `spec.template.spec.containers[app].image`. Names in brackets are the user's
    /// own; a list that was only reordered is named with ` (order)` behind.
    pub path: String,
    /// The old value, `None` where the field is new.
    pub old: Option<Value>,
    /// The new value, `None` where the field was removed.
    pub new: Option<Value>,
    /// Whether the field is one whose values are shown.
    pub harmless: bool,
}

impl Change {
    /// The change in words: `spec.template.spec.containers[app].image: a:1 -> a:2`,
    /// `….env[DEBUG] added`, `….args changed`.
    pub fn describe(&self) -> String {
        let path = printable(&self.path);
        let show = |value| self.harmless.then(|| shown(value)).flatten();
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => match (show(old), show(new)) {
                (Some(old), Some(new)) if old != new => format!("{path}: {old} -> {new}"),
                _ => format!("{path} changed"),
            },
            (None, Some(new)) => match show(new) {
                Some(new) => format!("{path} added: {new}"),
                None => format!("{path} added"),
            },
            (Some(old), None) => match show(old) {
                Some(old) => format!("{path} removed, was: {old}"),
                None => format!("{path} removed"),
            },
            (None, None) => path,
        }
    }
}

/// Whether values of that field of the schema are shown.
pub(super) fn is_harmless(name: &str, shape: Shape) -> bool {
    match shape {
        Shape::Int | Shape::Bool | Shape::IntOrString | Shape::Quantity => true,
        Shape::Text => HARMLESS.contains(&name),
        _ => false,
    }
}

/// The value of a harmless field; `None` where it is not of the kind that such a field holds.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
        Value::String(text) => is_name(text).then(|| cut(text)),
        _ => None,
    }
}

/// Whether a text is no more than a name, a quantity or the reference of an image. The API server
/// takes nearly any text for an image: one with a user and a password in it is not shown.
fn is_name(text: &str) -> bool {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte))
    };
    match text.split_once('@') {
        None => is_plain(text),
        Some((name, digest)) => {
            is_plain(name)
                && digest.split_once(':').is_some_and(|(_, hex)| {
                    hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
        }
    }
}

/// Control characters escaped.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
