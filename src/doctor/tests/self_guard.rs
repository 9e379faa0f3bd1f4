//! The self-guard: there, and in force for rejob's own account.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
};
use serde_json::{Value, json};

use super::{from, hint, problem, serve, spoiled};
use crate::doctor::Facts;
use crate::policy::PolicySet;

const NAME: &str = "self-guard.rejob.rejob.dev";

fn metadata() -> Value {
    json!({ "name": NAME, "labels": { "app.kubernetes.io/part-of": "rejob" } })
}

/// That of the chart for these policies, as far as the doctor looks at it.
pub fn policy(policies: &PolicySet) -> Value {
    let names: Vec<_> = policies.names().map(|name| format!("'{name}'")).collect();
    let opted_in = format!("variables.policy in [{}] || (more)", names.join(", "));
    let validations = if policies.replaces() {
        json!([
            { "expression": opted_in },
            { "expression": "request.operation != 'CREATE' || (object.spec.parallelism == 0)" },
        ])
    } else {
        json!([{ "expression": "false" }])
    };
    let user = "request.userInfo.username == 'system:serviceaccount:rejob:rejob'";
    json!({ "metadata": metadata(), "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": { "resourceRules": [{
            "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs", "jobs/status"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
        }]},
        "matchConditions": [
            { "name": "from-rejob", "expression": user },
            { "name": "not-a-dry-run", "expression": "!request.dryRun" },
        ],
        "validations": validations,
    }})
}

pub fn binding() -> Value {
    let spec = json!({ "policyName": NAME, "validationActions": ["Deny"] });
    json!({ "metadata": metadata(), "spec": spec })
}

fn spec(facts: &mut Facts) -> &mut ValidatingAdmissionPolicySpec {
    facts.admission_policies.as_mut().unwrap()[0].spec.as_mut().unwrap()
}

fn bound(facts: &mut Facts) -> &mut ValidatingAdmissionPolicyBindingSpec {
    facts.admission_bindings.as_mut().unwrap()[0].spec.as_mut().unwrap()
}

#[test]
fn no_self_guard_is_a_hint_where_the_account_may_create_jobs() {
    let none = |facts: &mut Facts| facts.admission_policies = Ok(Vec::new());
    hint("self-guard", "there is no ValidatingAdmissionPolicy self-guard.rejob.rejob.dev", none);
    let remedy = spoiled(none).remove(0).remedy.unwrap();
    assert!(remedy.starts_with("helm upgrade prod "), "{remedy}");
    assert!(remedy.ends_with(" --set selfGuard.enabled=true"), "{remedy}");
    let patching = |facts: &mut Facts| {
        none(facts);
        facts.installations[0].rights.retain(|(right, _)| right.resource != "jobs");
        facts.installations[0].policies = Ok(PolicySet::builtin());
    };
    assert_eq!(spoiled(patching), []);
}

#[test]
fn a_self_guard_that_holds_nobody_back_is_a_problem() {
    problem("self-guard", "its failurePolicy is Ignore", |facts| {
        spec(facts).failure_policy = Some("Ignore".into());
    });
    problem("self-guard", "do not name system:serviceaccount:rejob:rejob", |facts| {
        spec(facts).match_conditions.as_mut().unwrap()[0].expression =
            "request.userInfo.username == 'system:serviceaccount:rejob:rejob-2'".into();
    });
    let unbound = "no binding with the action Deny";
    problem("self-guard", unbound, |facts| facts.admission_bindings = Ok(Vec::new()));
    problem("self-guard", unbound, |facts| {
        bound(facts).validation_actions = Some(vec!["Warn".into(), "Audit".into()]);
    });
    problem("self-guard", unbound, |facts| {
        bound(facts).policy_name = Some("another".into());
    });
    problem("self-guard", unbound, |facts| {
        let some = json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } });
        bound(facts).match_resources = Some(from(some));
    });
}

#[test]
fn a_self_guard_that_is_not_the_charts_for_these_policies_is_a_hint() {
    let changed = |change: fn(&mut ValidatingAdmissionPolicySpec)| {
        hint("self-guard", "is not the one that the chart renders", |facts| change(spec(facts)));
    };
    changed(|spec| {
        let rules = spec.match_constraints.as_mut().unwrap().resource_rules.as_mut();
        rules.unwrap()[0].operations = Some(vec!["UPDATE".into()]);
    });
    changed(|spec| {
        let rules = spec.match_constraints.as_mut().unwrap().resource_rules.as_mut();
        rules.unwrap()[0].resources = Some(vec!["jobs".into()]);
    });
    changed(|spec| {
        let more = json!({ "name": "more", "expression": "false" });
        spec.match_conditions.as_mut().unwrap().push(from(more));
    });
    changed(|spec| drop(spec.validations.as_mut().unwrap().remove(0)));
    changed(|spec| drop(spec.validations.as_mut().unwrap().remove(1)));
    changed(|spec| spec.validations = None);
    // Of other policies: those of the release before.
    let reports = "policies: { replace: { onChange: Report } }";
    assert_eq!(spoiled(|facts| serve(facts, reports)), []);
    hint("self-guard", "is not the one that the chart renders", |facts| {
        serve(facts, reports);
        facts.admission_policies = Ok(vec![from(policy(&PolicySet::builtin()))]);
    });
}
