//! What others judge after rejob.

use serde_json::{Value, json};

use super::{from, hint, spoiled};
use crate::doctor::{Facts, Level};

fn rule(resource: &str, operations: &[&str]) -> Value {
    json!({
        "apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource], "operations": operations,
    })
}

fn hook(change: &Value) -> Value {
    let mut hook = json!({
        "name": "images.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {}, "rules": [rule("jobs", &["CREATE", "UPDATE"])],
    });
    for (key, value) in change.as_object().unwrap() {
        hook[key] = value.clone();
    }
    hook
}

fn validating(change: Value) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let other = json!({ "metadata": { "name": "images" }, "webhooks": [hook(&change)] });
        facts.validating = Ok(vec![from(other)]);
    }
}

fn mutating(name: &'static str) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let other = json!({ "metadata": { "name": name }, "webhooks": [hook(&json!({}))] });
        facts.configurations.as_mut().unwrap().push(from(other));
    }
}

/// A policy and its binding: what each of them matches, and what the binding does.
fn policy(constraints: Value, narrowed: Value, action: &'static str) -> impl FnOnce(&mut Facts) {
    move |facts| {
        facts.admission_policies.as_mut().unwrap().push(from(json!({
            "metadata": { "name": "no-latest" }, "spec": { "matchConstraints": constraints },
        })));
        facts.admission_bindings.as_mut().unwrap().push(from(json!({
            "metadata": { "name": "everywhere" },
            "spec": { "policyName": "no-latest", "validationActions": [action],
                      "matchResources": narrowed },
        })));
    }
}

fn jobs() -> Value {
    json!({ "resourceRules": [rule("jobs", &["CREATE", "UPDATE"])] })
}

#[test]
fn whatever_judges_updates_of_jobs_after_rejob_is_a_hint() {
    hint("later-admission", "this ValidatingWebhookConfiguration is", validating(json!({})));
    hint("later-admission", "this MutatingWebhookConfiguration is", mutating("50-images"));
    let bound = policy(jobs(), json!({ "resourceRules": [rule("*", &["*"])] }), "Deny");
    hint("later-admission", "this ValidatingAdmissionPolicy is", bound);
    let (_, _, subject, _) = super::one(policy(jobs(), Value::Null, "Deny"));
    assert_eq!(subject, "no-latest");
}

#[test]
fn what_does_not_meet_an_update_of_a_served_job_is_none() {
    let elsewhere = json!({ "matchLabels": { "team": "other" } });
    for change in [
        json!({ "rules": [rule("jobs", &["CREATE"])] }),
        json!({ "rules": [rule("pods", &["*"])] }),
        json!({ "namespaceSelector": elsewhere }),
    ] {
        assert_eq!(spoiled(validating(change.clone())), [], "{change}");
    }
    for (constraints, narrowed, action) in [
        (jobs(), Value::Null, "Warn"),
        (json!({ "resourceRules": [rule("jobs", &["CREATE"])] }), Value::Null, "Deny"),
        (jobs(), json!({ "namespaceSelector": elsewhere }), "Deny"),
        (jobs(), json!({ "resourceRules": [rule("cronjobs", &["*"])] }), "Deny"),
        (jobs(), json!({ "excludeResourceRules": [rule("jobs", &["UPDATE"])] }), "Deny"),
    ] {
        let case = format!("{constraints} {narrowed} {action}");
        assert_eq!(spoiled(policy(constraints, narrowed, action)), [], "{case}");
    }
    // Without a binding a policy does nothing, and the chart's own judges rejob alone.
    assert_eq!(
        spoiled(|facts| {
            policy(jobs(), Value::Null, "Deny")(facts);
            facts.admission_bindings.as_mut().unwrap().pop();
        }),
        []
    );
    assert_eq!(
        spoiled(|facts| {
            policy(jobs(), Value::Null, "Deny")(facts);
            let labels = json!({ "app.kubernetes.io/part-of": "rejob" });
            facts.admission_policies.as_mut().unwrap()[1].metadata.labels = from(labels);
        }),
        []
    );
}

#[test]
fn what_may_not_be_listed_is_one_hint() {
    let no = || "x is forbidden: User \"eve\" cannot list resource \"x\"".to_owned();
    hint("later-admission", "is forbidden", |facts| facts.validating = Err(no()));
    // The self-guard cannot be seen either then.
    let found = spoiled(|facts| {
        facts.validating = Err(no());
        facts.admission_policies = Err(no());
        facts.admission_bindings = Err(no());
    });
    let checks: Vec<_> = found.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["self-guard", "later-admission"]);
    let found = spoiled(|facts| facts.admission_bindings = Err(no()));
    assert!(found.iter().all(|finding| finding.level == Level::Hint), "{found:?}");
    assert_eq!(found.len(), 2);
}
