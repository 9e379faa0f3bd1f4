//! The ValidatingAdmissionPolicy on rejob's own account, and the rights beside it, for each set of
//! policies. What it refuses is tried with the account's token in tests/install.

use serde_json::{Value, json};

use super::render::{ci_names, ci_objects, objects_with, of_kind};
use super::rules::{policies, rights, webhooks};

/// A set of policies of which all report or patch.
const REPORTS: &str =
    "policies: {replace: {onChange: Report}, hash-name: {onChange: Keep}, ttl: null}";

/// The guard of rendered objects and its binding, where there is one.
fn guard(objects: &[Value]) -> Option<(&Value, &Value)> {
    let named = |kind| {
        let all = of_kind(objects, kind);
        let name = |one: &&Value| one["metadata"]["name"].as_str().unwrap().starts_with("self-");
        let found: Vec<_> = all.into_iter().filter(name).collect();
        assert!(found.len() < 2, "{kind}");
        found.first().copied()
    };
    let (policy, binding) =
        (named("ValidatingAdmissionPolicy"), named("ValidatingAdmissionPolicyBinding"));
    assert_eq!(policy.is_some(), binding.is_some());
    Some((policy?, binding?))
}

/// Its expressions.
fn rules(objects: &[Value]) -> Vec<String> {
    let (policy, _) = guard(objects).expect("a guard");
    let validations = policy["spec"]["validations"].as_array().expect("validations");
    validations.iter().map(|one| one["expression"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_set_that_replaces_or_reports_has_a_guard_that_fails_closed_whatever_else_is_set() {
    for name in ci_names() {
        let objects = ci_objects(&name);
        let guard = guard(&objects);
        assert_eq!(guard.is_some(), policies(&objects).checks(), "{name}");
        let Some((policy, binding)) = guard else { continue };
        assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{name}");
        let rule = json!([{
            "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs", "jobs/status"],
            "operations": ["CREATE", "UPDATE", "DELETE"], "scope": "Namespaced",
        }]);
        assert_eq!(policy["spec"]["matchConstraints"]["resourceRules"], rule, "{name}");
        let bound =
            json!({ "policyName": policy["metadata"]["name"], "validationActions": ["Deny"] });
        assert_eq!(binding["spec"], bound, "{name}");
        // Of the very user that the entries leave out first.
        let user = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
        let user = user.strip_prefix("request.userInfo.username == ").unwrap();
        assert!(user.starts_with("'system:serviceaccount:rejob:"), "{name}: {user}");
        let left_out = &webhooks(&objects).last().unwrap()["matchConditions"][0]["expression"];
        assert!(left_out.as_str().unwrap().contains(user), "{name}: {user}");
    }
}

#[test]
fn each_set_of_policies_has_the_guard_that_fits_it() {
    let replaces = rules(&objects_with("{}"));
    assert_eq!(replaces.len(), 4, "{replaces:#?}");
    assert_eq!(rules(&objects_with(REPORTS)), ["false"]);
    let both = "policies: {watched: {onChange: Report}}";
    assert_eq!(rules(&objects_with(both)).len(), 4);
    for without in [
        "policies: {replace: {onChange: Keep}, hash-name: {onChange: Deny}, ttl: {onChange: Ignore}}",
        "selfGuard: {enabled: false}",
        "enabled: false",
    ] {
        assert!(guard(&objects_with(without)).is_none(), "{without}");
    }
    // Nothing is replaced in a pause, but what is half replaced is still cleared away.
    assert_eq!(rules(&objects_with("paused: true")), replaces);
}

#[test]
fn the_guard_names_the_policies_and_the_namespaces_of_the_values() {
    let rules = rules(&objects_with(
        "{policies: {hash-name: null, nightly: {onChange: Keep}}, \
         webhook: {excludedNamespaces: [payroll]}, rbac: {namespaces: [batch, reports]}}",
    ));
    assert_eq!(rules[1], "!(request.namespace in ['kube-system', 'rejob', 'payroll'])");
    assert_eq!(rules[2], "request.namespace in ['batch', 'reports']");
    assert!(
        rules[3].starts_with("variables.policy in ['nightly', 'replace', 'ttl'] "),
        "{rules:?}"
    );
    assert_eq!(rules.len(), 5);
}

#[test]
fn the_guard_asks_for_what_the_operator_asks_of_a_namespace() {
    let rules = rules(&objects_with(
        "webhook: {namespaceMatchExpressions: [\
         {key: team, operator: Exists}, {key: a.b/frozen, operator: DoesNotExist}, \
         {key: tier, operator: In, values: [one, two]}, {key: stage, operator: NotIn, values: [prod]}]}",
    ));
    assert_eq!(rules.len(), 8);
    // None fails where the namespace has no such label, or no label at all.
    let labels = "namespaceObject.metadata.labels";
    let has = |key: &str| format!("has({labels}) && '{key}' in {labels}");
    assert_eq!(rules[2], has("team"));
    assert_eq!(rules[3], format!("!({})", has("a.b/frozen")));
    assert_eq!(rules[4], format!("{} && {labels}['tier'] in ['one', 'two']", has("tier")));
    assert_eq!(rules[5], format!("!({} && {labels}['stage'] in ['prod'])", has("stage")));
}

#[test]
fn a_set_that_only_reports_gets_the_rights_to_check_and_no_others() {
    let expected = [
        "* /events[] create",
        "* /namespaces[] get",
        "* /pods[] list",
        "* authorization.k8s.io/subjectaccessreviews[] create",
        "* batch/jobs[] get,create",
    ];
    let given = "certificates: {mode: provided, provided: {secretName: mine}}, \
                 webhook: {acceptUnauthenticated: true}";
    assert_eq!(rights(&objects_with(&format!("{{{REPORTS}, {given}}}"))), expected);
    let mut limited =
        rights(&objects_with(&format!("{{{REPORTS}, rbac: {{namespaces: [batch]}}}}")));
    limited.retain(|right| right.contains("/jobs"));
    assert_eq!(limited, ["batch batch/jobs[] get,create"]);
    // Nothing is dormant, and no value of rejob.dev/rerun starts a run.
    let objects = objects_with(REPORTS);
    let names: Vec<_> = webhooks(&objects).iter().map(|entry| entry["name"].clone()).collect();
    assert_eq!(names, ["hash-name.rejob.dev", "replace.rejob.dev"]);
}
