//! What can be decided about a replacement from the request alone; the rest is the plan's.

use serde_json::{Value, json};

use crate::job::{
    Acting, Change, Client, Job, Progress, TemplateHash, acting, applied_part, entry_index, keys,
    progress,
};
use crate::patch::Draft;
use crate::policy::{OnChange, WhileRunning};
use crate::reason::Reason;
use crate::replace::{Mode, Plan, Record, new_job};

use super::update::{Update, differ, has_plain_replacement_policy, put_back};
use super::{Decision, Verdict, Warnings, left_alone, words};

/// The longest description of a replacement, in characters: it stands in an annotation.
const LONGEST_DESCRIPTION: usize = 1024;
/// The most of managedFields that a record holds, in bytes.
const LARGEST_OWNERS: usize = 32 * 1024;

/// The most replacements of a Job made dormant by another one that was. A request that asks for the
/// same each time needs one; two writers with one user and manager may need a few.
const MOST_TURNS: u32 = 5;

/// The field manager of `kubectl replace`, which sends the same file again however often it is told
/// that its uid is no longer the stored one. Other clients that name a uid read before they try again.
const NEVER_READS_AGAIN: &str = "kubectl-replace";

/// Turn 1 of a replacement (or `Keep` on a Job that is being deleted, which has nothing to keep).
pub(super) fn decide(update: &Update<'_>, changes: &[Change], mut warnings: Warnings) -> Decision {
    let (old, job, request) = (update.old, update.job, update.request);
    let name = words::name(old, &request.name);
    let (Some(uid), Some(resource_version)) = (old.uid(), old.resource_version()) else {
        return stale(old, job);
    };
    // A write at another revision or uid than the stored one cannot succeed: nothing is deleted
    // for it, and the API server gives its own answer.
    let differs = |theirs: Option<&str>, stored: &str| theirs.is_some_and(|own| own != stored);
    let moved_on = differs(job.resource_version(), resource_version) && !update.context.held;
    if moved_on || differs(job.uid(), uid) {
        return stale(old, job);
    }
    if job.uid().is_some() && request.field_manager.as_deref() == Some(NEVER_READS_AGAIN) {
        return Decision::deny(
            Reason::UidDenied,
            format!(
                "job {name} cannot be replaced by a manifest with a metadata.uid, which is the old \
                 Job's; take metadata.uid and metadata.resourceVersion out and send it again"
            ),
        );
    }
    if old.is_being_deleted() || job.is_being_deleted() {
        if let Some(decision) = being_deleted(update, name, &mut warnings) {
            return decision;
        }
    } else if let Some(decision) = finalizers(update, name) {
        return decision;
    } else if progress(old) == Progress::Running
        && let Some(decision) = running(update, name, &mut warnings)
    {
        return decision;
    }

    let record = Record::of(old);
    let manager = request.field_manager.as_deref();
    let mode = match acting(old, job, manager) {
        Acting::Apply => Mode::Apply,
        Acting::Unclear if update.context.applied_just_now && !request.dry_run => {
            return Decision::retry(
                Reason::UnclearWriter,
                format!("job {name} was applied a moment ago; try again in a second"),
                1,
            );
        }
        Acting::Update | Acting::Unclear => Mode::Recreate,
    };
    // Whoever else's change would be merged into a template that nobody has asked for by itself,
    // if the dormant Job comes from a forged review. An apply brings all of its own.
    if mode == Mode::Recreate
        && !request.dry_run
        && record.as_ref().is_some_and(|record| !record.was_made_for(request))
    {
        return meets_dormant(update);
    }
    let (described, what) = what_for(update, changes);
    let patch = match answer(update, &described, mode) {
        Ok(patch) => patch,
        Err(error) => return Decision::patch_failed(name, &error),
    };
    let turn = match next_turn(update, record.as_ref()) {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    let intended = record
        .filter(|_| job.parallelism() == old.parallelism())
        .map_or(job.parallelism(), |record| record.parallelism);
    let verb = if request.dry_run { "would be replaced" } else { "replaced" };
    warnings.add(format!("job {name} {verb}: {what}"));
    let reason = if request.dry_run { Reason::WouldReplace } else { Reason::Replaced };
    if has_old_default(update) {
        warnings
            .add(format!("job {name}: podReplacementPolicy is Failed beside a podFailurePolicy"));
    }
    let stored = Stored { name, uid, resource_version };
    let plan =
        plan(update, &stored, changes, mode, Intended { parallelism: intended, turn }, described);
    if let Some(applied) = &plan.applied
        && let Some(refusal) = refusal_of_the_creation(update, applied)
    {
        return refusal;
    }
    let mut decision = Decision {
        verdict: Verdict::Replace(Box::new(plan)),
        patch,
        warnings: warnings.into_vec(),
        ..Decision::admit(reason)
    }
    .audited();
    decision.audit.insert("changed", words::cut(&what, 256));
    decision.audit.insert("replaced-uid", uid.to_owned());
    decision
}

/// What a replacement is for: in full, and as a warning says it.
fn what_for(update: &Update<'_>, changes: &[Change]) -> (String, String) {
    let (described, what) = if !changes.is_empty() {
        let described = words::cut(&words::describe_changes(changes), LONGEST_DESCRIPTION);
        return (described, format!("{} changed", words::changed_paths(changes)));
    } else if update.asks_for_a_rerun() {
        ("rejob.dev/rerun asks for a new run", "rejob.dev/rerun changed")
    } else {
        ("it ended before it was started", "it ended before it was started")
    };
    (described.to_owned(), what.to_owned())
}

/// Which replacement this is of those of one's own dormant Job, or the refusal of one too many.
fn next_turn(update: &Update<'_>, record: Option<&Record>) -> Result<u32, Decision> {
    let own = record.filter(|record| record.was_made_for(update.request));
    let turn = own.filter(|_| !update.context.given_up).map_or(1, |own| own.turn.saturating_add(1));
    if turn <= MOST_TURNS {
        return Ok(turn);
    }
    let name = update.name();
    Err(Decision::deny(
        Reason::NeverSettles,
        format!(
            "job {name} was replaced {MOST_TURNS} times in the name of {:?}, by another template each \
             time, and is not started: the request gives another one whenever it is applied, as a JSON \
             Patch that adds to a list does (send what the template is to be), or others write the Job \
             in the same name (send the request again)",
            update.request.user.username
        ),
    ))
}

/// What this webhook will say when the API server creates the Job of an apply. An annotation that is
/// invalid is borne in a stored Job, but not in a new one.
fn refusal_of_the_creation(update: &Update<'_>, applied: &Value) -> Option<Decision> {
    let applied = Job::new(applied);
    if left_alone::by_job(applied, None).is_some() {
        return None;
    }
    let (_, invalid) = update.policy.for_job(applied);
    let annotation = invalid.first()?;
    let name = update.name();
    Some(Decision::deny(Reason::InvalidAnnotation, format!("job {name}: {annotation}")))
}

/// What names the Job that is to go.
struct Stored<'a> {
    name: &'a str,
    uid: &'a str,
    resource_version: &'a str,
}

/// What the record of a dormant Job hands on.
struct Intended {
    parallelism: Option<i64>,
    turn: u32,
}

/// What the effects need to know.
fn plan(
    update: &Update<'_>,
    stored: &Stored<'_>,
    changes: &[Change],
    mode: Mode,
    intended: Intended,
    described: String,
) -> Plan {
    let Intended { parallelism, turn } = intended;
    let (job, request) = (update.job, update.request);
    let manager = request.field_manager.as_deref();
    let hash = asked_hash(update.old, job, changes);
    let mut new = new_job(job, &hash, parallelism);
    inject_ttl(update, &mut new);
    drop_default(update, &mut new);
    Plan {
        namespace: request.namespace.clone(),
        name: stored.name.to_owned(),
        uid: stored.uid.to_owned(),
        resource_version: stored.resource_version.to_owned(),
        asked_revision: job.resource_version().unwrap_or(stored.resource_version).to_owned(),
        user: request.user.clone(),
        field_manager: request.field_manager.clone(),
        mode,
        dry_run: request.dry_run,
        applied: manager
            .filter(|_| mode == Mode::Apply)
            .and_then(|manager| applied_part(job, entry_index(job, manager)?)),
        owners: owners(job),
        job: new,
        hash,
        parallelism,
        turn,
        described,
        client: Client::of(job, manager),
    }
}

/// Gives the new Job the policy's TTL where it sets none, as on any CREATE.
fn inject_ttl(update: &Update<'_>, new: &mut Value) {
    if let Some(ttl) = update.policy.ttl_seconds_after_finished
        && update.job.spec("ttlSecondsAfterFinished").is_none()
        && let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(ttl.seconds()));
    }
}

/// Whether a new `podFailurePolicy` comes with the `podReplacementPolicy` that the API server gave to
/// the Job without one: beside it another value is the default, and the only one.
fn has_old_default(update: &Update<'_>) -> bool {
    update.old.spec("podFailurePolicy").is_none()
        && update.job.spec("podFailurePolicy").is_some()
        && has_plain_replacement_policy(update.job)
}

/// Takes that default out.
fn drop_default(update: &Update<'_>, new: &mut Value) {
    if has_old_default(update)
        && let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("podReplacementPolicy");
    }
}

/// The hash of what was asked for. Where only a rerun is asked for, that is what was asked for last
/// time, whatever other hooks have made of it.
fn asked_hash(old: Job<'_>, job: Job<'_>, changes: &[Change]) -> TemplateHash {
    let recorded = if changes.is_empty() { old.recorded_hash() } else { None };
    recorded.unwrap_or_else(|| TemplateHash::of(job.value()))
}

/// Who owns which field after the request, as the API server has found; `None` when it is too much
/// to record. The creation would make the writer the owner of everything, and the next apply of
/// another manager would fail with a conflict.
fn owners(job: Job<'_>) -> Option<Value> {
    let entries: Vec<Value> =
        job.managed_fields().iter().filter(|entry| !is_of_status(entry)).cloned().collect();
    let owners = Value::Array(entries);
    (owners.to_string().len() <= LARGEST_OWNERS).then_some(owners)
}

/// Whether an entry of managedFields is about a subresource.
pub(super) fn is_of_status(entry: &Value) -> bool {
    entry.get("subresource").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
}

/// The answer of turn 1: every immutable field put back, and the marker. The write at the old
/// revision cannot succeed, so nothing of it is stored. In a dry run the marker is what the user
/// sees, and for an apply it is entered into the manager's own fields, else Argo CD drops it.
fn answer(
    update: &Update<'_>,
    described: &str,
    mode: Mode,
) -> Result<crate::patch::Patch, crate::patch::PatchError> {
    let mut draft = with_marker(update.old, update.job, described);
    if update.job.resource_version().is_some() {
        // A request that was held: its revision is not stale, see `Context::held`.
        draft.copy(&["metadata", "resourceVersion"], update.old.value());
    }
    if mode == Mode::Apply
        && update.request.dry_run
        && let Some(manager) = update.request.field_manager.as_deref()
        && let Some(index) = entry_index(update.job, manager)
    {
        let field = format!("f:{}", keys::REPLACING);
        let entry = index.to_string();
        let owned =
            ["metadata", "managedFields", &entry, "fieldsV1", "f:metadata", "f:annotations"];
        draft.set(&[owned.as_slice(), &[&field]].concat(), json!({}));
    }
    draft.finish()
}

fn with_marker<'a>(old: Job<'_>, job: Job<'a>, described: &str) -> Draft<'a> {
    let mut draft = Draft::new(job.value());
    put_back(&mut draft, old);
    // A gang's minimum, and the most Pods of a large Indexed Job, go with these.
    let sizes = ["completionMode", "completions", "backoffLimitPerIndex", "scheduling"];
    if differ(old, job, &sizes) {
        draft.copy(&["spec", "parallelism"], old.value());
    }
    draft.set(&["metadata", "annotations", keys::REPLACING], json!(described));
    draft
}

/// Lets the API server find out by itself that its view is stale.
pub(super) fn stale(old: Job<'_>, job: Job<'_>) -> Decision {
    match with_marker(old, job, "the request is about another revision").finish() {
        Ok(patch) => Decision { patch, ..Decision::admit(Reason::StaleView) },
        Err(error) => Decision::patch_failed(words::name(old, ""), &error),
    }
}

/// The request meets a dormant Job that was made for another one.
pub(super) fn meets_dormant(update: &Update<'_>) -> Decision {
    Decision::retry(
        Reason::MeetsDormant,
        format!("job {} is being replaced by another request; try again", update.name()),
        1,
    )
}

fn being_deleted(update: &Update<'_>, name: &str, warnings: &mut Warnings) -> Option<Decision> {
    let policy = update.policy;
    if policy.while_running != WhileRunning::Wait || policy.on_change != OnChange::Replace {
        return Some(Decision::deny(
            Reason::BeingDeletedDenied,
            format!("job {name} is being deleted and cannot be changed; try again when it is gone"),
        ));
    }
    if update.request.dry_run {
        warnings.add(format!("job {name} is being deleted: the real run waits until it is gone"));
        return None;
    }
    Some(Decision::retry(
        Reason::BeingDeletedWait,
        format!(
            "job {name} is being deleted and cannot be changed until it is gone; try again then"
        ),
        policy.wait_seconds.retry_after(),
    ))
}

/// Anything that would keep the old Job from vanishing at once, even what this very request removes.
fn finalizers(update: &Update<'_>, name: &str) -> Option<Decision> {
    let finalizers = update.old.finalizers();
    (!finalizers.is_empty()).then(|| {
        Decision::deny(
            Reason::FinalizersDenied,
            format!(
                "job {name} cannot be replaced: it has the finalizers {}, so it would not vanish at \
                 once; remove them in a request of their own first",
                words::cut(&finalizers.join(", "), 200)
            ),
        )
    })
}

fn running(update: &Update<'_>, name: &str, warnings: &mut Warnings) -> Option<Decision> {
    let wait = update.policy.wait_seconds;
    match update.policy.while_running {
        WhileRunning::Replace => None,
        WhileRunning::Deny => Some(Decision::deny(
            Reason::RunningDenied,
            format!(
                "job {name} is running and cannot be changed while whileRunning is Deny; try again \
                 when it has finished, or delete it first"
            ),
        )),
        WhileRunning::Wait if update.request.dry_run => {
            let seconds = wait.get();
            warnings
                .add(format!("job {name} is running: the real run waits up to {seconds} s for it"));
            None
        }
        WhileRunning::Wait => Some(Decision::retry(
            Reason::RunningWait,
            format!(
                "job {name} is still running; waited for it (waitSeconds {}): try again when it has \
                 finished, or set the annotation rejob.dev/while-running: Replace",
                wait.get()
            ),
            wait.retry_after(),
        )),
    }
}
