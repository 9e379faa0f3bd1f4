//! UPDATE: whose difference it is, and what the policy says about it.

use serde_json::{Value, json};

use crate::job::{
    Change, GENERATED_LABELS, IMMUTABLE_FIELDS, Job, Progress, TemplateHash, UID_LABELS,
    asks_for_a_rerun, changes, is_of_status, keys, progress, without_admission,
};
use crate::patch::Draft;
use crate::policy::{OnChange, Policy};
use crate::reason::Reason;
use crate::replacement::Record;
use crate::review::Request;

use super::ttl::PolicyTtl;
use super::unchanged::{self, Difference};
use super::{
    Context, Decision, Question, Warnings, left_alone, marker, marks, messages, native_updates,
    plan, replacement,
};

/// An UPDATE with what the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) request: &'a Request,
    pub(super) old: Job<'a>,
    pub(super) job: Job<'a>,
    /// The old Job without what a queue wrote into it when it admitted the Job.
    pub(super) stored: &'a Value,
    /// The request's in the same way.
    pub(super) wanted: &'a Value,
    pub(super) policy: &'a Policy,
    pub(super) context: &'a Context<'a>,
}

impl Update<'_> {
    pub(super) fn name(&self) -> &str {
        messages::name(self.old, &self.request.name)
    }

    /// What becomes of the policy's TTL in the Job that is asked for, were it created.
    pub(super) fn policy_ttl(&self) -> PolicyTtl {
        if left_alone::reason_from_job(self.job, None).is_some() {
            return PolicyTtl::None;
        }
        PolicyTtl::of(self.job, self.request.field_manager.as_deref(), self.policy)
    }

    pub(super) fn asks_for_a_rerun(&self) -> bool {
        asks_for_a_rerun(self.old, self.job)
    }

    /// Whether the dormant Job that was made for this request has come to its end before it was
    /// started (`activeDeadlineSeconds`): to release it would run nothing. One of no completions has
    /// nothing to run.
    fn ended_dormant(&self) -> bool {
        self.policy.on_change == OnChange::Replace
            && progress(self.old) == Progress::Finished
            && self.old.completions() != Some(0)
            && Record::of(self.old).is_some_and(|record| record.was_made_for(self.request))
    }

    /// Whether the request drops what rejob has written: a PUT of a manifest.
    fn is_bare_put(&self) -> bool {
        self.old.annotation(keys::TEMPLATE_HASH).is_some()
            && self.job.annotation(keys::TEMPLATE_HASH).is_none()
    }

    /// Whether the `parallelism` of the request is put back, so that no change by it is one: the Job sleeps
    /// for somebody else's request, and is going.
    fn stays_dormant(&self) -> bool {
        self.is_being_deleted()
            && Record::of(self.old).is_some_and(|record| !record.was_made_for(self.request))
    }

    /// Whether the request names another revision or uid than the stored one: its write cannot succeed.
    pub(super) fn is_stale(&self) -> bool {
        let differs = |theirs: Option<&str>, stored: Option<&str>| {
            theirs.is_some_and(|theirs| stored.is_none_or(|stored| theirs != stored))
        };
        let moved_on = differs(self.job.resource_version(), self.old.resource_version());
        (moved_on && !self.context.was_told_to_wait) || differs(self.job.uid(), self.old.uid())
    }

    /// Whether the API server comes back with the very request that the dormant Job was made for, and
    /// that brings more than the Job was made of.
    fn is_sent_again(&self) -> bool {
        Record::of(self.old).is_some_and(|record| {
            record.was_made_for(self.request)
                && record
                    .sent
                    .is_some_and(|sent| sent == TemplateHash::of(self.job.value()).as_str())
        })
    }

    pub(super) fn is_being_deleted(&self) -> bool {
        self.old.is_being_deleted() || self.job.is_being_deleted()
    }
}

pub(super) fn decide(
    update: &Update<'_>,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let changes = changes(update.stored, update.wanted);
    let rerun = match (update.asks_for_a_rerun(), update.policy.on_change) {
        _ if update.ended_dormant() => true,
        (true, OnChange::Replace) => true,
        (true, on_change) => {
            let name = update.name();
            warnings.add(format!(
                "job {name}: rejob.dev/rerun does nothing, onChange is {on_change:?}"
            ));
            false
        }
        (false, _) => false,
    };
    if rerun {
        return by_policy(update, &changes, draft, warnings);
    }
    if changes.is_empty() || update.is_sent_again() {
        let unchanged =
            if update.is_being_deleted() { Reason::BeingDeleted } else { Reason::Unchanged };
        return Ok(restore_stored_template(update, unchanged, draft, warnings));
    }
    // First, since nothing re-runs by it: a Job that is scaled and scaled back asks for what it
    // asked for before.
    if native_updates::by_the_api_server(update.old, update.job, update.context.server_minor)
        && !update.stays_dormant()
    {
        // A queue that starts a suspended Job where there is room asks for nothing new.
        let starts = update.old.is_suspended() && !update.job.is_suspended();
        if update.old.annotation(keys::TEMPLATE_HASH).is_some() && !starts {
            // Nor does one that writes into its template: nobody is asked for here.
            let before = without_admission(update.old, update.old, None);
            let made = without_admission(update.job, update.old, None);
            if !self::changes(&before, &made).is_empty() {
                record_hash(&mut draft, &TemplateHash::of(&made));
            }
        }
        put_back_generated(&mut draft, update.old);
        keep_ttl(update, &mut draft, &mut warnings);
        return Ok(release(update, Reason::AllowedChange, draft, warnings));
    }
    match unchanged::whose(update, || plan::plan(update, &changes))? {
        Difference::Another(hash) => {
            if !update.request.dry_run && Record::of(update.old).is_none() {
                record_hash(&mut draft, &hash);
            }
            Ok(restore_stored_template(update, Reason::Restored, draft, warnings))
        }
        Difference::Callers => by_policy(update, &changes, draft, warnings),
        Difference::Untold(why) => Ok(replacement::untold(update, &why)),
    }
}

fn record_hash(draft: &mut Draft<'_>, hash: &TemplateHash) {
    draft.set(&["metadata", "annotations", keys::TEMPLATE_HASH], json!(hash.as_str()));
}

fn by_policy(
    update: &Update<'_>,
    changes: &[Change],
    draft: Draft<'_>,
    mut warnings: Warnings,
) -> Result<Decision, Question> {
    let name = update.name();
    // A write at another revision or uid than the stored one cannot succeed: nothing is done for it,
    // and the API server gives its own answer.
    if update.policy.on_change != OnChange::Ignore && update.is_stale() {
        return Ok(marker::stale(update.old, update.job));
    }
    Ok(match update.policy.on_change {
        OnChange::Ignore => Decision::patched(Reason::Ignored, draft, warnings),
        OnChange::Keep if !update.is_being_deleted() => {
            let mut paths = messages::changed_paths(changes);
            for companion in companions(update.old, update.job) {
                paths.push_str(", spec.");
                paths.push_str(companion);
            }
            warnings.add(format!("job {name} kept: onChange is Keep, not applied: {paths}"));
            restore_stored_template(update, Reason::Kept, draft, warnings)
        }
        OnChange::Deny => Decision::deny(
            Reason::Denied,
            format!(
                "job {name}: {} cannot be changed while onChange is Deny; delete the Job first, \
                 or give the new one another name",
                messages::changed_paths(changes)
            ),
        ),
        OnChange::Keep | OnChange::Replace => replacement::decide(update, changes, warnings)?,
    })
}

/// Makes the stored Job's immutable part stand, to the letter, and releases a dormant Job.
///
/// It covers the bare PUT as well, which lacks the selector and the generated labels.
fn restore_stored_template(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    put_back(&mut draft, update.old);
    keep_ttl(update, &mut draft, &mut warnings);
    release(update, reason, draft, warnings)
}

/// Keeps the TTL in a PUT of a manifest, which has none because the policy gave it to the Job. Where
/// it is another one, the manifest may have had it: that is said.
fn keep_ttl(update: &Update<'_>, draft: &mut Draft<'_>, warnings: &mut Warnings) {
    let field = "ttlSecondsAfterFinished";
    let Some(ttl) = update.policy_ttl().given() else { return };
    if update.is_bare_put()
        && let Some(stored) = update.old.spec(field)
    {
        if *stored != json!(ttl.seconds()) {
            warnings.add(format!("job {} keeps its {field} of {stored}", update.name()));
        }
        draft.copy(&["spec", field], update.old.value());
    }
}

/// Whether the Job has the `podReplacementPolicy` that the API server gives to one without a
/// `podFailurePolicy`; beside one it refuses it.
pub(super) fn has_plain_replacement_policy(job: Job<'_>) -> bool {
    job.spec("podReplacementPolicy").is_some_and(|policy| policy == "TerminatingOrFailed")
}

/// Fields that may change, and the immutable ones without which their new value may be invalid, or
/// untrue (a Job that is kept still has a selector of its own).
const COMPANIONS: [(&str, &[&str]); 3] = [
    ("manualSelector", &["selector"]),
    ("maxFailedIndexes", &["backoffLimitPerIndex", "completionMode", "completions"]),
    ("podReplacementPolicy", &["podFailurePolicy"]),
];

/// Whether one of these fields of `spec` differs.
pub(super) fn differ(old: Job<'_>, job: Job<'_>, fields: &[&str]) -> bool {
    fields.iter().any(|field| job.spec(field) != old.spec(field))
}

/// The companions that differ together with one of their immutable fields.
pub(super) fn companions<'a>(
    old: Job<'a>,
    job: Job<'a>,
) -> impl Iterator<Item = &'static str> + 'a {
    COMPANIONS
        .iter()
        .filter(move |(companion, fields)| {
            differ(old, job, fields) && differ(old, job, &[companion])
        })
        .map(|(companion, _)| *companion)
}

/// Puts every field of the immutable part back to the old Job's value, and with it what is valid
/// only beside the new one.
pub(super) fn put_back(draft: &mut Draft<'_>, old: Job<'_>) {
    for companion in companions(old, Job::new(draft.original())) {
        draft.copy(&["spec", companion], old.value());
    }
    for field in IMMUTABLE_FIELDS {
        draft.copy(&["spec", field], old.value());
    }
    put_back_uid_labels(draft, old);
}

/// Where the labels of the Job itself name the uid of another one (a client that sends back what it
/// has read of the Job before), they are those of the stored Job.
fn put_back_uid_labels(draft: &mut Draft<'_>, old: Job<'_>) {
    let job = Job::new(draft.original());
    for label in UID_LABELS {
        if job.label(label).is_some_and(|uid| old.uid() != Some(uid)) {
            draft.set(&["metadata", "labels", label], json!(old.uid()));
        }
    }
}

/// Puts the selector and the template's labels that the API server generated back, which a bare
/// PUT lacks.
fn put_back_generated(draft: &mut Draft<'_>, old: Job<'_>) {
    if old.has_manual_selector() {
        return;
    }
    put_back_uid_labels(draft, old);
    draft.copy(&["spec", "selector"], old.value());
    for label in GENERATED_LABELS {
        draft.copy(&["spec", "template", "metadata", "labels", label], old.value());
    }
}

/// Starts a dormant Job when the API server comes back with the request that made it: the same
/// user with the same field manager. Nobody else starts it, not even by setting `parallelism`:
/// its template may come from a forged review.
fn release(
    update: &Update<'_>,
    reason: Reason,
    mut draft: Draft<'_>,
    warnings: Warnings,
) -> Decision {
    let Some(record) = Record::of(update.old) else {
        return Decision::patched(reason, draft, warnings);
    };
    if !record.was_made_for(update.request) {
        if update.request.dry_run || update.is_being_deleted() {
            return Decision::patched(reason, draft, warnings);
        }
        return replacement::meets_dormant(update);
    }
    let mut warnings = warnings;
    warnings.add(format!("job {} replaced: {}", update.name(), record.changed));
    marks::remove_dormant_marks(&mut draft);
    if let Some(Value::Array(mut owners)) = record.owners {
        // The creation made the writer the owner of everything.
        let status = update.job.managed_fields().iter().filter(|entry| is_of_status(entry));
        owners.extend(status.cloned());
        draft.set(&["metadata", "managedFields"], Value::Array(owners));
    } else {
        marks::disown_hash(&mut draft);
    }
    marks::settle_last_applied(&mut draft, update.old);
    // Where the request sets the parallelism itself, it stands already.
    if update.job.parallelism() == update.old.parallelism() {
        match record.parallelism {
            Some(parallelism) => draft.set(&["spec", "parallelism"], json!(parallelism)),
            None => draft.remove(&["spec", "parallelism"]),
        }
    }
    if update.job.spec("ttlSecondsAfterFinished").is_none() {
        // A bare PUT: the TTL was injected when the Job was made, as on any CREATE.
        draft.copy(&["spec", "ttlSecondsAfterFinished"], update.old.value());
    }
    if update.old.spec("podFailurePolicy").is_some() && has_plain_replacement_policy(update.job) {
        // The default of a Job without one, which the Job was made without.
        draft.copy(&["spec", "podReplacementPolicy"], update.old.value());
    }
    if update.job.uid() == Some(&record.uid) {
        // A PATCH that names the uid of the Job that it was sent for.
        draft.copy(&["metadata", "uid"], update.old.value());
    }
    if update.job.resource_version() == Some(&record.resource_version)
        && let Some(current) = update.old.resource_version()
    {
        draft.set(&["metadata", "resourceVersion"], json!(current));
    }
    Decision::patched(Reason::Released, draft, warnings)
}
