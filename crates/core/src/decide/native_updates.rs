//! Changes of the immutable part that the API server accepts by itself.
//!
//! `pkg/apis/batch/validation/validation.go` (`validateCompletions`, `validatePodTemplateUpdate`)
//! and `pkg/registry/batch/job/strategy.go` (`shouldAllowMutablePodTemplate`) of Kubernetes
//! 1.30 to 1.37: elastic Indexed Jobs, a gang's `minCount` (`validateJobSchedulingUpdate`), and
//! scheduling directives of a suspended Job.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::job::{
    Job, TemplateHash, changes, differ_by_a_queue, immutable_part, is_its_queue, keys,
    without_any_queue_fields,
};
use crate::json::take;
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
    record(update, &mut draft);
    put_back_generated(&mut draft, update.old);
    keep_ttl(update, &mut draft, &mut warnings);
    release(update, Reason::AllowedChange, draft, warnings)
}

/// Records the hash of what such a change asks for. A queue that writes into the template asks for
/// nothing new.
pub(super) fn record(update: &Update<'_>, draft: &mut Draft<'_>) {
    if update.old.annotation(keys::TEMPLATE_HASH).is_some() {
        let before = without_any_queue_fields(update.old, update.old);
        let requested = without_any_queue_fields(update.job, update.old);
        if !changes(&before, &requested).is_empty() {
            record_hash(draft, &TemplateHash::of(&requested));
        }
    }
}

/// Whether a queue changes or takes back what it wrote into a suspended Job. The API server says
/// whether it may: while the Job still has Pods it may not, and the queue tries again.
pub(super) fn by_its_queue(update: &Update<'_>) -> bool {
    let (old, new) = (update.old, update.job);
    old.is_suspended()
        && !update.is_bare_put()
        && update.dormant.record().is_none()
        && is_its_queue(old, update.request.field_manager.as_deref())
        && !changes(old.value(), new.value()).is_empty()
        && differ_by_a_queue(old, new)
}

/// Whether two Jobs differ in nothing that a suspended Job keeps.
pub(super) fn differ_only_in_directives(old: &Value, new: &Value) -> bool {
    let [before, after] = [old, new].map(|job| {
        let mut part = immutable_part(job);
        take_scheduling_directives(&mut part);
        take_resources(&mut part);
        part
    });
    before == after
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
