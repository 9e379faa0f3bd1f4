//! Laws that hold for every request, plausible or not.

mod jobs;

use proptest::prelude::*;
use rejob_core::decide::{Context, Decision, Verdict, create_offline, decide};
use rejob_core::job::{IMMUTABLE_FIELDS, Job, TemplateHash, changes, hashed_name, keys};
use rejob_core::policy::{OnChange, Policy};
use rejob_core::reason::Reason;
use rejob_core::replacement::{Mode, Record};
use rejob_core::review::Request;
use serde_json::{Value, json};

use jobs::{any_request, anything, create, merged, odd_job, plain_job, policy, stored, update};

/// Where an answer may touch an object.
const TOUCHED: &[&str] = &[
    "/metadata",
    "/metadata/name",
    "/metadata/resourceVersion",
    "/metadata/labels",
    "/metadata/labels/rejob.dev~1dormant",
    "/metadata/annotations",
    "/metadata/annotations/rejob.dev~1base-name",
    "/metadata/annotations/rejob.dev~1dormant",
    "/metadata/annotations/rejob.dev~1replacing",
    "/metadata/annotations/rejob.dev~1template-hash",
    "/spec",
    "/spec/manualSelector",
    "/spec/maxFailedIndexes",
    "/spec/parallelism",
    "/spec/podReplacementPolicy",
    "/spec/ttlSecondsAfterFinished",
    "/spec/template/metadata",
    "/spec/template/metadata/labels",
    "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid",
    "/spec/template/metadata/labels/batch.kubernetes.io~1job-name",
    "/spec/template/metadata/labels/controller-uid",
    "/spec/template/metadata/labels/job-name",
];

fn decided(request: &Request, policy: &Policy) -> Decision {
    decide(request, policy, &Context::default())
}

fn result(request: &Request, decision: &Decision) -> Value {
    let mut object = request.object.clone().unwrap();
    decision.patch.apply(&mut object).unwrap();
    object
}

fn is_readable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

proptest! {
    #[test]
    fn a_patch_applies_to_its_object_and_touches_only_its_own_paths(
        request in any_request(), policy in policy()
    ) {
        let decision = decided(&request, &policy);
        let mut object = request.object.clone().unwrap();
        prop_assert!(decision.patch.apply(&mut object).is_ok());
        for operation in decision.patch.operations() {
            let operation = serde_json::to_value(operation).unwrap();
            let path = operation["path"].as_str().unwrap();
            let immutable = IMMUTABLE_FIELDS.iter().any(|field| path == format!("/spec/{field}"));
            let owned = path.starts_with("/metadata/managedFields/") && path.contains("/fieldsV1");
            prop_assert!(immutable || owned || TOUCHED.contains(&path), "{path}");
            // A parent is only made, or put back to what is stored.
            if ["/metadata", "/metadata/labels", "/metadata/annotations", "/spec",
                "/spec/template/metadata", "/spec/template/metadata/labels"].contains(&path) {
                let stored = request.old_object.as_ref().and_then(|old| old.pointer(path));
                let is_stored = stored.unwrap_or(&Value::Null) == &operation["value"];
                prop_assert!(is_stored || operation["value"] == json!({}), "{operation}");
            }
        }
    }

    #[test]
    fn an_answer_is_what_the_api_server_reads(request in any_request(), policy in policy()) {
        let decision = decided(&request, &policy);
        let answer: Value = serde_json::from_slice(&rejob_core::answer::answer("u", &decision)).unwrap();
        let response = &answer["response"];
        prop_assert_eq!(&response["uid"], "u");
        prop_assert_eq!(response["allowed"].as_bool(), Some(decision.is_allowed()));
        prop_assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
        prop_assert_eq!(response.get("status").is_some(), !decision.is_allowed());
    }

    #[test]
    fn words_are_short_and_never_those_that_flux_takes(
        request in any_request(), policy in policy()
    ) {
        let decision = decided(&request, &policy);
        prop_assert!(decision.warnings.len() <= 5);
        for warning in &decision.warnings {
            prop_assert!(warning.chars().count() <= 120 && is_readable(warning), "{warning:?}");
        }
        if let Verdict::Deny(denial) = &decision.verdict {
            let message = &denial.message;
            prop_assert!(matches!(denial.code, 403 | 429), "{}", denial.code);
            prop_assert_eq!(denial.retry_after.is_some(), denial.code == 429);
            prop_assert!(message.chars().count() <= 1000 && is_readable(message), "{message:?}");
            for words in ["is immutable", "immutable field", "field is immutable"] {
                prop_assert!(!message.contains(words), "{message}");
            }
            prop_assert!(decision.patch.is_empty());
        }
    }

    #[test]
    fn deciding_again_on_the_result_changes_nothing(request in any_request(), policy in policy()) {
        let decision = decided(&request, &policy);
        if !matches!(decision.verdict, Verdict::Admit) {
            return Ok(());
        }
        let once = result(&request, &decision);
        let again = Request { object: Some(once.clone()), ..request };
        let second = decided(&again, &policy);
        if decision.reason != Reason::StaleView {
            prop_assert_eq!(&result(&again, &second), &once, "{:?}, then {:?}", decision.reason, second.reason);
            prop_assert!(second.is_allowed());
        }
    }

    #[test]
    fn what_stays_is_the_stored_immutable_part_to_the_letter(
        request in update(), policy in policy()
    ) {
        // It puts nothing back, but for a dormant Job.
        let dormant = request.old_object.as_ref().is_some_and(|old| Record::of(Job::new(old)).is_some());
        prop_assume!(policy.on_change != OnChange::Report || dormant);
        let decision = decided(&request, &policy);
        let stays = matches!(decision.reason, Reason::Unchanged | Reason::BeingDeleted
            | Reason::Restored | Reason::Kept | Reason::Replaced | Reason::WouldReplace
            | Reason::StaleView);
        if stays {
            let (after, old) = (result(&request, &decision), request.old_object.unwrap());
            for field in IMMUTABLE_FIELDS {
                prop_assert_eq!(after["spec"].get(field), old["spec"].get(field), "{}", field);
            }
        }
    }

    #[test]
    fn no_mark_of_rejob_is_stored_that_it_did_not_write(
        request in any_request(), policy in policy()
    ) {
        let decision = decided(&request, &policy);
        if !matches!(decision.verdict, Verdict::Admit) || decision.reason == Reason::StaleView {
            return Ok(());
        }
        let after = result(&request, &decision);
        let (after, old) = (Job::new(&after), request.old_object.as_ref().map(Job::new));
        prop_assert_eq!(after.annotation(keys::REPLACING), None);
        if after.label(keys::DORMANT).is_some() || after.annotation(keys::DORMANT).is_some() {
            let old = old.unwrap();
            prop_assert!(Record::of(old).is_some());
            prop_assert_eq!(after.label(keys::DORMANT), old.label(keys::DORMANT));
            prop_assert_eq!(after.annotation(keys::DORMANT), old.annotation(keys::DORMANT));
            let theirs = Record::of(old).unwrap().is_for(&request);
            prop_assert!(
                theirs || request.dry_run || after.parallelism() == old.parallelism()
            );
        }
    }

    #[test]
    fn a_created_job_is_named_validly(request in create(), policy in policy()) {
        let decision = decided(&request, &policy);
        let after = result(&request, &decision);
        let (after, before) = (Job::new(&after), Job::new(request.object.as_ref().unwrap()));
        let name = after.name().unwrap();
        if decision.reason == Reason::Renamed {
            let index = match after.completions() {
                Some(completions) if after.is_indexed() => format!("-{}", completions - 1),
                _ => String::new(),
            };
            let pod = format!("{name}{index}");
            prop_assert!(pod.len() <= 63, "{pod}");
            prop_assert!(pod.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(name.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(!name.contains("--") || before.name().unwrap().contains("--"));
            let hash = after.annotation(keys::TEMPLATE_HASH).and_then(TemplateHash::parse).unwrap();
            let base = after.annotation(keys::BASE_NAME).unwrap();
            let cut = hash.with(base);
            prop_assert!(name.ends_with(hash.as_str()) || name.ends_with(cut.as_str()), "{name}");
        } else {
            prop_assert_eq!(Some(name), before.name());
        }
    }

    #[test]
    fn an_apply_is_never_renamed(request in create(), policy in policy()) {
        let request = Request {
            object: Some(merged(request.object.as_ref().unwrap(), &json!({ "metadata": {
                "managedFields": [{ "manager": "m", "operation": "Apply" }] } }))),
            ..request
        };
        let after = result(&request, &decided(&request, &policy));
        prop_assert_eq!(&after["metadata"]["name"], &request.object.unwrap()["metadata"]["name"]);
    }

    #[test]
    fn offline_and_online_decide_alike_where_the_name_is_free(job in plain_job(), policy in policy()) {
        prop_assume!(policy.on_change != OnChange::Report); // It leaves what the API server refuses.
        let online = decided(&jobs::request(job.clone(), None, "alice", Some("x")), &policy);
        let offline = create_offline(&job, &policy);
        // What withholds the TTL from a GitOps tool's Job keeps its name as well.
        let kept = online.reason == Reason::NameKept
            || (online.reason == Reason::TtlWithheld && policy.naming == rejob_core::policy::Naming::TemplateHash);
        if !kept && online.is_allowed() {
            prop_assert_eq!(offline.patch, online.patch);
            prop_assert_eq!(offline.reason, online.reason);
        }
    }

    #[test]
    fn a_hash_names_the_template_and_nothing_else(job in plain_job(), uid in "[a-z0-9]{4}") {
        let hash = TemplateHash::of(&job);
        prop_assert_eq!(TemplateHash::parse(hash.as_str()), Some(hash.clone()));
        prop_assert_eq!(&TemplateHash::of(&stored(&job, &uid, "7")), &hash);
        let elsewhere = json!({ "metadata": { "name": "other", "labels": { "x": "y" } },
            "spec": { "suspend": true, "backoffLimit": 9, "ttlSecondsAfterFinished": 1 }, "status": {} });
        prop_assert_eq!(&TemplateHash::of(&merged(&job, &elsewhere)), &hash);
        let other = json!({ "spec": { "template": { "spec": { "serviceAccountName": uid } } } });
        prop_assert_ne!(&TemplateHash::of(&merged(&job, &other)), &hash);
    }

    #[test]
    fn a_hash_does_not_see_the_order_of_keys(job in plain_job()) {
        let read: Value = serde_json::from_str(&backwards(&job)).unwrap();
        prop_assert_eq!(TemplateHash::of(&read), TemplateHash::of(&job));
    }

    #[test]
    fn nothing_panics_on_any_shape(
        object in odd_job(), old in prop::option::of(odd_job()), policy in policy(), any in anything()
    ) {
        let mut request = jobs::request(object.clone(), old, "alice", Some("m"));
        drop(decided(&request, &policy));
        drop(create_offline(&object, &policy));
        drop(create_offline(&any, &policy));
        drop(TemplateHash::of(&any));
        drop(hashed_name("x", Job::new(&any), &TemplateHash::of(&any)));
        request.old_object = Some(any);
        drop(decided(&request, &policy));
    }

    #[test]
    fn a_replacement_starts_what_was_asked_for(request in update(), policy in policy()) {
        let decision = decided(&request, &policy);
        let Verdict::Replace(plan) = &decision.verdict else { return Ok(()) };
        let old = Job::new(request.old_object.as_ref().unwrap());
        prop_assert_eq!(Some(plan.record.uid.as_str()), old.uid());
        prop_assert_eq!(Some(plan.resource_version.as_str()), old.resource_version());
        let object = request.object.as_ref().unwrap();
        let asked = TemplateHash::of(object);
        // Where nothing but a rerun is asked for, the template is the one that was asked for before. That of
        // a suspended Job may have changed meanwhile.
        let before = old
            .recorded_hash()
            .filter(|_| changes(old.value(), object).is_empty() && !old.is_suspended());
        prop_assert_eq!(before.as_ref().unwrap_or(&asked), &plan.hash);
        prop_assert_eq!(&TemplateHash::of(&plan.job), &asked);
        let new = Job::new(&plan.job);
        prop_assert_eq!((new.uid(), new.resource_version(), new.is_being_deleted()), (None, None, false));
        prop_assert_eq!(plan.job.get("status"), None);
        prop_assert_eq!(new.annotation(keys::TEMPLATE_HASH), Some(plan.hash.as_str()));
        prop_assert!(new.annotation(keys::REPLACING).is_none() && new.annotation(keys::DORMANT).is_none());

        let dormant = stored(&plan.dormant("replace"), "u2", "3");
        let record = Record::of(Job::new(&dormant)).unwrap();
        prop_assert_eq!(record.parallelism, plan.record.parallelism);
        prop_assert_eq!(Job::new(&dormant).parallelism(), Some(0));
        if plan.mode == Mode::Apply || plan.only_checks {
            return Ok(());
        }
        // Turn 2 of a PUT: the object as it was sent, with the uid of what is stored now.
        let sent = merged(request.object.as_ref().unwrap(), &json!({ "metadata": { "uid": "u2" } }));
        let turn_2 = Request { object: Some(sent), old_object: Some(dormant), ..request };
        let release = decided(&turn_2, &policy);
        prop_assert_eq!(release.reason, Reason::Released);
        let started = result(&turn_2, &release);
        prop_assert_eq!(&TemplateHash::of(&started), &asked);
        let started = Job::new(&started);
        prop_assert_eq!(started.parallelism(), plan.record.parallelism);
        prop_assert!(started.label(keys::DORMANT).is_none() && started.annotation(keys::DORMANT).is_none());
        let revision = started.resource_version();
        prop_assert!(revision.is_none() || revision == Some("3"), "{revision:?}");
    }
}

#[test]
fn a_manifest_that_is_left_alone_keeps_no_mark_that_rejob_did_not_write() {
    let job = json!({ "metadata": { "name": "a", "labels": { keys::DORMANT: "true" }, "annotations": {
        keys::SKIP: "true", keys::TEMPLATE_HASH: "bcdfghjklm", keys::DORMANT: "{}" } } });
    let decision = create_offline(&job, &Policy::default());
    assert_eq!(decision.reason, Reason::Skipped);
    let mut after = job;
    decision.patch.apply(&mut after).unwrap();
    let expected =
        json!({ "metadata": { "name": "a", "labels": {}, "annotations": { keys::SKIP: "true" } } });
    assert_eq!(after, expected);
}

#[test]
fn a_new_job_says_what_kind_it_is() {
    let job = json!({ "metadata": { "name": "a" }, "spec": {} });
    let new = rejob_core::replacement::new_job(Job::new(&job), &TemplateHash::of(&job), None);
    assert_eq!((&new["apiVersion"], &new["kind"]), (&json!("batch/v1"), &json!("Job")));
}

/// JSON with the keys of every object in descending order.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<String> = map
                .iter()
                .rev()
                .map(|(key, value)| format!("{} : {}", json!(key), backwards(value)))
                .collect();
            format!("{{ {} }}", fields.join(" ,\n"))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(backwards).collect();
            format!("[ {} ]", items.join(" , "))
        }
        other => other.to_string(),
    }
}
