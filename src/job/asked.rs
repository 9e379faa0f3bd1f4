//! What was asked for, kept to tell whether a request asks for it again.
//!
//! Hooks that both rewrite a field (an image's digest) and add an item (a sidecar) leave a stored
//! template from which the hash of what was asked for cannot be had back: a client that merges its
//! manifest into it reverts the field and keeps the item.

use serde_json::{Map, Value};

use super::{IMMUTABLE_FIELDS, Job, changes, keys};

/// What is over this many bytes is not kept.
const LARGEST: usize = 16 * 1024;

/// The most differences that are looked at.
const MOST: usize = 256;

/// Whether the request gives `rejob.dev/rerun` another value. Removing it asks for nothing.
#[must_use]
pub fn asks_for_a_rerun(old: Job<'_>, job: Job<'_>) -> bool {
    let value = job.annotation(keys::RERUN);
    value.is_some() && value != old.annotation(keys::RERUN)
}

/// The part of a Job that [`repeats`] compares; `None` when it is too large to keep.
#[must_use]
pub fn asked_for(job: &Value) -> Option<Value> {
    let spec = job.get("spec")?.as_object()?;
    let part: Map<String, Value> = spec
        .iter()
        .filter(|(field, _)| {
            // The latter two decide how the others are read.
            IMMUTABLE_FIELDS.contains(&field.as_str())
                || matches!(field.as_str(), "parallelism" | "manualSelector")
        })
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    let asked = Value::Object(Map::from_iter([("spec".to_owned(), Value::Object(part))]));
    (asked.to_string().len() <= LARGEST).then_some(asked)
}

/// Whether a request only brings back what was asked for: wherever it differs from the stored Job,
/// it says what was asked for, so that every other difference is one that it found.
#[must_use]
pub fn repeats(asked: &Value, stored: &Value, request: &Value) -> bool {
    let made = changes(stored, request);
    if made.len() > MOST {
        return false; // No hook rewrites that much; every pair is looked at below.
    }
    let found = changes(asked, request);
    !found.iter().any(|found| made.iter().any(|made| touch(&found.path, &made.path)))
}

/// Whether two paths are the same, or one is inside the other.
fn touch(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches(" (order)"), other.trim_end_matches(" (order)"));
    let inside = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    inside(one, other) || inside(other, one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(image: &str, sidecar: bool) -> Value {
        let mut containers = vec![json!({ "name": "app", "image": image })];
        if sidecar {
            containers.push(json!({ "name": "proxy", "image": "proxy:1" }));
        }
        json!({ "spec": { "template": { "spec": { "containers": containers } } } })
    }

    #[test]
    fn a_request_that_reverts_a_digest_and_keeps_a_sidecar_repeats() {
        let asked = asked_for(&job("a:1", false)).unwrap();
        let stored = job("a@sha256:1", true);
        assert!(repeats(&asked, &stored, &job("a:1", true)));
        assert!(repeats(&asked, &stored, &job("a:1", false)));
    }

    #[test]
    fn a_request_that_asks_for_anything_else_does_not() {
        let asked = asked_for(&job("a:1", false)).unwrap();
        let stored = job("a@sha256:1", true);
        assert!(!repeats(&asked, &stored, &job("a:2", true)));
        let mut args = job("a:1", true);
        args["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["x"]);
        assert!(!repeats(&asked, &stored, &args));
        let mut removed = job("a:1", true);
        removed["spec"]["template"]["spec"]["containers"][1]["image"] = json!("proxy:2");
        assert!(!repeats(&asked, &stored, &removed));
    }

    #[test]
    fn paths_touch_when_one_is_inside_the_other() {
        assert!(touch("a.b", "a.b"));
        assert!(touch("a.b", "a.b.c"));
        assert!(touch("a.b[x]", "a.b"));
        assert!(touch("a.b (order)", "a.b[x]"));
        assert!(!touch("a.b", "a.bc"));
        assert!(!touch("a.b", "a.c"));
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        assert_eq!(asked_for(&job(&"x".repeat(LARGEST), false)), None);
    }
}
