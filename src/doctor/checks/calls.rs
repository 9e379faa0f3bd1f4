//! Whether rejob is really called, and how fast.

use std::time::Duration;

use super::super::calls::median;
use crate::doctor::facts::{CallOutcome, Calls, Facts};
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::POLICY_LABEL;
use crate::words::plural;

const CHECK: &str = "calls";

/// Slower than this is slow: the whole request of a dry-run Job takes some milliseconds.
const SLOW: Duration = Duration::from_secs(1);

pub fn calls(facts: &Facts, findings: &mut Vec<Finding>) {
    let (untried, tried): (Vec<_>, Vec<_>) =
        facts.calls.iter().partition(|calls| calls.outcome == CallOutcome::NoNamespace);
    findings.extend(tried.into_iter().map(|calls| judge(facts, calls)));
    let policy = |calls: &&Calls| calls.entry.trim_end_matches(".rejob.dev").to_owned();
    let policies: Vec<_> = untried.iter().map(policy).collect();
    if let Some(first) = policies.first() {
        findings.push(About::new(CHECK, "").hint(
            format!("not tried for {}: no namespace opts in", policies.join(", ")),
            format!("kubectl label namespace NAMESPACE {POLICY_LABEL}={first}"),
        ));
    }
}

fn judge(facts: &Facts, calls: &Calls) -> Finding {
    let about = About::new(CHECK, format!("{}/{}", calls.configuration, calls.entry));
    let why = "kubectl get --raw /metrics | grep 'apiserver_admission_webhook.*rejob' \
               (docs/install/troubleshooting.md)";
    match &calls.outcome {
        CallOutcome::NoNamespace => about.unchecked("calls of rejob", "no namespace opts in"),
        CallOutcome::NotTried(error) => about.unchecked("calls of rejob", error),
        CallOutcome::SameUser => {
            let user = facts.user.as_deref().unwrap_or("this user");
            about.problem(
                format!(
                    "rejob runs as {user}, who asks here: it leaves all Jobs of this user alone"
                ),
                "run rejob with a service account of its own, as the chart does",
            )
        }
        CallOutcome::Failed { namespace, message } => {
            about.problem(format!("a dry-run Job in {namespace} failed: {message}"), why)
        }
        CallOutcome::Answered { namespace, took, unmarked } if *unmarked > 0 => {
            let all = took.len() + unmarked;
            let user = facts.user.as_deref().unwrap_or("this user");
            let own = is_own(facts, user);
            if own {
                let message =
                    format!("not tried: rejob leaves Jobs of {user}, its own user, alone");
                return about.hint(message, "run rejob doctor as another user");
            }
            about.problem(
                format!(
                    "{unmarked} of {} in {namespace} came back without rejob having seen \
                     it: the API server cannot reach rejob and lets Jobs pass (failurePolicy \
                     Ignore), or a matchCondition leaves {user} out",
                    plural(all, "dry-run Job")
                ),
                why,
            )
        }
        CallOutcome::Answered { namespace, took, .. } => {
            let median = median(took).unwrap_or_default();
            let times = plural(took.len(), "dry-run Job");
            let message =
                format!("{times} in {namespace}, {} ms each (median)", median.as_millis());
            if median > SLOW {
                let message = format!("rejob is called, and slow: {message}");
                let remedy = "kubectl top pods, and docs/install/sizing.md; other webhooks on Jobs \
                              count too";
                about.hint(message, remedy)
            } else {
                about.ok(format!("rejob is called: {message}"))
            }
        }
    }
}

fn is_own(facts: &Facts, user: &str) -> bool {
    facts.installations.iter().any(|installation| {
        installation.settings().is_some_and(|settings| {
            let (namespace, account) = (&installation.namespace, &settings.service_account);
            user == format!("system:serviceaccount:{namespace}:{account}")
        })
    })
}
