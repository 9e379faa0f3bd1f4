//! The plan of a replacement, from the request alone.

use serde_json::{Map, Value, json};

use crate::job::{
    ActingOperation, Change, Client, Job, TemplateHash, acting_operation, applied_part,
    describe_run, entry_index, owners, pod_selector, suspended_by_a_queue, take_generated,
};
use crate::replacement::{Mode, Plan, Record, identity, new_job};

use super::restore::has_plain_replacement_policy;
use super::view::Update;
use super::{left_alone, messages, obstacles};

/// The longest description of a replacement, in characters: it stands in an annotation.
const LONGEST_DESCRIPTION: usize = 1024;
/// The most of managedFields that a record holds, in bytes.
const LARGEST_OWNERS: usize = 32 * 1024;

/// What the effects of a replacement need to know.
pub(super) fn plan(update: &Update<'_>, changes: &[Change]) -> Plan {
    let (old, job, request) = (update.old, update.job, update.request);
    let (mode, hash) = (mode(update), requested_hash(update, changes));
    let (described, changed) = what_for(update, changes);
    let record = record(update, changed);
    let (applied, was_read_back) = applied(update, mode);
    Plan {
        namespace: request.namespace.clone(),
        name: messages::name(old, &request.name).to_owned(),
        resource_version: old.resource_version().unwrap_or_default().to_owned(),
        user: request.user.clone(),
        old_run: match update.dormant.record() {
            Some(_) => "never started".to_owned(),
            None => describe_run(old, obstacles::a_pod_works(update)),
        },
        old_hash: old.recorded_hash().unwrap_or_else(|| TemplateHash::of(update.old_without_queue)),
        mode,
        only_checks: update.only_checks(),
        pods: obstacles::pods_tell(update).then(|| pod_selector(old)),
        applied,
        was_read_back,
        job: job_to_run(update, &hash, record.parallelism),
        record,
        old_annotations: annotations(old),
        hash,
        described,
        client: Client::of(job, request.field_manager.as_deref()),
    }
}

/// How the new Job comes to be.
pub(super) fn mode(update: &Update<'_>) -> Mode {
    let manager = update.request.field_manager.as_deref();
    match acting_operation(update.old, update.job, manager) {
        ActingOperation::Apply => Mode::Apply,
        ActingOperation::Update | ActingOperation::Unclear => Mode::Recreate,
    }
}

/// What turn 2 needs to know.
fn record(update: &Update<'_>, changed: String) -> Record {
    let (old, job, request) = (update.old, update.job, update.request);
    let dormant = update.dormant.record().filter(|_| job.parallelism() == old.parallelism());
    let ours = update.dormant.ours().filter(|_| !update.context.given_up);
    let is_whole = update.job_without_queue == job.value();
    Record {
        parallelism: dormant.map_or(job.parallelism(), |record| record.parallelism),
        uid: old.uid().unwrap_or_default().to_owned(),
        resource_version: job
            .resource_version()
            .or(old.resource_version())
            .unwrap_or_default()
            .to_owned(),
        user: identity(&request.user),
        manager: request.field_manager.clone(),
        policy: String::new(),
        replacements: ours.map_or(1, |ours| ours.replacements.saturating_add(1)),
        sent: (!is_whole).then(|| TemplateHash::of(job.value()).to_string()),
        suspended: job.is_suspended(),
        labels: update.is_bare_put().then(|| job.labels().map(|(key, _)| key.to_owned()).collect()),
        changed,
        owners: recorded_owners(job, request.field_manager.as_deref()),
    }
}

/// What the client applies, and whether it has read that of the old Job. The API server's creation is
/// asked about as any other, and what was generated for the old Job is taken out then.
fn applied(update: &Update<'_>, mode: Mode) -> (Option<Value>, bool) {
    let manager = update.request.field_manager.as_deref().filter(|_| mode == Mode::Apply);
    let part =
        manager.and_then(|manager| applied_part(update.job, entry_index(update.job, manager)?));
    let Some(as_sent) = part else { return (None, false) };
    let mut applied = as_sent.clone();
    if left_alone::reason_from_job(Job::new(&applied), None).is_none() {
        take_generated(&mut applied);
    }
    let was_read_back = applied != as_sent;
    (Some(applied), was_read_back)
}

fn annotations(job: Job<'_>) -> Map<String, Value> {
    job.annotations().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// What a replacement is for: in full, and as a warning says it.
pub(super) fn what_for(update: &Update<'_>, changes: &[Change]) -> (String, String) {
    let (described, changed) = if !changes.is_empty() {
        let described = messages::cut(&messages::describe_changes(changes), LONGEST_DESCRIPTION);
        return (described, format!("{} changed", messages::changed_paths(changes)));
    } else if update.asks_for_a_rerun() {
        ("rejob.dev/rerun asks for a new run", "rejob.dev/rerun changed")
    } else {
        ("it ended before it was started", "it ended before it was started")
    };
    (described.to_owned(), changed.to_owned())
}

/// The new Job, with what any CREATE gives it and without what is the old one's.
fn job_to_run(update: &Update<'_>, hash: &TemplateHash, parallelism: Option<i64>) -> Value {
    let mut new = new_job(Job::new(update.job_without_queue), hash, parallelism);
    let Some(Value::Object(spec)) = new.get_mut("spec") else { return new };
    if let Some(ttl) = update.policy_ttl().given() {
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(ttl.get()));
    }
    if has_old_default(update) {
        spec.remove("podReplacementPolicy");
    }
    let manager = update.request.field_manager.as_deref();
    if let Some(suspended) = suspended_by_a_queue(update.job, manager) {
        spec.insert("suspend".to_owned(), json!(suspended));
    }
    new
}

/// Whether a new `podFailurePolicy` comes with the `podReplacementPolicy` that the API server gave to
/// the Job without one: beside it another value is the default, and the only one.
pub(super) fn has_old_default(update: &Update<'_>) -> bool {
    update.old.spec("podFailurePolicy").is_none()
        && update.job.spec("podFailurePolicy").is_some()
        && has_plain_replacement_policy(update.job)
}

/// The hash of what was asked for. Where only a rerun is asked for, that is what was asked for last
/// time, whatever other hooks have made of it.
fn requested_hash(update: &Update<'_>, changes: &[Change]) -> TemplateHash {
    let recorded = update
        .old
        .recorded_hash()
        .filter(|_| changes.is_empty() && !update.may_have_changed_unrecorded());
    recorded.unwrap_or_else(|| TemplateHash::of(update.job_without_queue))
}

/// Who owns which field after the request, as the API server has found; `None` when it is too much
/// to record. The creation would make the writer the owner of everything, and the next apply of
/// another manager would fail with a conflict.
fn recorded_owners(job: Job<'_>, manager: Option<&str>) -> Option<Value> {
    let owners = Value::Array(owners(job, manager));
    (owners.to_string().len() <= LARGEST_OWNERS).then_some(owners)
}
