//! What a golden snapshot shows of a decision: as the client gets it, decoded from the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejob_core::answer::answer;
use rejob_core::decide::{Decision, FollowUp, Verdict};
use rejob_core::reason::Reason;
use rejob_core::replacement::Plan;
use rejob_core::review::Request;
use serde_json::{Map, Value, json};

/// The answer and the plan, with what equals the stored or the sent object left out.
pub fn show(request: &Request, decision: &Decision) -> Value {
    let answer: Value = serde_json::from_slice(&answer(&request.uid, decision)).unwrap();
    let response = &answer["response"];
    assert_eq!(response["uid"], request.uid.as_str());
    let mut shown = Map::new();
    shown.insert("verdict".into(), json!(verdict(decision)));
    shown.insert("reason".into(), json!(decision.reason.label()));
    for field in ["status", "warnings", "auditAnnotations"] {
        if let Some(value) = response.get(field) {
            shown.insert(field.into(), value.clone());
        }
    }
    if let Some(patch) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch: Value = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        let operations: Vec<String> =
            patch.as_array().unwrap().iter().map(|one| operation(one, request)).collect();
        shown.insert("patch".into(), json!(operations));
        shown.insert("result".into(), result(request, patch));
    }
    if let FollowUp::Report(report) = &decision.follow_up {
        let why_not = report.why_not.map(Reason::label);
        shown.insert("report".into(), json!({ "sentence": report.sentence(), "whyNot": why_not }));
    }
    if let Verdict::Replace(plan) = &decision.verdict {
        shown.insert("plan".into(), planned(plan, request));
    }
    Value::Object(shown)
}

fn verdict(decision: &Decision) -> &'static str {
    match (&decision.verdict, &decision.follow_up) {
        (Verdict::Admit, _) => "admit",
        (Verdict::Deny(_), _) => "deny",
        (Verdict::Replace(_), FollowUp::Report(_)) => "report, once the plan is checked",
        (Verdict::Replace(_), _) => "replace",
    }
}

fn operation(operation: &Value, request: &Request) -> String {
    let (op, path) = (operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap());
    match operation.get("value") {
        None => format!("{op} {path}"),
        Some(value) => format!("{op} {path} = {}", short(path, value, request)),
    }
}

fn short(path: &str, value: &Value, request: &Request) -> String {
    let stored = request.old_object.as_ref().and_then(|old| old.pointer(path));
    if stored == Some(value) && value.is_object() {
        "(as stored)".to_owned()
    } else {
        value.to_string()
    }
}

/// The patched object's metadata and spec; the bulky fields only as "as stored" or "as sent".
fn result(request: &Request, patch: Value) -> Value {
    let sent = request.object.as_ref().unwrap();
    let mut object = sent.clone();
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    let mut shown = Map::new();
    for field in ["name", "generateName", "resourceVersion", "labels", "annotations"] {
        if let Some(value) = object["metadata"].get(field) {
            shown.insert(field.into(), value.clone());
        }
    }
    let mut spec = Map::new();
    for (field, value) in object["spec"].as_object().into_iter().flatten() {
        let place = format!("/spec/{field}");
        let same = |other: Option<&Value>| other.and_then(|job| job.pointer(&place)) == Some(value);
        let value = match (field.as_str(), same(request.old_object.as_ref()), same(Some(sent))) {
            ("template" | "selector", true, true) => json!("as stored and sent"),
            ("template" | "selector", true, false) => json!("as stored"),
            ("template" | "selector", false, true) => json!("as sent"),
            ("backoffLimit" | "manualSelector" | "podReplacementPolicy", _, true) => continue,
            _ => value.clone(),
        };
        spec.insert(field.clone(), value);
    }
    shown.insert("spec".into(), Value::Object(spec));
    Value::Object(shown)
}

fn planned(plan: &Plan, request: &Request) -> Value {
    let sent = request.object.as_ref().unwrap();
    json!({
        "job": format!("{}/{}", plan.namespace, plan.name),
        "preconditions": [plan.record.uid, plan.resource_version],
        "mode": format!("{:?}", plan.mode),
        "dryRun": plan.only_checks,
        "user": plan.user.username,
        "fieldManager": plan.record.manager,
        "parallelism": plan.record.parallelism,
        "client": plan.client.label(),
        "described": plan.described,
        "newJobFromSent": differences(sent, &plan.job),
        "dormantFromNewJob": differences(&plan.job, &plan.dormant("replace")),
    })
}

/// Where two JSON values differ, one line a path.
fn differences(before: &Value, after: &Value) -> Vec<String> {
    json_patch::diff(before, after)
        .0
        .iter()
        .map(|operation| {
            let operation = serde_json::to_value(operation).unwrap();
            let path = operation["path"].as_str().unwrap();
            match operation.get("value") {
                None => format!("{} {path}", operation["op"].as_str().unwrap()),
                Some(value) => format!("{} {path} = {value}", operation["op"].as_str().unwrap()),
            }
        })
        .collect()
}
