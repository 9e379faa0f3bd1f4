//! The webhook configuration and its entries: present, called for the right Jobs and namespaces.

use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::job::keys;
use crate::kubernetes::POLICY_LABEL;
use crate::kubernetes::webhook::{self, Entry, covers_jobs};
use crate::policy::{OnChange, Policy, RERUN, RESERVED};

/// A replacement makes several calls to the API server inside one review, in seconds.
const SHORT_TIMEOUT: i32 = 5;
/// The API server gives a request 34 s in all; other webhooks need some of it.
const LONG_TIMEOUT: i32 = 25;

/// What renders the entries anew.
const UPGRADE: &str =
    "helm upgrade --install rejob charts/rejob --namespace rejob --reset-then-reuse-values";

pub fn configuration(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "webhook-configuration";
    if let Err(error) = &facts.configurations {
        // Without it nothing else can be told: this is no hint.
        findings.push(About::new(CHECK, "").problem(
            format!("the webhook configurations cannot be listed: {error}"),
            "have a cluster admin grant you the rights listed in docs/doctor.md",
        ));
        return;
    }
    let mut any = false;
    for configuration in facts.ours() {
        any = true;
        let about = About::new(CHECK, configuration.metadata.name.as_deref().unwrap_or_default());
        let (own, entries): (Vec<_>, Vec<_>) =
            webhook::entries(configuration).partition(Entry::is_own);
        if entries.iter().any(|entry| facts.replaces(entry)) {
            let has = |name: &str| own.iter().any(|entry| entry.policy == name);
            for missing in RESERVED.iter().filter(|name| !has(name)) {
                findings.push(about.problem(
                    format!("it has no entry {missing}.rejob.dev: {}", without(missing)),
                    UPGRADE,
                ));
            }
        }
        if let Some(paused) = entries.iter().find(|entry| entry.is_paused()) {
            findings.push(about.hint(
                "rejob is paused: every Job is left to plain Kubernetes, but for those that are \
                 half replaced; a change of rejob.dev/rerun is refused",
                format!("{} --set paused=false", facts.helm_upgrade(paused.target().as_ref())),
            ));
        }
        let entries: Vec<_> = entries.iter().map(|entry| entry.policy).collect();
        findings.push(if entries.is_empty() {
            about.problem(
                "it has no entry <policy>.rejob.dev, so the API server never calls rejob",
                UPGRADE,
            )
        } else {
            about.ok(format!("it has the policies {}", entries.join(", ")))
        });
    }
    if !any {
        findings.push(About::new(CHECK, "").problem(
            "no MutatingWebhookConfiguration of rejob exists, so the API server never calls it",
            "helm upgrade --install rejob charts/rejob --namespace rejob --create-namespace",
        ));
    }
}

pub fn entries(facts: &Facts, findings: &mut Vec<Finding>) {
    for entry in facts.entries() {
        let before = findings.len();
        if entry.is_own() {
            fails_closed(&entry, findings);
        } else {
            knobs(facts, &entry, findings);
        }
        if entry.is_for_dormant() {
            dormant(&entry, findings);
        } else {
            selector(facts, &entry, findings);
        }
        if entry.is_for_rerun() && !entry.is_paused() {
            rerun(&entry, findings);
        }
        rules(&entry, findings);
        path(facts, &entry, findings);
        timeout(facts, &entry, findings);
        if findings.len() == before {
            let message = if entry.is_paused() {
                "it is not called while rejob is paused"
            } else if entry.is_for_dormant() {
                "it is called for every change of a dormant Job"
            } else if entry.is_for_rerun() {
                "it is called for changes of rejob.dev/rerun in the namespaces that opt in"
            } else {
                "it is called for Jobs of the namespaces that opt in"
            };
            findings.push(about(&entry).ok(message));
        }
    }
}

fn about(entry: &Entry<'_>) -> About {
    About::new("entry", entry.subject())
}

fn edit(entry: &Entry<'_>) -> String {
    format!("kubectl edit mutatingwebhookconfiguration {}", entry.configuration)
}

fn selector(facts: &Facts, entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let about = about(entry);
    if !entry.asks_for_opt_in() {
        findings.push(about.problem(
            format!(
                "its namespaceSelector does not ask for the label {POLICY_LABEL}, so it is called \
                 for namespaces that never opted in"
            ),
            format!(
                "{}, and add {POLICY_LABEL}: {} to its namespaceSelector",
                edit(entry),
                entry.policy
            ),
        ));
        return;
    }
    let selected = entry.selected_policies();
    if entry.is_for_rerun() {
        let here =
            facts.entries_of_policies().filter(|one| one.configuration == entry.configuration);
        // One that reports tells of it by its own entry, and refuses nothing.
        let needs = |one: &Entry<'_>| {
            facts.policy(one).is_some_and(|policy| policy.on_change != OnChange::Report)
        };
        let missing: Vec<_> = here
            .filter(|one| needs(one) && !selected.contains(&one.policy))
            .map(|one| one.policy)
            .collect();
        if !selected.is_empty() && !missing.is_empty() {
            findings.push(about.problem(
                format!(
                    "its namespaceSelector leaves out {}: rejob.dev/rerun does nothing there",
                    missing.join(", ")
                ),
                UPGRADE,
            ));
        }
        return;
    }
    if !selected.is_empty() && !selected.contains(&entry.policy) {
        findings.push(about.problem(
            format!(
                "it is named for the policy {}, and selects the namespaces of {}",
                entry.policy,
                selected.join(", ")
            ),
            format!("{}, and make the two agree", edit(entry)),
        ));
    }
}

/// What happens while rejob cannot be reached and this entry of its own does not fail closed.
fn without(own: &str) -> &'static str {
    if own == RERUN {
        "while rejob cannot be reached, a change of rejob.dev/rerun succeeds and nothing runs"
    } else {
        "while rejob cannot be reached in the middle of a replacement, a deploy succeeds and its \
         Job never starts"
    }
}

/// Whatever the entries of policies say, those of rejob's own fail closed.
fn fails_closed(entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    if !entry.fails_closed() {
        findings.push(about(entry).problem(
            format!("its failurePolicy is Ignore: {}", without(entry.policy)),
            format!("{}, and set failurePolicy: Fail", edit(entry)),
        ));
    }
}

fn rerun(entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let mut conditions = entry.webhook.match_conditions.iter().flatten();
    if !conditions.any(|condition| condition.expression.contains(keys::RERUN)) {
        findings.push(about(entry).problem(
            "its matchConditions do not ask for a change of rejob.dev/rerun, so every change of a \
             Job where namespaces opt in waits for rejob",
            UPGRADE,
        ));
    }
}

fn dormant(entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let labeled = entry.webhook.object_selector.as_ref().is_some_and(|selector| {
        selector.match_labels.as_ref().is_some_and(|labels| labels.contains_key(keys::DORMANT))
            || selector.match_expressions.iter().flatten().any(|one| one.key == keys::DORMANT)
    });
    if !labeled {
        findings.push(about(entry).problem(
            "its objectSelector does not ask for the label rejob.dev/dormant, so every Job of the \
             cluster waits for rejob",
            format!(
                "{}, and add the label rejob.dev/dormant to its objectSelector (operator: Exists)",
                edit(entry)
            ),
        ));
    }
}

fn rules(entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let covers =
        |operation: &&str| covers_jobs(entry.webhook.rules.iter().flatten(), &[*operation]);
    let needed: &[_] = if entry.is_own() { &["UPDATE"] } else { &["CREATE", "UPDATE"] };
    let missing: Vec<_> = needed.iter().copied().filter(|o| !covers(o)).collect();
    if !missing.is_empty() {
        findings.push(about(entry).problem(
            format!("its rules leave out {} of jobs in batch/v1", missing.join(" and ")),
            format!("{}, and complete its rules", edit(entry)),
        ));
    }
}

fn path(facts: &Facts, entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let about = about(entry);
    let Some(target) = entry.target() else {
        findings.push(about.problem(
            "its clientConfig points to no Service and no https URL",
            format!("{}, and complete clientConfig", edit(entry)),
        ));
        return;
    };
    match entry.path().map(|path| path.policy) {
        Some(policy) if policy == entry.policy => {}
        Some(policy) => findings.push(about.problem(
            format!("it is named for the policy {}, and its path names {policy}", entry.policy),
            format!("{}, and make the two agree", edit(entry)),
        )),
        None => findings.push(about.problem(
            "its path is not /v1/policies/<policy>: rejob has not written it yet, or it was edited",
            facts.rewrite_paths(&target).unwrap_or_else(|| {
                format!("{}, and set the path /v1/policies/{}", edit(entry), entry.policy)
            }),
        )),
    }
}

fn timeout(facts: &Facts, entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let about = About::new("timeout", entry.subject());
    // The API's default.
    let timeout = entry.webhook.timeout_seconds.unwrap_or(10);
    let replaces = entry.is_own() || facts.replaces(entry);
    let set =
        |value: &str| format!("{} --set {value}", facts.helm_upgrade(entry.target().as_ref()));
    if replaces && timeout < SHORT_TIMEOUT {
        findings.push(about.hint(
            format!("timeoutSeconds is {timeout}: a replacement may not fit, and is then refused"),
            set("webhook.timeoutSeconds=10"),
        ));
    } else if timeout > LONG_TIMEOUT {
        findings.push(about.hint(
            format!("timeoutSeconds is {timeout}, nearly all of the 34 s that a request may take"),
            set("webhook.timeoutSeconds=10"),
        ));
    }
}

fn knobs(facts: &Facts, entry: &Entry<'_>, findings: &mut Vec<Finding>) {
    let target = entry.target();
    let set = |value: &str| format!("{} --set {value}", facts.helm_upgrade(target.as_ref()));
    if entry.fails_closed() {
        let service = target.as_ref().and_then(|target| target.service.as_ref());
        let backend = service.and_then(|service| facts.backends.get(service));
        let ready = backend.and_then(|backend| backend.ready.clone().ok());
        let spare = ready.is_some_and(|ready| ready > 1);
        if !spare {
            findings.push(About::new("failure-policy", entry.subject()).hint(
                "failurePolicy is Fail, and no second ready endpoint is known: while rejob cannot \
                 be reached, no Job of its namespaces can be created or changed",
                set("replicas=2"),
            ));
        }
    }
    let installation = target.as_ref().and_then(|target| facts.installation_of(target));
    let policies = installation.and_then(|installation| installation.policies.as_ref().ok());
    let Some(policies) = policies else { return };
    let reinvocation = About::new("reinvocation", entry.subject());
    match policies.get(entry.policy).map(Policy::checks) {
        None => findings.push(about(entry).problem(
            format!("the server has no policy {}, and answers with 404", entry.policy),
            set(&format!("policies.{}.onChange=Replace", entry.policy)),
        )),
        Some(true) if entry.is_reinvoked() => findings.push(reinvocation.hint(
            "reinvocationPolicy is IfNeeded; a policy that replaces or reports needs Never, or it \
             decides twice",
            format!("{}, and set reinvocationPolicy: Never", edit(entry)),
        )),
        Some(false) if !entry.is_reinvoked() => findings.push(reinvocation.hint(
            "reinvocationPolicy is Never; with IfNeeded a policy that only patches also sees what \
             later webhooks change",
            format!("{}, and set reinvocationPolicy: IfNeeded", edit(entry)),
        )),
        Some(_) => {}
    }
}
