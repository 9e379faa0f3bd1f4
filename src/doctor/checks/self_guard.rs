//! The self-guard: the chart's ValidatingAdmissionPolicy on rejob's own account, without which
//! anyone who steals the account's token can create any Job wherever it has rights.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use crate::doctor::facts::{Facts, Installation, helm_upgrade};
use crate::doctor::finding::{About, Finding};
use crate::policy::PolicySet;

const CHECK: &str = "self-guard";

pub fn self_guard(facts: &Facts, findings: &mut Vec<Finding>) {
    for installation in &facts.installations {
        of(facts, installation, findings);
    }
}

fn of(facts: &Facts, installation: &Installation, findings: &mut Vec<Finding>) {
    let Some(settings) = installation.settings() else { return };
    let mut rights = installation.rights.iter();
    if !rights.any(|(right, _)| right.resource == "jobs" && right.verb == "create") {
        return;
    }
    let name = format!("self-guard.{}.rejob.dev", settings.deployment);
    let account = format!("{}/{}", installation.namespace, settings.service_account);
    let user = format!("system:serviceaccount:{}", account.replacen('/', ":", 1));
    let about = About::new(CHECK, account);
    let (policies, bindings) = match (&facts.admission_policies, &facts.admission_bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(why), _) | (_, Err(why)) => {
            findings.push(about.unchecked("the self-guard", why));
            return;
        }
    };
    let upgrade = helm_upgrade(Some(installation));
    let named = |policy: &&ValidatingAdmissionPolicy| policy.metadata.name.as_ref() == Some(&name);
    let Some(policy) = policies.iter().find(named) else {
        findings.push(about.hint(
            format!(
                "there is no ValidatingAdmissionPolicy {name}: anyone who steals rejob's token can \
                 create any Job wherever rejob has rights"
            ),
            format!("{upgrade} --set selfGuard.enabled=true"),
        ));
        return;
    };
    let upgrade =
        format!("{upgrade}, with Helm 4 and --force-conflicts where somebody has changed it");
    let policies = installation.policies.as_ref().ok();
    findings.push(if let Some(weakness) = weakness(policy, bindings, &user) {
        let message = format!("{name} does not limit rejob's account: {weakness}");
        about.problem(message, upgrade)
    } else if is_rendered(policy, &user, policies) {
        about.ok(format!("{name} limits it"))
    } else {
        let message = format!("{name} is not the one that the chart renders for these policies");
        about.hint(message, upgrade)
    });
}

/// Whether it asks what the chart's own asks; for which policies, where these are known.
fn is_rendered(
    policy: &ValidatingAdmissionPolicy,
    user: &str,
    policies: Option<&PolicySet>,
) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let constraints = spec.match_constraints.iter();
    let mut rules = constraints.flat_map(|one| one.resource_rules.iter().flatten());
    let covers = rules.any(|rule| {
        let is =
            |list: &Option<Vec<String>>, all: &[&str]| list.as_deref().is_some_and(|l| l == all);
        is(&rule.operations, &["CREATE", "UPDATE", "DELETE"])
            && is(&rule.resources, &["jobs", "jobs/status"])
    });
    let conditions = spec.match_conditions.iter().flatten().map(|one| one.expression.as_str());
    let from_rejob = format!("request.userInfo.username == '{user}'");
    let validations: Vec<_> =
        spec.validations.iter().flatten().map(|one| one.expression.as_str()).collect();
    let judges = policies.is_none_or(|policies| {
        let names: Vec<_> = policies.names().collect();
        let opted_in = format!("variables.policy in ['{}']", names.join("', '"));
        let has = |part: &str| validations.iter().any(|one| one.contains(part));
        if policies.replaces() {
            has(&opted_in) && has("object.spec.parallelism == 0")
        } else {
            validations == ["false"]
        }
    });
    covers && conditions.eq([from_rejob.as_str(), "!request.dryRun"]) && judges
}

/// Why the policy lets things through that the chart's own refuses.
fn weakness(
    policy: &ValidatingAdmissionPolicy,
    bindings: &[ValidatingAdmissionPolicyBinding],
    user: &str,
) -> Option<String> {
    let spec = policy.spec.as_ref()?;
    let mut conditions = spec.match_conditions.iter().flatten();
    if spec.failure_policy.as_deref() == Some("Ignore") {
        return Some("its failurePolicy is Ignore".to_owned());
    }
    if !conditions.any(|condition| condition.expression.contains(&format!("'{user}'"))) {
        return Some(format!("its matchConditions do not name {user}"));
    }
    let mut specs = bindings.iter().filter_map(|binding| binding.spec.as_ref());
    let denies = specs.any(|spec| {
        spec.policy_name == policy.metadata.name
            && spec.match_resources.is_none()
            && spec.validation_actions.iter().flatten().any(|action| action == "Deny")
    });
    (!denies).then(|| "no binding with the action Deny makes it hold in all namespaces".to_owned())
}
