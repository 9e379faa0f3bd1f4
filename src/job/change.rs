//! One change of the immutable part, and how it is told to people.
//!
//! A sentence about a change reaches terminals, logs, Events and audit records, so it never shows
//! what looks like a secret, no control characters, and no more than a readable length of a value.

use serde_json::Value;

use super::redact;

/// The most characters of a value that a description shows.
const SHOWN: usize = 60;

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
}

impl Change {
    /// The change in words: `spec.template.spec.containers[app].image: a:1 -> a:2`,
    /// `….env[DEBUG] added`, `….dnsPolicy removed (was Default)`. Values that look like secrets
    /// are shown as `***`.
    #[must_use]
    pub fn describe(&self) -> String {
        let path = printable(&self.path);
        let show = |value| cut(&printable(&text(&redact::value(&self.path, value))));
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                let (old, new) = (show(old), show(new));
                if old == new && old != redact::HIDDEN {
                    format!("{path} changed")
                } else {
                    format!("{path}: {old} -> {new}")
                }
            }
            (None, Some(new)) => format!("{path} added: {}", show(new)),
            (Some(old), None) => format!("{path} removed, was: {}", show(old)),
            (None, None) => path,
        }
    }
}

/// A string as it is, everything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        _ => value.to_string(),
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
