//! The answer of turn 1: the old Job with a marker.
//!
//! The write at the old revision cannot succeed, so nothing of it is stored; the marker keeps the
//! API server from taking it for no change. Whatever else judges this update sees the old Job, since
//! the update never happens. In a dry run the marker is what the user sees.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::job::{GENERATED_LABELS, Job, LAST_APPLIED_CONFIGURATION, entry_index, keys};
use crate::patch::{Draft, Patch, PatchError};
use crate::reason::Reason;
use crate::replacement::Mode;

use super::decision::Decision;
use super::messages;
use super::restore::{companions, differ, put_back};
use super::view::Update;

/// The longest marker, in characters: it stands in an annotation.
pub(super) const LONGEST: usize = 1024;

/// Everything put back, and the marker.
pub(super) fn answer(
    update: &Update<'_>,
    described: &str,
    mode: Mode,
) -> Result<Patch, PatchError> {
    let (old, job) = (update.old, update.job);
    let mut draft = if update.request.dry_run {
        shown(old, job, described)
    } else {
        unchanged(old, job, described)
    };
    if job.resource_version().is_some() {
        // A request that was shown to wait: its revision is not stale, see `Context::was_told_to_wait`.
        draft.copy(&["metadata", "resourceVersion"], old.value());
    }
    if mode == Mode::Apply
        && update.request.dry_run
        && let Some(manager) = update.request.field_manager.as_deref()
        && let Some(index) = entry_index(job, manager)
    {
        // Else Argo CD drops the marker.
        let field = format!("f:{}", keys::REPLACING);
        let entry = index.to_string();
        let owned =
            ["metadata", "managedFields", &entry, "fieldsV1", "f:metadata", "f:annotations"];
        draft.set(&[owned.as_slice(), &[&field]].concat(), json!({}));
    }
    draft.finish()
}

/// Lets the API server find out that its view is stale.
pub(super) fn stale(old: Job<'_>, job: Job<'_>) -> Decision {
    match unchanged(old, job, "the request is about another revision").finish() {
        Ok(patch) => Decision { patch, ..Decision::admit(Reason::StaleView) },
        Err(error) => Decision::patch_failed(messages::name(old, ""), &error),
    }
}

/// The old Job, but for the marker.
fn unchanged<'a>(old: Job<'_>, job: Job<'a>, marker: &str) -> Draft<'a> {
    let mut draft = Draft::new(job.value());
    draft.copy(&["spec"], old.value());
    put_back_metadata(&mut draft, old);
    draft.set(&["metadata", "annotations", keys::REPLACING], json!(marker));
    draft
}

/// What a dry run shows: what may change without a replacement is as asked for.
fn shown<'a>(old: Job<'_>, job: Job<'a>, described: &str) -> Draft<'a> {
    // A gang's minimum, and the most Pods of a large Indexed Job, go with these.
    let sizes = ["completionMode", "completions", "backoffLimitPerIndex", "scheduling"];
    let keeps_parallelism = differ(old, job, &sizes);
    let parallelism =
        messages::changed_number("spec.parallelism", old.parallelism(), job.parallelism());
    let changes = std::iter::once(described.to_owned())
        .chain(parallelism.filter(|_| keeps_parallelism))
        .chain(companions(old, job).map(|field| format!("spec.{field} changed")))
        .chain(describe_metadata(old, job));
    let marker = messages::cut(&changes.collect::<Vec<_>>().join(", "), LONGEST);

    let mut draft = Draft::new(job.value());
    put_back(&mut draft, old);
    if keeps_parallelism {
        draft.copy(&["spec", "parallelism"], old.value());
    }
    put_back_metadata(&mut draft, old);
    draft.set(&["metadata", "annotations", keys::REPLACING], json!(marker));
    draft
}

fn put_back_metadata(draft: &mut Draft<'_>, old: Job<'_>) {
    for map in ["labels", "annotations"] {
        draft.copy(&["metadata", map], old.value());
    }
}

/// The labels, with values, and the annotations, by key, that change; generated labels and kubectl's
/// own record left out.
fn describe_metadata(old: Job<'_>, job: Job<'_>) -> Vec<String> {
    let is_label = |(key, _): &(&str, &Value)| !GENERATED_LABELS.contains(key);
    let labels = [old, job].map(|job| job.labels().filter(is_label));
    let labels = changed_keys(labels, |key, old, new| {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
        let path = format!("metadata.labels[{key}]");
        match (old, new) {
            (None, new) => format!("{path} added: {}", text(new)),
            (_, None) => format!("{path} removed"),
            (old, new) => format!("{path}: {} -> {}", text(old), text(new)),
        }
    });
    let is_annotation = |(key, _): &(&str, &Value)| {
        *key == keys::RERUN || (*key != LAST_APPLIED_CONFIGURATION && !keys::ALL.contains(key))
    };
    let annotations = [old, job].map(|job| job.annotations().filter(is_annotation));
    let annotations = changed_keys(annotations, |key, old, new| {
        let verb = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        format!("metadata.annotations[{key}] {verb}")
    });
    [labels, annotations].concat()
}

fn changed_keys<'a>(
    maps: [impl Iterator<Item = (&'a str, &'a Value)>; 2],
    describe: impl Fn(&str, Option<&Value>, Option<&Value>) -> String,
) -> Vec<String> {
    let [old, new]: [BTreeMap<_, _>; 2] = maps.map(Iterator::collect);
    let all: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    all.into_iter()
        .map(|key| (key, old.get(key).copied(), new.get(key).copied()))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| describe(key, old, new))
        .collect()
}
