//! Admission of others that judges updates of Jobs after rejob.
//!
//! A dry run cannot show another template: rejob answers it with the stored one put back, and so it
//! answers the first turn of a real replacement. Whatever is called after rejob judges that template.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingWebhook, NamedRuleWithOperations, RuleWithOperations,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::webhook::{self, covers_jobs};

const CHECK: &str = "later-admission";

pub fn later(facts: &Facts, findings: &mut Vec<Finding>) {
    let Ok(configurations) = &facts.configurations else { return };
    let Some(first) = facts.ours().find_map(|one| one.metadata.name.as_deref()) else { return };
    let (about, before) = (About::new(CHECK, first), findings.len());
    let mut found = |kind: &str, name: Option<&String>| {
        findings.push(About::new(CHECK, name.map_or("", String::as_str)).hint(
            format!(
                "this {kind} is called for updates of Jobs after rejob: in a dry run, and seldom in \
                 a real deploy, it is shown the stored template in place of the new one, so it may \
                 refuse the very change that fixes what it forbids"
            ),
            "where it judges the template, let it pass updates with object.spec.template == \
             oldObject.spec.template, or judge CREATE only; docs/design/limits.md says why",
        ));
    };
    for one in configurations.iter().filter(|one| !webhook::is_ours(one)) {
        let later = one.metadata.name.as_deref().unwrap_or_default() > first;
        let sees = |hook: &MutatingWebhook| {
            let rules = hook.rules.iter().flatten();
            covers_jobs(rules, &["UPDATE"])
                && facts.serves_some(&[hook.namespace_selector.as_ref()])
        };
        if later && webhook::webhooks(one).iter().any(sees) {
            found("MutatingWebhookConfiguration", one.metadata.name.as_ref());
        }
    }
    for one in facts.validating.iter().flatten() {
        let mut hooks = one.webhooks.iter().flatten();
        if hooks.any(|hook| {
            let rules = hook.rules.iter().flatten();
            covers_jobs(rules, &["UPDATE"])
                && facts.serves_some(&[hook.namespace_selector.as_ref()])
        }) {
            found("ValidatingWebhookConfiguration", one.metadata.name.as_ref());
        }
    }
    for policy in facts.admission_policies.iter().flatten() {
        let mut bindings = facts.admission_bindings.iter().flatten();
        // The chart's own watches over rejob alone.
        if !webhook::is_labeled(policy.metadata.labels.as_ref())
            && bindings.any(|binding| refuses(facts, policy, binding))
        {
            found("ValidatingAdmissionPolicy", policy.metadata.name.as_ref());
        }
    }
    let unknown = facts.validating.as_ref().err();
    let unknown = unknown.or(facts.admission_policies.as_ref().err());
    if let Some(why) = unknown.or(facts.admission_bindings.as_ref().err()) {
        findings.push(about.unchecked("what else judges updates of Jobs", why));
    } else if findings.len() == before {
        findings.push(about.ok("nothing else judges updates of Jobs after it"));
    }
}

/// Whether the policy, by this binding, can refuse the update of a Job.
fn refuses(
    facts: &Facts,
    policy: &ValidatingAdmissionPolicy,
    binding: &ValidatingAdmissionPolicyBinding,
) -> bool {
    let Some(bound) = &binding.spec else { return false };
    let denies = bound.validation_actions.iter().flatten().any(|action| action == "Deny");
    if bound.policy_name != policy.metadata.name || !denies {
        return false;
    }
    let constraints = policy.spec.as_ref().and_then(|spec| spec.match_constraints.as_ref());
    let narrowed = bound.match_resources.as_ref();
    let selectors = [constraints, narrowed]
        .map(|matched| matched.and_then(|matched| matched.namespace_selector.as_ref()));
    constraints.is_some_and(|matched| covers(matched, false))
        && narrowed.is_none_or(|matched| covers(matched, true))
        && facts.serves_some(&selectors)
}

/// Whether the rules cover the update of a Job; `anything`: where there are none, they do.
fn covers(matched: &MatchResources, anything: bool) -> bool {
    let cover = |rules: &Option<Vec<NamedRuleWithOperations>>| {
        let rules: Vec<_> = rules.iter().flatten().map(unnamed).collect();
        covers_jobs(&rules, &["UPDATE"])
    };
    let all = anything && matched.resource_rules.iter().flatten().next().is_none();
    (all || cover(&matched.resource_rules)) && !cover(&matched.exclude_resource_rules)
}

/// The rule for objects of any name.
fn unnamed(rule: &NamedRuleWithOperations) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: rule.api_groups.clone(),
        api_versions: rule.api_versions.clone(),
        operations: rule.operations.clone(),
        resources: rule.resources.clone(),
        scope: rule.scope.clone(),
    }
}
