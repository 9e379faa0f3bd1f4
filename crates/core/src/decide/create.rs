//! CREATE: the name, the TTL, the recorded hash.

use serde_json::json;

use crate::job::{
    Job, NAME_LABELS, NameKeeper, TemplateHash, generated_paths, hashed_name, is_hashed_name, keys,
};
use crate::patch::Draft;
use crate::policy::{Naming, OnChange, Policy};
use crate::reason::Reason;
use crate::review::Request;

use super::decision::Decision;
use super::marks::record_hash;
use super::messages;
use super::messages::Warnings;
use super::ttl::PolicyTtl;

/// Decides a CREATE that reached the API server, or without a request a manifest that is not yet in a
/// cluster.
pub(super) fn decide(
    job: Job<'_>,
    request: Option<&Request>,
    policy: &Policy,
    mut draft: Draft<'_>,
    mut warnings: Warnings,
) -> Decision {
    let manager = request.and_then(|request| request.field_manager.as_deref());
    let hash = TemplateHash::of(job.value());
    let keeper = || request.and_then(|_| NameKeeper::of(job, manager));
    let named = match (policy.naming, job.name()) {
        (Naming::Stable, _) => None,
        (Naming::TemplateHash, None) => Some(Reason::GenerateName),
        (Naming::TemplateHash, Some(name)) => match keeper() {
            Some(keeper) => {
                warnings.add(messages::name_kept(name, keeper, policy));
                Some(Reason::NameKept)
            }
            None => Some(rename(name, job, &hash, &mut draft)),
        },
    };
    let name = messages::name(job, request.map_or("", |request| &request.name));
    let ttl = PolicyTtl::of(job, manager, policy);
    inject(ttl, name, &mut draft, &mut warnings);
    // The API server refuses the selector and labels of another Job's uid: new ones are generated.
    // What it refuses without rejob is refused under Report as well.
    if request.is_none() || policy.on_change != OnChange::Report {
        for path in generated_paths(job) {
            draft.remove(&path);
        }
    }
    record_hash(&mut draft, &hash);
    Decision::patched(outcome(named, ttl), draft, warnings)
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
    // The API server refuses a template that is labeled with another name than the Job's.
    let labels = job.value().pointer("/spec/template/metadata/labels");
    for label in NAME_LABELS.into_iter().filter(|_| !job.has_manual_selector()) {
        if labels.and_then(|labels| labels.get(label)?.as_str()) == Some(name) {
            draft.remove(&["spec", "template", "metadata", "labels", label]);
        }
    }
    draft.set(&["metadata", "name"], json!(hashed_name(base, job, hash)));
    draft.set(&["metadata", "annotations", keys::BASE_NAME], json!(base));
    Reason::Renamed
}

/// Injects the TTL. Never on UPDATE: it would delete finished Jobs at once.
fn inject(ttl: PolicyTtl, name: &str, draft: &mut Draft<'_>, warnings: &mut Warnings) {
    let PolicyTtl::Given(ttl, tool) = ttl else { return };
    draft.set(&["spec", "ttlSecondsAfterFinished"], json!(ttl.get()));
    if let Some(tool) = tool {
        let tool = tool.title();
        warnings.add(format!(
            "job {name}: {tool} may create it again, which reruns it, when the TTL has deleted it"
        ));
    }
}

/// A withheld TTL is the more useful reason: every GitOps tool keeps its names anyway.
fn outcome(named: Option<Reason>, ttl: PolicyTtl) -> Reason {
    match (ttl, named) {
        (PolicyTtl::Withheld, None | Some(Reason::NameKept | Reason::GenerateName)) => {
            Reason::TtlWithheld
        }
        (_, Some(reason)) => reason,
        (PolicyTtl::Given(..), None) => Reason::TtlInjected,
        (PolicyTtl::None, None) => Reason::Created,
    }
}
