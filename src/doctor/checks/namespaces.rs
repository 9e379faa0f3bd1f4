//! The labels by which namespaces opt in.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;

use crate::decide::is_protected;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::POLICY_LABEL;
use crate::kubernetes::webhook::opted_in;
use crate::words::plural;

const CHECK: &str = "namespace";

pub fn namespaces(facts: &Facts, findings: &mut Vec<Finding>) {
    let all = About::new(CHECK, "");
    if let Err(error) = &facts.namespaces {
        findings.push(all.unchecked("the labels of namespaces", error));
        return;
    }
    // Without any entry there is nothing that a label could name; that is a finding already.
    let policies: BTreeSet<_> = facts.entries_of_policies().map(|entry| entry.policy).collect();
    if policies.is_empty() {
        return;
    }
    let before = findings.len();
    let mut served = 0;
    let alive = |one: &&Namespace| one.metadata.deletion_timestamp.is_none();
    for namespace in facts.namespaces().iter().filter(alive) {
        let Some(policy) = opted_in(namespace) else { continue };
        match judge(facts, &policies, namespace, policy) {
            Some(finding) => findings.push(finding),
            None => served += 1,
        }
    }
    if served == 0 && findings.len() == before {
        findings.push(all.hint(
            "no namespace opts in, so rejob has nothing to do",
            format!(
                "kubectl label namespace NAMESPACE {POLICY_LABEL}={}",
                policies.first().copied().unwrap_or("replace")
            ),
        ));
    } else if served > 0 {
        findings.push(all.ok(format!("{} served", plural(served, "namespace"))));
    }
}

fn judge(
    facts: &Facts,
    policies: &BTreeSet<&str>,
    namespace: &Namespace,
    policy: &str,
) -> Option<Finding> {
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let about = About::new(CHECK, name);
    let unlabel = format!("kubectl label namespace {name} {POLICY_LABEL}-");
    let own = facts.installations.iter().map(|one| one.namespace.as_str()).find(|own| *own == name);
    if is_protected(name, own) {
        let which = if own.is_some() { "rejob's own namespace" } else { "kube-system" };
        let message = format!("{which} opts in to {policy}, and is never served");
        return Some(about.problem(message, unlabel));
    }
    if !policies.contains(policy) {
        let known = policies.iter().copied().collect::<Vec<_>>().join(", ");
        return Some(about.problem(
            format!("it opts in to the policy {policy:?}, which no webhook has; there are {known}"),
            format!("kubectl label namespace {name} {POLICY_LABEL}=POLICY --overwrite"),
        ));
    }
    let selects =
        facts.entries_of_policies().any(|entry| entry.policy == policy && entry.selects(namespace));
    (!selects).then(|| {
        about.problem(
            format!(
                "it opts in to {policy}, and the namespaceSelector of the webhook leaves it out \
                 (webhook.excludedNamespaces or rbac.namespaces of the chart)"
            ),
            unlabel,
        )
    })
}
