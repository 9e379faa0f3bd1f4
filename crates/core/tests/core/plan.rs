//! What a plan makes of the new Job, and what it says.

use rejob_core::job::{Client, Job, TemplateHash, keys};
use rejob_core::replacement::{Mode, Plan, Record, identity};
use rejob_core::review::UserInfo;
use serde_json::{Value, json};

/// The replacement of `nightly` by a changed one.
pub fn plan(mode: Mode) -> Plan {
    let job = json!({
        "metadata": { "name": "nightly", "annotations": { "note": "new" } },
        "spec": { "parallelism": 3, "template": {} },
    });
    let old = json!({ "note": "old", keys::RERUN: "1", keys::TEMPLATE_HASH: "bcdfghjklm" });
    let user = UserInfo { username: "ada".into(), ..UserInfo::default() };
    Plan {
        namespace: "team".into(),
        name: "nightly".into(),
        resource_version: "7".into(),
        record: Record {
            parallelism: Some(3),
            uid: "u1".into(),
            resource_version: "6".into(),
            user: identity(&user),
            manager: Some("kubectl".into()),
            policy: String::new(),
            replacements: 1,
            sent: None,
            suspended: false,
            labels: None,
            changed: "it".into(),
            owners: None,
        },
        user,
        old_run: "Complete".into(),
        old_hash: TemplateHash::parse("bcdfghjklm").unwrap(),
        mode,
        only_checks: false,
        pods: None,
        applied: None,
        was_read_back: false,
        hash: TemplateHash::of(&job),
        job,
        old_annotations: old.as_object().unwrap().clone(),
        described: "it".into(),
        client: Client::Other,
    }
}

#[test]
fn a_plan_in_words() {
    let mut plan = plan(Mode::Recreate);
    assert_eq!(plan.hashes(), format!("bcdfghjklm -> {}", plan.hash));
    assert!(plan.requester().contains("ada") && plan.requester().contains("kubectl"));
    assert_eq!(plan.not_replaced(), "job nightly was not replaced");
    plan.record.replacements = 2;
    assert!(plan.not_replaced().starts_with("job nightly is half replaced"));
}

#[test]
fn what_is_checked_of_an_apply_is_what_is_applied() {
    let merged = plan(Mode::Apply);
    assert_eq!(merged.accepted(), &merged.job);
    let applied = json!({ "metadata": { "name": "nightly" } });
    let apply = Plan { applied: Some(applied.clone()), ..merged };
    assert_eq!(apply.accepted(), &applied);
}

#[test]
fn a_probe_has_no_name_and_the_form_in_which_it_is_made() {
    for (mode, parallelism) in [(Mode::Apply, 3), (Mode::Recreate, 0)] {
        let probe = plan(mode).probe("replace");
        assert_eq!(probe["metadata"]["generateName"], "rejob-probe-");
        assert_eq!(probe["metadata"].get("name"), None);
        assert_eq!(Job::new(&probe).parallelism(), Some(parallelism));
    }
}

#[test]
fn a_dormant_job_has_the_annotations_of_the_old_one() {
    let mut plan = plan(Mode::Recreate);
    let helm = "meta.helm.sh/release-name";
    plan.job["metadata"]["annotations"][helm] = json!("r");
    let dormant = |plan: &Plan| plan.dormant("replace")["metadata"]["annotations"].clone();
    let annotations = dormant(&plan);
    assert_eq!(annotations["note"], "old");
    // What is about the old Job alone stays with it.
    assert_eq!(annotations.get(keys::RERUN), None);
    assert_eq!(annotations.get(keys::TEMPLATE_HASH), None);
    assert_eq!(annotations[helm], " r");
    plan.old_annotations.insert(helm.into(), json!("s"));
    assert_eq!(dormant(&plan)[helm], " s");
    let without = Plan { job: json!({ "metadata": { "labels": null }, "spec": {} }), ..plan };
    let made = without.dormant("replace");
    assert_eq!(made["metadata"]["labels"], json!({ keys::DORMANT: "true" }));
    assert_eq!(made["spec"], json!({ "parallelism": 0 }));
    let record: Value =
        serde_json::from_str(dormant(&without)[keys::DORMANT].as_str().unwrap()).unwrap();
    assert_eq!(
        (&record["uid"], &record["resourceVersion"], &record["parallelism"]),
        (&json!("u1"), &json!("6"), &json!(3))
    );
}
