//! The self-guard: the chart's ValidatingAdmissionPolicy on rejob's own account, without which
//! whoever steals the account's token can create any Job wherever it has rights.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use crate::doctor::facts::{Facts, Installation, helm_upgrade};
use crate::doctor::finding::Finding;

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
    let (policies, bindings) = match (&facts.admission_policies, &facts.admission_bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(why), _) | (_, Err(why)) => {
            findings.push(Finding::unchecked(CHECK, &account, "the self-guard", why));
            return;
        }
    };
    let upgrade = helm_upgrade(Some(installation));
    let named = |policy: &&ValidatingAdmissionPolicy| policy.metadata.name.as_ref() == Some(&name);
    let Some(policy) = policies.iter().find(named) else {
        findings.push(Finding::hint(
            CHECK,
            &account,
            format!(
                "there is no ValidatingAdmissionPolicy {name}: whoever steals rejob's token can \
                 create any Job wherever rejob has rights"
            ),
            format!("{upgrade} --set selfGuard.enabled=true"),
        ));
        return;
    };
    match weakness(policy, bindings, &user) {
        None => findings.push(Finding::ok(CHECK, &account, format!("{name} limits it"))),
        Some(weakness) => findings.push(Finding::problem(
            CHECK,
            &account,
            format!("{name} does not limit rejob's account: {weakness}"),
            format!("{upgrade}, with Helm 4 and --force-conflicts where somebody has changed it"),
        )),
    }
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
