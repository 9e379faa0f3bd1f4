//! The shape of a KRM function (config.kubernetes.io/v1 `ResourceList`), for kustomize and kpt.
//!
//! The function's configuration may name the policy and set knobs of its own, in `spec`, in the
//! `data` of a ConfigMap, or at its top; it wins over the command line, since it stands with the
//! resources. Warnings are appended to `results`.

use serde_json::{Map, Value, json};

use crate::commands::policies;
use crate::manifest::Node;
use crate::policy::{Policy, PolicySet};

use crate::commands::text_at;

/// What a configuration has besides the policy.
const ENVELOPE: [&str; 7] =
    ["apiVersion", "kind", "metadata", "spec", "data", "binaryData", "immutable"];

/// The policy that `functionConfig` asks for, on the grounds of `default`; `None` when it asks for
/// nothing.
///
/// # Errors
/// When it names a policy, knob or value that does not exist.
pub(super) fn policy(
    list: &Node,
    policies: &PolicySet,
    default: &Policy,
) -> Result<Option<Policy>, String> {
    let Some(config) = list.get("functionConfig").map(Node::to_value) else { return Ok(None) };
    let mut knobs = knobs(&config)?;
    let base = match knobs.remove("policy") {
        None if knobs.is_empty() => return Ok(None),
        None => default,
        Some(Value::String(name)) => policies::find(policies, &name, "policy in functionConfig")
            .map_err(|e| e.to_string())?,
        Some(_) => return Err("functionConfig: policy is not the name of a policy".to_owned()),
    };
    let mut policy = base.clone();
    policy.set_all(&knobs).map_err(|invalid| format!("functionConfig: {invalid}"))?;
    Ok(Some(policy))
}

/// The fields of a configuration that are the policy's.
fn knobs(config: &Value) -> Result<Map<String, Value>, String> {
    let mut knobs = Map::new();
    let config = match config {
        Value::Null => return Ok(knobs),
        config => map(config, "functionConfig")?,
    };
    let own = config.iter().filter(|(key, _)| !ENVELOPE.contains(&key.as_str()));
    knobs.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    let part = |field| config.get(field).filter(|part| !part.is_null());
    if let Some(spec) = part("spec") {
        knobs.extend(map(spec, "functionConfig: spec")?.clone());
    }
    if let Some(data) = part("data") {
        for (key, value) in map(data, "functionConfig: data")? {
            // The values of a ConfigMap are strings; knobs are numbers, too.
            let value = match value {
                Value::String(text) if key != "policy" => {
                    text.parse().map_or_else(|_| value.clone(), |number: i64| json!(number))
                }
                value => value.clone(),
            };
            knobs.insert(key.clone(), value);
        }
    }
    Ok(knobs)
}

fn map<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is not a map: correct it, or leave it out"))
}

/// A result that warns about a Job.
pub(super) fn result(job: &Node, warning: &str) -> Value {
    let job = job.to_value();
    let mut reference = Map::from_iter([
        ("apiVersion".to_owned(), json!("batch/v1")),
        ("kind".to_owned(), json!("Job")),
    ]);
    for (field, pointer) in [("name", "/metadata/name"), ("namespace", "/metadata/namespace")] {
        if let Some(text) = text_at(&job, pointer) {
            reference.insert(field.to_owned(), json!(text));
        }
    }
    json!({ "message": warning, "severity": "warning", "resourceRef": reference })
}

/// Appends results to the list's own.
pub(super) fn append(list: &mut Node, results: &[Value]) {
    let results = results.iter().map(Node::from);
    match list.get_mut("results") {
        Some(Node::Sequence(present)) => present.extend(results),
        Some(other) => *other = Node::Sequence(results.collect()),
        None => {
            if let Node::Mapping(members) = list {
                members.push(("results".to_owned(), Node::Sequence(results.collect())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml;
    use crate::policy::{Naming, OnChange};

    fn configured(config: &str) -> Result<Option<Policy>, String> {
        let list = yaml::read(&format!("functionConfig: {config}\n")).unwrap().unwrap();
        policy(&list, &PolicySet::builtin(), &Policy::default())
    }

    #[test]
    fn a_configuration_names_the_policy_and_sets_knobs_in_any_place() {
        for config in [
            "{kind: Rejob, spec: {policy: hash-name, ttlSecondsAfterFinished: 60}}",
            "{kind: ConfigMap, data: {policy: hash-name, ttlSecondsAfterFinished: '60'}}",
            "{kind: Rejob, policy: hash-name, ttlSecondsAfterFinished: 60}",
        ] {
            let policy = configured(config).unwrap().unwrap();
            assert_eq!(policy.naming, Naming::TemplateHash, "{config}");
            assert_eq!(policy.ttl_seconds_after_finished.unwrap().get(), 60, "{config}");
        }
        let policy = configured("{spec: {onChange: Keep}}").unwrap().unwrap();
        assert_eq!(policy, Policy { on_change: OnChange::Keep, ..Policy::default() });
    }

    #[test]
    fn a_configuration_without_a_knob_leaves_the_command_line() {
        assert_eq!(configured("{kind: Rejob, metadata: {name: x}}"), Ok(None));
        assert_eq!(configured("null"), Ok(None));
        assert_eq!(configured("{spec: null, data: }"), Ok(None));
        assert_eq!(configured("{kind: ConfigMap, immutable: true, binaryData: {a: b}}"), Ok(None));
    }

    #[test]
    fn results_are_appended_with_a_reference_to_the_job() {
        let mut list = yaml::read("results: [{message: before}]\nitems: []\n").unwrap().unwrap();
        let job = yaml::read("metadata: {name: a, namespace: b}\n").unwrap().unwrap();
        append(&mut list, &[result(&job, "look")]);
        let warning = json!({
            "message": "look", "severity": "warning",
            "resourceRef": { "apiVersion": "batch/v1", "kind": "Job", "name": "a", "namespace": "b" }
        });
        assert_eq!(list.to_value()["results"], json!([{ "message": "before" }, warning]));
        let mut list = yaml::read("items: []\n").unwrap().unwrap();
        append(&mut list, &[result(&job, "look")]);
        assert_eq!(list.to_value()["results"], json!([warning]));
    }

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        let message = configured("{spec: {policy: hashname}}").unwrap_err();
        assert!(message.contains("hash-name, replace, ttl"), "{message}");
        let message = configured("{spec: {nameing: TemplateHash}}").unwrap_err();
        assert!(message.contains("nameing") && message.contains("naming"), "{message}");
        for config in ["hash-name", "[hash-name]", "{spec: [x]}", "{data: x}"] {
            let message = configured(config).unwrap_err();
            assert!(message.contains("is not a map"), "{message}");
        }
        let message = configured("{spec: {naming: Hash}}").unwrap_err();
        assert!(message.contains("TemplateHash"), "{message}");
    }
}
