//! The turns after the first: what a dormant Job's record brings back, and what a wait excuses.

use super::*;

/// A dormant Job that was made for ada's request, with what its record holds beside the usual.
fn made_for_ada(change: impl FnOnce(&mut crate::replacement::Record)) -> Value {
    let mut record = recorded("ada", Some("kubectl"));
    change(&mut record);
    let mut job = job("a:2");
    make_dormant(&mut job, &record);
    job
}

async fn released(dormant: &Value, object: &Value) -> Value {
    let (service, _) = service(Some(Arc::new(Fake::new(|_, _| None))));
    let answer = answer(&service, review(dormant, object, false)).await;
    assert_eq!(answer["auditAnnotations"]["reason"], "released", "{answer}");
    let stored = patched(&answer, object);
    assert_eq!(stored["spec"]["parallelism"], 1);
    stored
}

#[tokio::test(start_paused = true)]
async fn who_owned_which_field_owns_it_again_beside_the_job_controllers_own() {
    let owners = json!([apply_entry("helm"), { "manager": "kubectl", "operation": "Update" }]);
    let mut dormant = made_for_ada(|record| record.owners = Some(owners.clone()));
    let status = json!({ "manager": "controller", "operation": "Update", "subresource": "status" });
    let creation = json!({ "manager": "kubectl", "operation": "Update", "fieldsV1": {} });
    dormant["metadata"]["managedFields"] = json!([creation, status]);
    let stored = released(&dormant, &dormant).await;
    let mut wanted = owners.as_array().unwrap().clone();
    wanted.push(status);
    assert_eq!(stored["metadata"]["managedFields"], Value::Array(wanted));
}

/// Else whoever was replaced owns the hash, and it counts as one that came with a manifest for ever.
#[tokio::test(start_paused = true)]
async fn where_no_owners_are_recorded_the_hash_is_nobodys_all_the_same() {
    let mut dormant = made_for_ada(|_| ());
    let owned = json!({ "f:example.com/own": {}, "f:rejob.dev/template-hash": {} });
    dormant["metadata"]["managedFields"] = json!([{
        "manager": "kubectl", "operation": "Update",
        "fieldsV1": { "f:metadata": { "f:annotations": owned } }
    }]);
    let stored = released(&dormant, &dormant).await;
    let owned = &stored["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"];
    assert_eq!(*owned, json!({ "f:example.com/own": {} }));
}

#[tokio::test(start_paused = true)]
async fn too_many_owners_are_not_recorded() {
    let fake = empty();
    let (service, _) = service(Some(Arc::clone(&fake)));
    let mut object = job("a:2");
    for (size, recorded) in [(1_000, true), (40_000, false)] {
        object["metadata"]["managedFields"] = json!([{ "manager": "m".repeat(size) }]);
        let mut old = job("a:1");
        old["metadata"]["uid"] = json!(format!("old {size}"));
        object["metadata"]["uid"] = old["metadata"]["uid"].clone();
        answer(&service, review(&old, &object, false)).await;
        let at = fake.names().iter().rposition(|name| name == "create").unwrap();
        let sent = fake.sent.lock().unwrap()[at].clone();
        let record = sent["metadata"]["annotations"]["rejob.dev/dormant"].as_str().unwrap();
        assert_eq!(record.contains("\"owners\""), recorded, "{size}");
    }
}

/// A dormant Job that a hook has rewritten, as a client that merges sends it again.
fn rewritten(sidecar: &str) -> (Value, Value) {
    let mut dormant = made_for_ada(|_| ());
    let containers = &mut dormant["spec"]["template"]["spec"]["containers"];
    containers.as_array_mut().unwrap().push(json!({ "name": "sidecar", "image": sidecar }));
    containers[0]["image"] = json!("a@sha256:2");
    let mut object = dormant.clone();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
    (dormant, object)
}

#[tokio::test(start_paused = true)]
async fn a_dormant_job_that_hooks_rewrote_is_released_where_a_creation_would_be_the_same() {
    let (dormant, object) = rewritten("s:1");
    for (sidecar, reason) in [("s:1", "released"), ("s:2", "replaced")] {
        let created = rewritten(sidecar).0;
        let fake = Arc::new(Fake::new(move |name, _| {
            (name == "probe").then(|| (Duration::ZERO, Ok(created.clone())))
        }));
        let (service, _) = service(Some(Arc::clone(&fake)));
        let answer = answer(&service, review(&dormant, &object, false)).await;
        assert_eq!(answer["auditAnnotations"]["reason"], reason, "{sidecar}: {answer}");
        if reason == "released" {
            let stored = patched(&answer, &object);
            assert_eq!(stored["spec"]["template"], dormant["spec"]["template"]);
            let told = &answer["warnings"][0];
            assert_eq!(told, "job nightly replaced: it", "{answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_is_tried_as_the_part_that_its_manager_applied() {
    let fake = empty();
    apply(&fake).await;
    let calls = fake.names();
    let at = calls.iter().position(|name| name == "dry-run").unwrap();
    let sent = fake.sent.lock().unwrap()[at].clone();
    let containers = json!([{ "name": "app", "image": "a:2" }]);
    let wanted = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "nightly", "namespace": "team" },
        "spec": { "template": { "spec": { "containers": containers } } }
    });
    assert_eq!(sent, wanted);
}

fn empty() -> Arc<Fake> {
    Arc::new(Fake::new(|_, _| None))
}

/// A PUT names the revision that its client has read; while it waits, the status moves on.
async fn put_again_after(status: Value, before: Value) -> (Value, usize) {
    let fake = Arc::new(Fake::new(|name, nth| {
        let mut now = job("a:1");
        now["metadata"]["resourceVersion"] = json!("8");
        (name == "get" && nth > 0).then_some((Duration::ZERO, Ok(now)))
    }));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let mut old = job("a:1");
    old["status"] = before;
    answer(&service, review(&old, &job("a:2"), false)).await;
    assert_eq!(fake.count("delete"), 0);
    old["metadata"]["resourceVersion"] = json!("8");
    old["status"] = status;
    let answer = answer(&service, review(&old, &job("a:2"), false)).await;
    (patched(&answer, &job("a:2")), fake.count("delete"))
}

#[tokio::test(start_paused = true)]
async fn a_put_that_waited_for_the_old_job_is_not_stale_when_only_the_status_moved_on() {
    let ended = json!({ "conditions": [{ "type": "Complete", "status": "True" }], "succeeded": 1 });
    for before in [json!({ "active": 1, "ready": 1 }), json!({})] {
        let (stored, deleted) = put_again_after(ended.clone(), before.clone()).await;
        assert_eq!(deleted, 1, "{before}");
        assert_eq!(stored["metadata"]["resourceVersion"], "8", "{before}");
    }
}

/// The answer by the entry of dormant Jobs, and the metrics.
async fn of_dormant(old: &Value, object: &Value) -> (Value, Metrics, Arc<Fake>) {
    let fake = empty();
    let (service, metrics) = service(Some(Arc::clone(&fake)));
    let body = review(old, object, false);
    let answer = service
        .review(crate::policy::DORMANT, body, Call::until(Instant::now() + TIME))
        .await
        .unwrap();
    let answer = serde_json::from_slice::<Value>(&answer).unwrap()["response"].take();
    (answer, metrics, fake)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_dormant_job_goes_by_the_policy_in_its_record() {
    // What is replaced on, is replaced by that policy: its label is asked for.
    let dormant = made_for_ada(|record| record.policy = "ttl".into());
    let (answer, metrics, fake) = of_dormant(&dormant, &made_of(&dormant, "a:3")).await;
    assert_eq!(answer["status"]["code"], 403, "{answer}");
    assert!(answer["status"]["message"].as_str().unwrap().contains("rejob.dev/policy: ttl"));
    assert!(counted(&metrics, "policy=\"ttl\",operation=\"UPDATE\",reason=\"not_opted_in\""));
    assert_eq!(fake.count("delete"), 0);
    // It starts whatever the record names: an older server's has none.
    for policy in ["replace", "gone", ""] {
        let dormant = made_for_ada(|record| record.policy = policy.into());
        let (answer, ..) = of_dormant(&dormant, &dormant).await;
        assert_eq!(answer["auditAnnotations"]["reason"], "released", "{policy}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_dormant_is_left_to_the_api_server() {
    let mut forged = job("a:1");
    forged["metadata"]["labels"] = json!({ "rejob.dev/dormant": "x" });
    forged["metadata"]["annotations"] = json!({ "rejob.dev/dormant": "{}" });
    let object = made_of(&forged, "a:2");
    let (answer, metrics, fake) = of_dormant(&forged, &object).await;
    assert_eq!(answer["allowed"], true);
    assert_eq!(patched(&answer, &object)["spec"], object["spec"]);
    assert!(counted(&metrics, "policy=\"\",operation=\"UPDATE\",reason=\"ignored\""));
    assert_eq!(fake.names(), [""; 0]);
}

fn made_of(job: &Value, image: &str) -> Value {
    let mut object = job.clone();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    object
}

#[tokio::test(start_paused = true)]
async fn each_replacement_of_ones_own_dormant_job_is_counted_and_the_sixth_is_refused() {
    let at_turn = |turn: u32| {
        let mut dormant = made_for_ada(|record| record.replacements = turn);
        dormant["metadata"]["uid"] = json!(format!("turn {turn}"));
        dormant
    };
    // Nobody comes back for it.
    let fake = Arc::new(Fake::new(move |name, _| {
        (name == "get").then(|| (Duration::ZERO, Ok(at_turn(5))))
    }));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let sent = |turn: u32| {
        let dormant = at_turn(turn);
        let object = made_of(&dormant, "a:3");
        review(&dormant, &object, false)
    };
    answer(&service, sent(4)).await;
    let at = fake.names().iter().rposition(|name| name == "create").unwrap();
    let made = fake.sent.lock().unwrap()[at].clone();
    let record = made["metadata"]["annotations"]["rejob.dev/dormant"].as_str().unwrap();
    assert!(record.contains("\"turn\":5"), "{record}");
    let refused = answer(&service, sent(5)).await;
    assert_eq!(refused["status"]["code"], 403, "{refused}");
    assert_eq!((fake.count("delete"), fake.count("create")), (1, 1));
    // Whoever meets that Job now sends another request.
    let next = answer(&service, sent(5)).await;
    assert_eq!((&next["allowed"], fake.count("create")), (&json!(true), 2), "{next}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_a_later_turn_says_that_the_old_job_is_gone() {
    let fake = Arc::new(Fake::new(fails("dry-run", 422)));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let dormant = made_for_ada(|_| ());
    let refused = answer(&service, review(&dormant, &made_of(&dormant, "a:3"), false)).await;
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("job nightly is half replaced (the old one is deleted"),
        "{message}"
    );
    let first = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    let message = first["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("job nightly was not replaced: "), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_old_uid_that_a_patch_names_becomes_the_new_one() {
    let mut dormant = made_for_ada(|_| ());
    dormant["metadata"]["uid"] = json!("new");
    for (theirs, stored) in [("old", "new"), ("another", "another")] {
        let mut object = dormant.clone();
        object["metadata"]["uid"] = json!(theirs);
        assert_eq!(released(&dormant, &object).await["metadata"]["uid"], stored);
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_of_the_same_name_is_waited_for_before_a_request_is_given_up() {
    let released = Arc::new(Fake::new(|name, nth| {
        let mut stored = made_for_ada(|record| record.replacements = 5);
        stored["metadata"]["resourceVersion"] = json!(if nth < 3 { "7" } else { "8" });
        (name == "get").then_some((Duration::ZERO, Ok(stored)))
    }));
    let (service, _) = service(Some(Arc::clone(&released)));
    let dormant = made_for_ada(|record| record.replacements = 5);
    let told = answer(&service, review(&dormant, &made_of(&dormant, "a:3"), false)).await;
    assert_eq!((&told["allowed"], released.count("get")), (&json!(true), 4), "{told}");
    assert_eq!(released.count("delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_dormant_job_is_not_waited_for() {
    let (service, fake, body, _) = meeting(Fake::new(move |name, _| {
        (name == "get").then(|| (Duration::ZERO, Ok(job("a:1"))))
    }));
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    review["request"]["oldObject"]["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    let told = answer(&service, Bytes::from(review.to_string())).await;
    assert_eq!((&told["status"]["code"], fake.count("get")), (&json!(429), 0), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_new_job_whose_marks_a_hook_takes_out_is_deleted_and_told() {
    type Change = fn(&mut Value);
    let changes: [Change; 3] = [
        |stored| stored["metadata"]["labels"] = json!({}),
        |stored| stored["metadata"]["annotations"] = json!({}),
        |stored| stored["spec"]["parallelism"] = json!(1),
    ];
    for change in changes {
        let fake = Arc::new(Fake::new(move |name, _| {
            let mut stored = made_for_ada(|_| ());
            stored["metadata"]["uid"] = json!("new");
            change(&mut stored);
            (name == "create").then_some((Duration::ZERO, Ok(stored)))
        }));
        let (service, metrics) = service(Some(Arc::clone(&fake)));
        let told = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
        let message = told["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("another hook or policy changes the label"), "{told}");
        assert!(counted(&metrics, "result=\"failed\""));
        let sent = fake.sent.lock().unwrap();
        assert_eq!(sent.last().unwrap(), &json!(["nightly", "new", "7"]));
        assert_eq!(fake.count("delete"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dormant_job_that_has_ended_is_replaced_and_not_released() {
    let fake = empty();
    let (service, _) = service(Some(Arc::clone(&fake)));
    let mut dormant = made_for_ada(|_| ());
    dormant["status"]["conditions"] = json!([{ "type": "Failed", "status": "True" }]);
    let told = answer(&service, review(&dormant, &dormant, false)).await;
    assert_eq!(told["auditAnnotations"]["reason"], "replaced", "{told}");
    let at = fake.names().iter().rposition(|name| name == "create").unwrap();
    let made = fake.sent.lock().unwrap()[at].clone();
    assert!(
        made["metadata"]["annotations"]["rejob.dev/dormant"]
            .as_str()
            .unwrap()
            .contains("\"parallelism\":1")
    );
}
