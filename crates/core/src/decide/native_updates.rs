//! Changes of the immutable part that the API server accepts by itself.
//!
//! `pkg/apis/batch/validation/validation.go` (`validateCompletions`, `validatePodTemplateUpdate`)
//! and `pkg/registry/batch/job/strategy.go` (`shouldAllowMutablePodTemplate`) of Kubernetes
//! 1.30 to 1.37: elastic Indexed Jobs, a gang's `minCount` (`validateJobSchedulingUpdate`), and
//! scheduling directives of a suspended Job.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::job::{Job, TemplateHash, changes, immutable_part, keys, take, without_admission};
use crate::patch::Draft;
use crate::reason::Reason;

use super::decision::Decision;
use super::marks::record_hash;
use super::messages::Warnings;
use super::release::{keep_ttl, release};
use super::restore::put_back_generated;
use super::view::Update;

/// Lets such a change pass, and adds what a bare PUT lacks.
pub(super) fn pass(update: &Update<'_>, mut draft: Draft<'_>, mut warnings: Warnings) -> Decision {
    if update.old.annotation(keys::TEMPLATE_HASH).is_some() {
        // A queue that writes into the template asks for nothing new.
        let before = without_admission(update.old, update.old, None);
        let requested = without_admission(update.job, update.old, None);
        if !changes(&before, &requested).is_empty() {
            record_hash(&mut draft, &TemplateHash::of(&requested));
        }
    }
    put_back_generated(&mut draft, update.old);
    keep_ttl(update, &mut draft, &mut warnings);
    release(update, Reason::AllowedChange, draft, warnings)
}

/// Whether the API server accepts the change from `old` to `new` as it is.
pub(super) fn by_the_api_server(old: Job<'_>, new: Job<'_>, server_minor: Option<u32>) -> bool {
    let gangs =
        [old, new].iter().all(|job| job.value().pointer(GANG).is_some_and(Value::is_object));
    let mut before = immutable_part(&with_any_min_count(old, gangs));
    let mut after = immutable_part(&with_any_min_count(new, gangs));
    if is_elastic(old, new) {
        for part in [&mut before, &mut after] {
            take(part, "", "completions");
        }
    }
    let later = server_minor.is_some_and(|minor| minor >= 36);
    let not_started = old.status("startTime").is_none();
    let has_no_pod = old.status("active").and_then(Value::as_i64).unwrap_or(0) == 0;
    let has_stopped = not_started || old.condition("Suspended").is_some();
    let is_open = if later { has_stopped && has_no_pod } else { not_started };
    if old.is_suspended() && is_open {
        for part in [&mut before, &mut after] {
            take_scheduling_directives(part);
            if later {
                take_resources(part);
            }
        }
    }
    before == after
}

/// The policy that may not become another one.
const GANG: &str = "/spec/scheduling/schedulingPolicy/gang";

/// The Job, or where both have a gang, the Job with the same `minCount` as the other: it may be
/// set, changed and removed.
fn with_any_min_count(job: Job<'_>, gangs: bool) -> Cow<'_, Value> {
    if !gangs {
        return Cow::Borrowed(job.value());
    }
    let mut job = job.value().clone();
    if let Some(Value::Object(gang)) = job.pointer_mut(GANG) {
        gang.insert("minCount".to_owned(), json!(1));
    }
    Cow::Owned(job)
}

/// `completions` may change together with `parallelism` for Indexed Jobs.
fn is_elastic(old: Job<'_>, new: Job<'_>) -> bool {
    old.is_indexed()
        && new.is_indexed()
        && new.completions().is_some()
        && new.completions() == new.parallelism()
}

fn take_scheduling_directives(part: &mut Value) {
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        take(part, "/template/spec", field);
    }
    take(part, "/template/spec/affinity", "nodeAffinity");
    for field in ["labels", "annotations"] {
        take(part, "/template/metadata", field);
    }
    // What is left empty counts as absent.
    for (parent, field) in [("/template/spec", "affinity"), ("/template", "metadata")] {
        if part.pointer(&format!("{parent}/{field}")).is_some_and(is_empty) {
            take(part, parent, field);
        }
    }
}

/// Container resources, matched by position as the API server does.
fn take_resources(part: &mut Value) {
    for field in ["containers", "initContainers"] {
        let list = part.pointer_mut(&format!("/template/spec/{field}"));
        for container in list.and_then(Value::as_array_mut).into_iter().flatten() {
            take(container, "", "resources");
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}
