//! Dry-run Jobs through the API server: the only probe that sees what a client will see.
//!
//! For each of rejob's entries a Job is sent, with `dryRun=All`, into a namespace that the entry
//! serves. Nothing is stored. rejob marks every Job it is asked about with the template hash, so a
//! Job that comes back without it was never shown to rejob.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::facts::{CallOutcome, Calls, Facts};
use super::probe::Probe;
use crate::decide::SAME_USER_WARNING;
use crate::job::keys;
use crate::kubernetes::jobs_path;
use crate::kubernetes::webhook::{Entry, opted_in};

/// How many Jobs are sent for an entry.
const TRIES: usize = 5;
/// After how many that rejob did not see it is over: with a long timeout each takes that long.
const UNMARKED: usize = 2;
/// How many namespaces are tried where something else refuses the Job.
const NAMESPACES: usize = 3;

/// Sends the Jobs.
pub(super) async fn send(probe: &impl Probe, facts: &Facts) -> Vec<Calls> {
    let mut all = Vec::new();
    for entry in facts.entries_of_policies().filter(|entry| !entry.is_paused()) {
        let outcome = match &facts.namespaces {
            Err(error) => CallOutcome::NotTried(error.clone()),
            Ok(_) => try_entry(probe, facts, &entry).await,
        };
        let (configuration, name) = (entry.configuration.to_owned(), entry.webhook.name.clone());
        all.push(Calls { configuration, entry: name, outcome });
    }
    all
}

async fn try_entry(probe: &impl Probe, facts: &Facts, entry: &Entry<'_>) -> CallOutcome {
    let mut outcome = CallOutcome::NoNamespace;
    let served = facts.namespaces().iter().filter(|namespace| is_served(entry, namespace));
    for namespace in served.take(NAMESPACES) {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        outcome = try_namespace(probe, name).await;
        if !matches!(outcome, CallOutcome::NotTried(_)) {
            break;
        }
    }
    outcome
}

fn is_served(entry: &Entry<'_>, namespace: &Namespace) -> bool {
    let alive = namespace.metadata.deletion_timestamp.is_none();
    alive && opted_in(namespace) == Some(entry.policy) && entry.selects(namespace)
}

async fn try_namespace(probe: &impl Probe, namespace: &str) -> CallOutcome {
    let (mut took, mut unmarked) = (Vec::new(), 0);
    let path = format!("{}?dryRun=All", jobs_path(namespace));
    for _ in 0..TRIES {
        let job = job(probe.now().as_microsecond());
        let answer = match probe.call(Method::POST, &path, Some(&job)).await {
            Ok(answer) => answer,
            Err(error) => {
                return CallOutcome::NotTried(format!("no answer to a dry-run Job: {error}"));
            }
        };
        if !answer.is_success() {
            return refusal(namespace, answer.message());
        }
        if answer.warnings.iter().any(|warning| warning.contains(SAME_USER_WARNING)) {
            return CallOutcome::SameUser;
        }
        if is_marked(&answer.body) {
            took.push(answer.took);
        } else {
            unmarked += 1;
            if unmarked >= UNMARKED {
                break;
            }
        }
    }
    CallOutcome::Answered { namespace: namespace.to_owned(), took, unmarked }
}

/// A failed call of rejob, or somebody else's refusal.
fn refusal(namespace: &str, message: String) -> CallOutcome {
    // `failed calling webhook "replace.rejob.dev": …` (ToStatusErr and ErrCallingWebhook of
    // k8s.io/apiserver/pkg/admission/plugin/webhook), `admission webhook "…" denied the request`.
    if message.contains(".rejob.dev\"") {
        CallOutcome::Failed { namespace: namespace.to_owned(), message }
    } else {
        CallOutcome::NotTried(message)
    }
}

fn is_marked(job: &Value) -> bool {
    let annotations = job.pointer("/metadata/annotations");
    annotations.and_then(|all| all.get(keys::TEMPLATE_HASH)).is_some()
}

/// A Job that the usual policies of a cluster let through, and that would run nothing.
fn job(unique: i64) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        // A webhook entry may call only for Jobs with an annotation of rejob's.
        "metadata": {
            "name": format!("rejob-doctor-{unique}"),
            "annotations": { "rejob.dev/rerun": "doctor" },
        },
        "spec": {
            "suspend": true,
            "template": { "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "pause",
                    "image": "registry.k8s.io/pause:3.10",
                    "resources": {
                        "requests": { "cpu": "1m", "memory": "8Mi" },
                        "limits": { "cpu": "1m", "memory": "8Mi" },
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"] },
                    },
                }],
            }},
        },
    })
}

/// The middle one.
pub fn median(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let ms = |list: &[u64]| list.iter().map(|n| Duration::from_millis(*n)).collect::<Vec<_>>();
        assert_eq!(median(&ms(&[900, 3, 2])), Some(Duration::from_millis(3)));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_refusal_is_rejobs_or_somebody_elses() {
        let of = |message: &str| refusal("shop", message.to_owned());
        let ours = "Internal error occurred: failed calling webhook \"ttl.rejob.dev\": refused";
        assert!(matches!(of(ours), CallOutcome::Failed { .. }));
        assert!(matches!(of("exceeded quota: compute"), CallOutcome::NotTried(_)));
    }
}
