//! What a request asks for, as opposed to what it only found in the stored Job.
//!
//! Other admission hooks that rewrite a field (an image's registry) and add an item (a sidecar)
//! leave a stored template from which the hash of what was asked for cannot be had back: a client
//! that merges its manifest into it reverts the field and keeps the item.

use serde_json::Value;

use super::applied::applied_part;
use super::managed_fields::entry_index;
use super::{Job, changes, keys};
use crate::json;

/// The most differences that are looked at.
const MOST: usize = 256;

/// kubectl's own record of the manifest that it applied last, an annotation.
pub const LAST_APPLIED_CONFIGURATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether the request gives `rejob.dev/rerun` another value. Removing it asks for nothing.
pub fn asks_for_a_rerun(old: Job<'_>, job: Job<'_>) -> bool {
    let value = job.annotation(keys::RERUN);
    value.is_some() && value != old.annotation(keys::RERUN)
}

/// Whether the request only puts the value of `rejob.dev/rerun` back that its manifest, kubectl's
/// record, had before: somebody else has asked for a rerun meanwhile.
pub fn puts_rerun_back(old: Job<'_>, job: Job<'_>, requester: Option<&str>) -> bool {
    let value = job.annotation(keys::RERUN);
    value.is_some()
        && !owners_of_rerun(old).any(|(manager, _)| Some(manager) == requester)
        && [old, job].into_iter().all(|job| {
            let manifest = last_applied(job).unwrap_or_default();
            Job::new(&manifest).annotation(keys::RERUN) == value
        })
}

/// The manager that applies `rejob.dev/rerun` with its manifest, if it is another one than this. Helm
/// does by updates, and is called as the program that it is in.
pub fn rerun_is_applied_by<'a>(old: Job<'a>, requester: Option<&str>) -> Option<&'a str> {
    let applies = |manager, operation| {
        operation == "Apply" || matches!(manager, "helm" | "helm-controller" | "fleetagent")
    };
    owners_of_rerun(old)
        .find(|&(manager, operation)| applies(manager, operation) && Some(manager) != requester)
        .map(|(manager, _)| manager)
}

/// The managers that own `rejob.dev/rerun`, with their operation.
fn owners_of_rerun(job: Job<'_>) -> impl Iterator<Item = (&str, &str)> {
    let rerun = format!("f:{}", keys::RERUN);
    job.managed_fields().iter().filter_map(move |entry| {
        entry.pointer("/fieldsV1/f:metadata/f:annotations")?.get(&rerun)?;
        Some((entry.get("manager")?.as_str()?, entry.get("operation")?.as_str()?))
    })
}

/// The manifest behind a request: what the manager's own Apply entry owns, else kubectl's record.
pub fn manifest(job: Job<'_>, manager: Option<&str>) -> Option<Value> {
    manager
        .and_then(|manager| applied_part(job, entry_index(job, manager)?))
        .or_else(|| last_applied(job))
}

/// What kubectl's record says, if there is one.
pub fn last_applied(job: Job<'_>) -> Option<Value> {
    json::read(job.annotation(LAST_APPLIED_CONFIGURATION)?)
}

/// Whether a request only brings a manifest back: wherever it differs from the stored Job, it says
/// what the manifest says, so that every other difference is one that it found.
pub fn is_same_request(manifest: &Value, stored: &Value, request: &Value) -> bool {
    let made = changes(stored, request);
    if made.len() > MOST {
        return false; // No hook rewrites that much; every pair is looked at below.
    }
    let found = changes(manifest, request);
    !found.iter().any(|found| made.iter().any(|made| overlap(&found.path, &made.path)))
}

/// Whether two paths are the same, or one is inside the other.
fn overlap(one: &str, other: &str) -> bool {
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
        let (manifest, stored) = (job("a:1", false), job("a@sha256:1", true));
        assert!(is_same_request(&manifest, &stored, &job("a:1", true)));
        assert!(is_same_request(&manifest, &stored, &job("a:1", false)));
    }

    #[test]
    fn a_request_that_asks_for_anything_else_does_not() {
        let (manifest, stored) = (job("a:1", false), job("a@sha256:1", true));
        assert!(!is_same_request(&manifest, &stored, &job("a:2", true)));
        let mut args = job("a:1", true);
        args["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["x"]);
        assert!(!is_same_request(&manifest, &stored, &args));
        let mut removed = job("a:1", true);
        removed["spec"]["template"]["spec"]["containers"][1]["image"] = json!("proxy:2");
        assert!(!is_same_request(&manifest, &stored, &removed));
    }

    #[test]
    fn paths_touch_when_one_is_inside_the_other() {
        assert!(overlap("a.b", "a.b"));
        assert!(overlap("a.b", "a.b.c"));
        assert!(overlap("a.b[x]", "a.b"));
        assert!(overlap("a.b (order)", "a.b[x]"));
        assert!(!overlap("a.b", "a.bc"));
        assert!(!overlap("a.b", "a.c"));
    }

    #[test]
    fn a_record_that_is_too_long_is_not_read() {
        let job = |pad: usize| {
            let text = format!("{{}}{}", " ".repeat(pad));
            json!({ "metadata": { "annotations": { LAST_APPLIED_CONFIGURATION: text } } })
        };
        assert!(last_applied(Job::new(&job(1000))).is_some());
        assert!(last_applied(Job::new(&job(256 * 1024))).is_none());
    }
}
