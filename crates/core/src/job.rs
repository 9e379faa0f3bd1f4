//! The domain, pure: what rejob knows about a Job.
//!
//! Everything here reads the raw JSON of the request (`serde_json::Value`), never a typed
//! round trip, so that fields this build does not know are never dropped. [`Job`] is a borrowed
//! view: a missing field and a field of another type read alike, as absent.

mod applied;
mod change;
mod client;
mod diff;
mod generated;
mod hash;
mod immutable;
mod managed_fields;
mod name;
mod normalize;
mod progress;
mod quantity;
mod queue;
mod requested;
mod run;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use applied::applied_part;
pub use change::Change;
pub use client::{Client, KUBECTL_REPLACE, NameKeeper};
pub use generated::{GENERATED_LABELS, NAME_LABELS, UID_LABELS, generated_paths, take_generated};
pub use hash::TemplateHash;
pub use immutable::{IMMUTABLE_FIELDS, changes, immutable_part};
pub use managed_fields::{
    ActingOperation, acting_operation, entry_index, has_apply_entry, is_of_subresource, last_apply,
};
pub use name::{hashed_name, is_hashed_name};
pub use progress::{Progress, pod_selector, pod_works, progress};
pub use queue::{
    differ_by_a_queue, has_a_queue, is_its_queue, owners, suspended_by_a_queue,
    without_any_queue_fields, without_queue_fields,
};
pub use requested::{
    LAST_APPLIED_CONFIGURATION, asks_for_a_rerun, is_same_request, last_applied, manifest,
    puts_rerun_back, rerun_is_applied_by,
};
pub use run::describe_run;

/// Annotations and labels that rejob reads or writes.
pub mod keys {
    /// Annotation: the hash of what was asked for.
    pub const TEMPLATE_HASH: &str = "rejob.dev/template-hash";
    /// Annotation: the name in the manifest, where the stored one carries a hash.
    pub const BASE_NAME: &str = "rejob.dev/base-name";
    /// Annotation: the marker of a replacement under way; never stored.
    pub const REPLACING: &str = "rejob.dev/replacing";
    /// Label (for the listing) and annotation (the record) of a dormant Job.
    pub const DORMANT: &str = "rejob.dev/dormant";
    /// Annotation: `"true"` leaves the Job alone.
    pub const SKIP: &str = "rejob.dev/skip";
    /// Annotation: changing its value asks for a new run.
    pub const RERUN: &str = "rejob.dev/rerun";
    /// All of them.
    pub const ALL: [&str; 6] = [TEMPLATE_HASH, BASE_NAME, REPLACING, DORMANT, SKIP, RERUN];
}

/// A borrowed view of a Job's JSON.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a>(&'a Value);

impl<'a> Job<'a> {
    /// Looks at a Job.
    pub fn new(value: &'a Value) -> Self {
        Self(value)
    }

    /// The JSON behind the view.
    pub fn value(self) -> &'a Value {
        self.0
    }

    fn metadata(self) -> Option<&'a Map<String, Value>> {
        self.0.get("metadata")?.as_object()
    }

    fn metadata_text(self, field: &str) -> Option<&'a str> {
        self.metadata()?.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// `metadata.name`, unless empty.
    pub fn name(self) -> Option<&'a str> {
        self.metadata_text("name")
    }

    /// `metadata.uid`, unless empty.
    pub fn uid(self) -> Option<&'a str> {
        self.metadata_text("uid")
    }

    /// `metadata.resourceVersion` as the API server reads it, which is a number: without leading
    /// zeros, and 0 names no revision.
    pub fn resource_version(self) -> Option<&'a str> {
        let version = self.metadata_text("resourceVersion")?.trim_start_matches('0');
        (!version.is_empty()).then_some(version)
    }

    /// The template hash that is recorded on the Job, if it is one.
    pub fn recorded_hash(self) -> Option<TemplateHash> {
        self.annotation(keys::TEMPLATE_HASH).and_then(TemplateHash::parse)
    }

    /// `metadata.creationTimestamp`.
    pub fn created(self) -> Option<Timestamp> {
        self.metadata_text("creationTimestamp")?.parse().ok()
    }

    /// Whether the Job is being deleted.
    pub fn is_being_deleted(self) -> bool {
        self.metadata_text("deletionTimestamp").is_some()
    }

    /// `metadata.finalizers`.
    pub fn finalizers(self) -> Vec<&'a str> {
        self.metadata()
            .and_then(|metadata| metadata.get("finalizers")?.as_array())
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    /// One annotation.
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        self.metadata()?.get("annotations")?.get(key)?.as_str()
    }

    /// All annotations.
    pub fn annotations(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map("annotations")
    }

    /// One label.
    pub fn label(self, key: &str) -> Option<&'a str> {
        self.metadata()?.get("labels")?.get(key)?.as_str()
    }

    /// All labels.
    pub fn labels(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map("labels")
    }

    fn map(self, field: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.metadata()
            .and_then(|metadata| metadata.get(field)?.as_object())
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// The entries of `metadata.managedFields`.
    pub fn managed_fields(self) -> &'a [Value] {
        self.metadata()
            .and_then(|metadata| metadata.get("managedFields")?.as_array())
            .map_or(&[], Vec::as_slice)
    }

    /// The field managers of `metadata.managedFields`.
    pub fn managers(self) -> impl Iterator<Item = &'a str> {
        self.managed_fields().iter().filter_map(|entry| entry.get("manager")?.as_str())
    }

    /// The kind and name of the controller that owns the Job (`ownerReferences`, `controller: true`).
    pub fn controller(self) -> Option<&'a str> {
        self.metadata()?.get("ownerReferences")?.as_array()?.iter().find_map(|reference| {
            (reference.get("controller")?.as_bool()?)
                .then(|| reference.get("kind").and_then(Value::as_str).unwrap_or("controller"))
        })
    }

    /// A field of `spec`; JSON `null` reads as absent.
    pub fn spec(self, field: &str) -> Option<&'a Value> {
        self.0.get("spec")?.get(field).filter(|value| !value.is_null())
    }

    /// The condition of that type in `status.conditions`, if it is true.
    pub fn condition(self, kind: &str) -> Option<&'a Value> {
        let text = |condition: &'a Value, field| condition.get(field).and_then(Value::as_str);
        self.status("conditions")?.as_array()?.iter().find(|condition| {
            text(condition, "type") == Some(kind) && text(condition, "status") == Some("True")
        })
    }

    /// A field of `status`; JSON `null` reads as absent.
    pub fn status(self, field: &str) -> Option<&'a Value> {
        self.0.get("status")?.get(field).filter(|value| !value.is_null())
    }

    /// Whether a condition of that type is, or was, reported.
    pub fn has_condition(self, kind: &str) -> bool {
        self.status("conditions").and_then(Value::as_array).is_some_and(|conditions| {
            conditions.iter().any(|one| one.get("type").and_then(Value::as_str) == Some(kind))
        })
    }

    /// `spec.parallelism`.
    pub fn parallelism(self) -> Option<i64> {
        self.spec("parallelism")?.as_i64()
    }

    /// `spec.completions`.
    pub fn completions(self) -> Option<i64> {
        self.spec("completions")?.as_i64()
    }

    /// Whether `spec.completionMode` is Indexed.
    pub fn is_indexed(self) -> bool {
        self.spec("completionMode").and_then(Value::as_str) == Some("Indexed")
    }

    /// Whether `spec.suspend` is true.
    pub fn is_suspended(self) -> bool {
        self.spec("suspend").and_then(Value::as_bool) == Some(true)
    }

    /// Whether the user manages the selector (`spec.manualSelector`).
    pub fn has_manual_selector(self) -> bool {
        self.spec("manualSelector").and_then(Value::as_bool) == Some(true)
    }

    /// `spec.managedBy`, where it names another controller than the built-in one (KEP-4368).
    pub fn foreign_manager(self) -> Option<&'a str> {
        self.spec("managedBy")?.as_str().filter(|name| *name != "kubernetes.io/job-controller")
    }
}
