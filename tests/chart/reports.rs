//! A policy that reports refuses nothing: neither by the policy's entry nor by one of rejob's own.

use serde_json::{Value, json};

use super::render::{objects_with, of_kind};
use super::rules::webhooks;

/// A policy that reports beside those that replace, where everything else fails closed.
const MIXED: &str = "policies: {watched: {onChange: Report, ttlSecondsAfterFinished: 60}}\n\
                     webhook: {failurePolicy: Fail}\nnativeTTL: {enabled: true}";

fn named<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    webhooks(objects).into_iter().find(|entry| entry["name"] == name).expect("an entry")
}

#[test]
fn where_no_answer_comes_it_goes_on_without_one() {
    let objects = objects_with(MIXED);
    assert_eq!(named(&objects, "watched.rejob.dev")["failurePolicy"], "Ignore");
    assert_eq!(named(&objects, "replace.rejob.dev")["failurePolicy"], "Fail");
    let native = of_kind(&objects, "MutatingAdmissionPolicy").into_iter();
    let fails: Vec<_> = native
        .map(|one| (one["metadata"]["name"].as_str().unwrap(), &one["spec"]["failurePolicy"]))
        .filter(|(name, _)| name.starts_with("watched.") || name.starts_with("ttl."))
        .collect();
    let expected = [
        ("ttl.ttl.rejob.rejob.dev", &json!("Fail")),
        ("watched.ttl.rejob.rejob.dev", &json!("Ignore")),
    ];
    assert_eq!(fails, expected);
    let alone = "policies: {replace: {onChange: Report}, hash-name: null, ttl: null}\n\
                 webhook: {failurePolicy: Fail}";
    assert_eq!(named(&objects_with(alone), "replace.rejob.dev")["failurePolicy"], "Ignore");
}

#[test]
fn a_rerun_comes_by_its_own_entry_and_by_no_other() {
    let has_condition = |entry: &Value, name: &str| {
        entry["matchConditions"].as_array().unwrap().iter().any(|one| one["name"] == name)
    };
    let objects = objects_with(MIXED);
    assert!(!has_condition(named(&objects, "watched.rejob.dev"), "not-a-rerun"));
    assert!(has_condition(named(&objects, "replace.rejob.dev"), "not-a-rerun"));
    let rerun = named(&objects, "rerun.rejob.dev");
    let selected = &rerun["namespaceSelector"]["matchExpressions"][0]["values"];
    assert_eq!(*selected, json!(["hash-name", "replace", "ttl"]));
    // Nor is it refused in a pause.
    let paused = objects_with(&format!("{MIXED}\npaused: true"));
    let bindings = of_kind(&paused, "ValidatingAdmissionPolicyBinding");
    let rerun = bindings
        .iter()
        .find(|one| one["spec"]["policyName"] == "rerun.paused.rejob.rejob.dev")
        .expect("a binding");
    let selector = &rerun["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"];
    assert_eq!(selector[0]["values"], json!(["hash-name", "replace", "ttl"]));
}
