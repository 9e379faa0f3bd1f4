//! CREATE: the name, the TTL, the recorded hash.

use serde_json::json;

use crate::job::{Client, Job, NameKeeper, TemplateHash, hashed_name, is_hashed_name, keys};
use crate::patch::Draft;
use crate::policy::{Naming, Policy};
use crate::reason::Reason;
use crate::review::Request;

use super::{Decision, Warnings, words};

/// Decides a CREATE that reached the API server.
pub(super) fn decide(
    request: &Request,
    job: Job<'_>,
    policy: &Policy,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    let manager = request.field_manager.as_deref();
    let hash = TemplateHash::of(job.value());
    let named = match (policy.naming, job.name()) {
        (Naming::Stable, _) => None,
        (Naming::TemplateHash, None) => Some(Reason::GenerateName),
        (Naming::TemplateHash, Some(name)) => match NameKeeper::of(job, manager) {
            Some(keeper) => {
                warnings.add(words::name_kept(name, keeper, policy));
                Some(Reason::NameKept)
            }
            None => Some(rename(name, job, &hash, &mut draft)),
        },
    };
    let name = words::name(job, &request.name);
    let injected = inject_ttl(job, name, manager, policy, &mut draft, &mut warnings);
    record(&hash, &mut draft);
    Decision::patched(outcome(named, injected), draft, warnings)
}

/// Decides for a manifest that is not yet in a cluster.
pub(super) fn offline(
    job: Job<'_>,
    policy: &Policy,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    let hash = TemplateHash::of(job.value());
    let named = match (policy.naming, job.name()) {
        (Naming::Stable, _) => None,
        (Naming::TemplateHash, None) => Some(Reason::GenerateName),
        (Naming::TemplateHash, Some(name)) => Some(rename(name, job, &hash, &mut draft)),
    };
    let name = words::name(job, "");
    let injected = inject_ttl(job, name, None, policy, &mut draft, &mut warnings);
    record(&hash, &mut draft);
    Decision::patched(outcome(named, injected), draft, warnings)
}

/// `<name>-<hash>`; a Job that has been named so before (an exported manifest, a second run of
/// admission) is named anew from its base name, never suffixed twice.
fn rename(name: &str, job: Job<'_>, hash: &TemplateHash, draft: &mut Draft<'_>) -> Reason {
    let named_before = job.annotation(keys::BASE_NAME);
    if is_hashed_name(name, hash)
        || named_before.is_some_and(|base| hashed_name(base, job, hash) == name)
    {
        return Reason::AlreadyNamed;
    }
    let before = job.recorded_hash();
    let base = match (named_before, before) {
        (Some(base), Some(before)) if hashed_name(base, job, &before) == name => base,
        _ => name,
    };
    draft.set(&["metadata", "name"], json!(hashed_name(base, job, hash)));
    draft.set(&["metadata", "annotations", keys::BASE_NAME], json!(base));
    Reason::Renamed
}

/// Injects the TTL where the Job sets none. Never on UPDATE: it would delete finished Jobs at once.
fn inject_ttl(
    job: Job<'_>,
    name: &str,
    manager: Option<&str>,
    policy: &Policy,
    draft: &mut Draft<'_>,
    warnings: &mut Warnings,
) -> bool {
    let Some(ttl) = policy.ttl_seconds_after_finished else { return false };
    if job.spec("ttlSecondsAfterFinished").is_some() {
        return false;
    }
    draft.set(&["spec", "ttlSecondsAfterFinished"], json!(ttl.seconds()));
    let client = Client::of(job, manager);
    if client.is_gitops() {
        let client = client.title();
        warnings.add(format!(
            "job {name}: {client} may create it again, that is re-run it, when the TTL has deleted it"
        ));
    }
    true
}

fn record(hash: &TemplateHash, draft: &mut Draft<'_>) {
    draft.set(&["metadata", "annotations", keys::TEMPLATE_HASH], json!(hash.as_str()));
}

fn outcome(named: Option<Reason>, injected: bool) -> Reason {
    match named {
        Some(reason) => reason,
        None if injected => Reason::TtlInjected,
        None => Reason::Created,
    }
}
