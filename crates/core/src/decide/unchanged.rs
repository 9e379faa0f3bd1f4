//! The difference between the stored Job and the request is not the caller's: another admission hook
//! changed the stored template (image digests, mirrors, pull secrets, sidecars), and the client asks
//! for what it asked for before.
//!
//! Told from the request and the API server alone, so that every replica says the same, after any
//! restart. The cheapest evidence comes first.

use serde_json::{Value, json};

use crate::job::{
    self, Change, Job, TemplateHash, entry_index, is_same_request, keys, last_applied, manifest,
};
use crate::policy::OnChange;
use crate::replacement::Mode;

use super::context::{Fact, Question};
use super::view::Update;
use super::{native_updates, plan};

/// Whose difference it is.
pub(super) enum Difference {
    /// There is none.
    None,
    /// The API server accepts it by itself.
    Native,
    /// Another hook's; what the client asks for has this hash.
    OtherHook(TemplateHash),
    /// The requester's, as far as can be seen.
    Requester,
    /// The API server could not answer at this moment.
    Unknown(String),
}

/// Finds out whose difference these changes are.
pub(super) fn whose(update: &Update<'_>, changes: &[Change]) -> Result<Difference, Question> {
    let hash = TemplateHash::of(update.job_without_queue);
    if let Some(recorded) = trusted_hash(update)
        && (hash == recorded
            || hash_of_a_creation(update).as_ref() == Some(&recorded)
            || is_the_recorded_manifest(update, &recorded))
    {
        return Ok(Difference::OtherHook(recorded));
    }
    if !asks_the_server(update) {
        return Ok(Difference::Requester);
    }
    match &update.context.creation {
        // It is not replaced, so nothing is asked.
        Fact::Unasked if update.dormant.is_others() && plan::mode(update) == Mode::Recreate => {
            Ok(Difference::Requester)
        }
        Fact::Unasked => Err(Question::Creation(Box::new(plan::plan(update, changes)))),
        Fact::Failed(why) => Ok(Difference::Unknown(why.clone())),
        Fact::Known(created) if job::changes(update.old_without_queue, created).is_empty() => {
            Ok(Difference::OtherHook(hash))
        }
        Fact::Known(_) | Fact::Unavailable => Ok(Difference::Requester),
    }
}

/// The recorded hash, where it is that of what was asked for last time. One that may be older is taken
/// all the same if the API server cannot tell: an unchanged deploy must not be refused.
fn trusted_hash(update: &Update<'_>) -> Option<TemplateHash> {
    let may_be_old = || {
        asks_the_server(update)
            && update.context.creation != Fact::Unavailable
            && update.may_have_changed_unrecorded()
            && native_updates::differ_only_in_directives(
                update.old_without_queue,
                update.job_without_queue,
            )
    };
    update.old.recorded_hash().filter(|_| !is_foreign(update) && !may_be_old())
}

/// Whether the API server is asked what the new Job would be. Where it is known that nothing is
/// replaced, it is not.
fn asks_the_server(update: &Update<'_>) -> bool {
    update.policy.on_change != OnChange::Ignore && !update.is_stale()
}

/// Whether the manifest's own hash is the recorded one, and the request brings it back. The hash
/// alone would swallow another change by the same manager, such as `kubectl set env`.
fn is_the_recorded_manifest(update: &Update<'_>, recorded: &TemplateHash) -> bool {
    let manifest = manifest(update.job, update.request.field_manager.as_deref());
    manifest.is_some_and(|manifest| {
        TemplateHash::of(&manifest) == *recorded
            && is_same_request(&manifest, update.old_without_queue, update.job_without_queue)
    })
}

/// Whether the recorded hash came with a manifest, from elsewhere perhaps: rejob's own is nobody's
/// field, since it is written in admission.
fn is_foreign(update: &Update<'_>) -> bool {
    let field = format!("f:{}", keys::TEMPLATE_HASH);
    update.dormant.record().is_none()
        && update.old.managed_fields().iter().any(|entry| {
            entry
                .pointer("/fieldsV1/f:metadata/f:annotations")
                .is_some_and(|owned| owned.get(&field).is_some())
        })
}

/// The hash that the request would have as a creation, where it differs: for a manifest with neither
/// `completions` nor `parallelism` both are 1 then (`SetDefaults_Job`), but beside the stored Job's
/// `parallelism` the former stays absent.
fn hash_of_a_creation(update: &Update<'_>) -> Option<TemplateHash> {
    let is_one = |number: Option<i64>| number == Some(1);
    let defaulted = update.job.completions().is_none()
        && is_one(update.job.parallelism())
        && is_one(update.old.completions())
        && is_one(update.old.parallelism())
        && leaves_parallelism(update.job, update.request.field_manager.as_deref());
    defaulted.then(|| {
        let mut job = update.job_without_queue.clone();
        if let Some(Value::Object(spec)) = job.get_mut("spec") {
            spec.insert("completions".to_owned(), json!(1));
        }
        TemplateHash::of(&job)
    })
}

/// Whether the manifest leaves `parallelism` to the API server, as far as can be seen: in what the
/// manager has applied, or in kubectl's record for the Jobs that have one. Helm leaves neither.
fn leaves_parallelism(job: Job<'_>, manager: Option<&str>) -> bool {
    let Some(manager) = manager else { return false };
    if let Some(index) = entry_index(job, manager) {
        let entry = job.managed_fields().get(index);
        return entry
            .is_some_and(|entry| entry.pointer("/fieldsV1/f:spec/f:parallelism").is_none());
    }
    match manager {
        "helm" => true,
        "kubectl-client-side-apply" => last_applied(job)
            .is_some_and(|manifest| Job::new(&manifest).spec("parallelism").is_none()),
        _ => false,
    }
}
