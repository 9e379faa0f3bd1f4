//! The Events on Jobs that rejob publishes and reads back: their reasons, and their annotations, which
//! are for programs.

use serde_json::Value;

use super::client::{encode, namespace_path};

/// The Job was made in another one's place.
pub const REPLACED: &str = "Replaced";
/// The Job was deleted, or may be, and no new one was made.
pub const REPLACE_FAILED: &str = "ReplaceFailed";
/// Under `onChange: Report`: what Replace would have done.
pub const WOULD_REPLACE: &str = "WouldReplace";

/// The Kubernetes user who asked.
pub const USER: &str = "rejob.dev/user";
/// The client's field manager; empty where it named none.
pub const MANAGER: &str = "rejob.dev/manager";
/// What changes.
pub const CHANGED: &str = "rejob.dev/changed";
/// The policy that reports.
pub const POLICY: &str = "rejob.dev/policy";
/// The label of the reason why the Job would not be replaced at once; empty where it would.
pub const WHY_NOT: &str = "rejob.dev/why-not";
/// The refusal; empty where there would be none.
pub const REFUSAL: &str = "rejob.dev/refusal";

/// The path of these Events with that reason, in one namespace or in all.
pub fn path(namespace: Option<&str>, reason: &str) -> String {
    let place = namespace.map_or_else(|| "/api/v1".to_owned(), namespace_path);
    let selector = format!("reason={reason},involvedObject.kind=Job,source=rejob");
    format!("{place}/events?fieldSelector={}", encode(&selector))
}

/// An annotation of an Event.
pub fn annotation<'a>(event: &'a Value, key: &str) -> Option<&'a str> {
    event.get("metadata")?.get("annotations")?.get(key)?.as_str()
}
