//! The service with a cluster that answers as the test says, from bytes to bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::*;
use crate::kubernetes::fake::{Fake, NEVER, ScriptedAnswer, error, make_dormant, recorded};

mod places;
mod released;
mod report;
mod rerun;
mod waits;

const TIME: Duration = Duration::from_secs(8);

fn job(image: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "nightly", "namespace": "team", "uid": "old", "resourceVersion": "7"
        },
        "spec": {
            "parallelism": 1, "completions": 1,
            "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "app", "image": image }]
            } }
        },
        "status": { "active": 1, "ready": 0 }
    })
}

fn apply_entry(manager: &str) -> Value {
    json!({
        "manager": manager, "operation": "Apply",
        "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"app\"}": { "f:image": {} }
        } } } } }
    })
}

fn review(old: &Value, object: &Value, dry_run: bool) -> Bytes {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "r", "kind": { "group": "batch", "version": "v1", "kind": "Job" },
            "operation": "UPDATE", "namespace": "team", "name": "nightly", "dryRun": dry_run,
            "userInfo": { "username": "ada" }, "options": { "fieldManager": "kubectl" },
            "object": object, "oldObject": old
        }
    });
    Bytes::from(review.to_string())
}

fn service(cluster: Option<Arc<Fake>>) -> (Admission<Fake>, Metrics) {
    let metrics = Metrics::new();
    let policies = PolicySet::builtin();
    (Admission::new(&policies, cluster, Environment::default(), 256, metrics.clone()), metrics)
}

async fn answer(service: &Admission<Fake>, body: Bytes) -> Value {
    let answer = service.review("replace", body, Call::until(Instant::now() + TIME)).await.unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["response"].take()
}

/// The object as the answer's patch makes it.
fn patched(answer: &Value, object: &Value) -> Value {
    let patch = STANDARD.decode(answer["patch"].as_str().unwrap()).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap())
        .unwrap();
    object
}

fn counted(metrics: &Metrics, line: &str) -> bool {
    metrics.exposition(crate::metrics::Format::Prometheus).contains(line)
}

fn fails(called: &'static str, code: u16) -> impl Fn(&str, usize) -> Option<ScriptedAnswer> {
    move |name, _| {
        (name == called).then(|| (Duration::ZERO, Err(error(code, "Whatever", "no luck"))))
    }
}

/// Lets everything go on that was begun beside an answer; the clock is paused, so no time passes.
async fn all_is_quiet() {
    tokio::time::sleep(Duration::from_secs(20)).await;
}

async fn settled(fake: &Fake, name: &str) {
    for _ in 0..1000 {
        if fake.count(name) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} was never called: {:?}", fake.names());
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_a_replacement_is_refused_and_says_why() {
    let (service, metrics) = service(None);
    let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    assert_eq!((&answer["allowed"], &answer["status"]["code"]), (&json!(false), &json!(403)));
    assert!(answer["status"]["message"].as_str().unwrap().contains("--kubeconfig"), "{answer}");
    assert!(counted(&metrics, "reason=\"no_cluster\""));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_answered_with_put_back_marker_warning_and_audit() {
    let fake = Arc::new(Fake::new(|_, _| None));
    let (service, metrics) = service(Some(Arc::clone(&fake)));
    let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    assert_eq!(answer["allowed"], true);
    let stored = patched(&answer, &job("a:2"));
    assert_eq!(stored["spec"], job("a:1")["spec"]);
    assert!(stored["metadata"]["annotations"]["rejob.dev/replacing"].is_string());
    // That it is replaced is said when the new Job starts.
    let warning = "job nightly: old run deleted; if this fails, send it again";
    assert_eq!(answer["warnings"], json!([warning]));
    assert_eq!(answer["auditAnnotations"]["reason"], "replaced");
    assert!(counted(&metrics, "reason=\"replaced\""));
    assert!(counted(&metrics, "result=\"replaced\""));

    service.last_events().await;
    let sent = fake.sent.lock().unwrap().last().cloned().unwrap();
    assert_eq!((&sent[0], &sent[1]), (&json!("nightly"), &json!("new")));
    let text = sent[2].as_str().unwrap();
    for part in
        ["uid old for ada with kubectl: ", "a:1 -> a:2 (old run: unfinished; template hash "]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        (&sent[5]["rejob.dev/user"], &sent[5]["rejob.dev/manager"]),
        (&json!("ada"), &json!("kubectl"))
    );
    assert!(sent[5]["rejob.dev/changed"].as_str().unwrap().contains("a:1 -> a:2"), "{sent}");
}

/// A cluster in which so many looks find no Job, and the next one is stale.
fn after_an_apply(manager: &'static str, empty: usize) -> Arc<Fake> {
    Arc::new(Fake::new(move |name, nth| match (name, nth) {
        ("get", nth) if nth < empty => Some((Duration::ZERO, Ok(Value::Null))),
        ("get", nth) if nth == empty => Some((Duration::ZERO, Ok(job("a:1")))),
        ("get", _) => {
            let mut new = job("a:2");
            new["metadata"]["uid"] = json!("made by the API server");
            new["metadata"]["managedFields"] = json!([apply_entry(manager)]);
            Some((Duration::ZERO, Ok(new)))
        }
        _ => None,
    }))
}

/// A server-side apply of this image to the Job of a:1: before and after.
fn applied(image: &str) -> [Value; 2] {
    ["a:1", image].map(|image| {
        let mut job = job(image);
        job["metadata"]["managedFields"] = json!([apply_entry("kubectl")]);
        job
    })
}

async fn apply(fake: &Arc<Fake>) {
    let (service, _) = service(Some(Arc::clone(fake)));
    let [old, object] = applied("a:2");
    let answer = answer(&service, review(&old, &object, false)).await;
    assert_eq!(answer["allowed"], true);
    assert_eq!(fake.count("create"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_uid_of_an_applys_new_job_is_looked_up() {
    let fake = after_an_apply("kubectl", 1);
    apply(&fake).await;
    settled(&fake, "tell").await;
    assert_eq!(fake.count("get"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_somebody_else_was_faster_to_make_gets_no_event() {
    let fake = after_an_apply("somebody else", 1);
    apply(&fake).await;
    all_is_quiet().await;
    assert_eq!(fake.count("tell"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_passing_error_lets_the_client_try_again_and_any_other_does_not() {
    for (called, code, dry_run, expected) in [
        ("opt-in", 503, false, 429),
        ("dry-run", 429, false, 429),
        ("delete", 429, false, 429),
        ("can-create", 0, false, 429),
        ("opt-in", 503, true, 403),
        ("opt-in", 403, false, 403),
        ("delete", 403, false, 403),
        ("create", 403, false, 403),
    ] {
        let fake = Arc::new(Fake::new(fails(called, code)));
        let (service, metrics) = service(Some(fake));
        let answer = answer(&service, review(&job("a:1"), &job("a:2"), dry_run)).await;
        assert_eq!(answer["status"]["code"], expected, "{called} {code} {dry_run}: {answer}");
        assert_eq!(answer["status"]["details"]["retryAfterSeconds"].is_number(), expected == 429);
        assert!(counted(&metrics, "reason=\"cluster_error\""), "{called} {code}");
    }
}

/// The old Job is gone then, and its status with it.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_deleted_and_not_replaced_is_told_all_the_same() {
    for (code, error_reason, reason) in
        [(403, "Forbidden", "cluster_error"), (409, "AlreadyExists", "stale_view")]
    {
        let fake = Arc::new(Fake::new(move |name, _| {
            (name == "create").then(|| (Duration::ZERO, Err(error(code, error_reason, "no luck"))))
        }));
        let (service, _) = service(Some(Arc::clone(&fake)));
        let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
        let audit = &answer["auditAnnotations"];
        assert_eq!(audit["replaced-uid"], "old", "{answer}");
        assert_eq!(audit["replaced-run"], "unfinished", "{answer}");
        assert_eq!(audit["reason"], reason, "{answer}");
        settled(&fake, "tell").await;
        let event = fake.sent.lock().unwrap().last().cloned().unwrap();
        assert_eq!((&event[1], &event[3]), (&json!("old"), &json!("ReplaceFailed")));
        let text = event[2].as_str().unwrap();
        assert!(
            text.contains("uid old for ada with kubectl") && text.contains("old run: "),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_view_is_answered_with_the_marker_and_without_a_warning() {
    let fake = Arc::new(Fake::new(fails("delete", 409)));
    let (service, metrics) = service(Some(Arc::clone(&fake)));
    let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    assert_eq!((&answer["allowed"], &answer["warnings"]), (&json!(true), &Value::Null));
    assert_eq!(answer["auditAnnotations"], Value::Null, "nothing was replaced");
    assert!(
        patched(&answer, &job("a:2"))["metadata"]["annotations"]["rejob.dev/replacing"].is_string()
    );
    assert!(counted(&metrics, "result=\"stale\""));
    assert_eq!((fake.count("create"), fake.count("tell")), (0, 0));
}

#[test]
fn an_apply_is_recent_by_seconds_in_either_direction() {
    let at = |seconds: i64| jiff::Timestamp::from_second(1_800_000_000 + seconds).unwrap();
    let mut old = job("a:1");
    let mut entry = apply_entry("kubectl");
    entry["time"] = json!(at(0).to_string());
    old["metadata"]["managedFields"] = json!([entry]);
    let request = crate::review::parse(&review(&old, &job("a:2"), false)).unwrap();
    for (now, recent) in [(0, true), (3, true), (4, false), (-3, true), (-60, false)] {
        assert_eq!(applied_just_now(&request, at(now)), recent, "{now} s");
    }
}

/// A dormant Job that was made for bob, and ada's request for it.
fn meeting(fake: Fake) -> (Admission<Fake>, Arc<Fake>, Bytes, Value) {
    let mut old = job("a:1");
    make_dormant(&mut old, &recorded("bob", Some("kubectl")));
    let mut object = old.clone();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
    let fake = Arc::new(fake);
    let (service, _) = service(Some(Arc::clone(&fake)));
    (service, fake, review(&old, &object, false), object)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_another_ones_dormant_job_waits_until_it_is_released() {
    let (service, fake, body, object) = meeting(Fake::new(|name, nth| {
        let mut stored = job("a:1");
        stored["metadata"]["resourceVersion"] = json!(if nth < 3 { "7" } else { "8" });
        (name == "get").then_some((Duration::ZERO, Ok(stored)))
    }));
    let answer = answer(&service, body).await;
    assert_eq!((&answer["allowed"], fake.count("get")), (&json!(true), 4));
    let stored = patched(&answer, &object);
    assert_eq!(stored["spec"]["template"], job("a:1")["spec"]["template"]);
    assert!(stored["metadata"]["annotations"]["rejob.dev/replacing"].is_string());
    assert_eq!(fake.count("delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dormant_job_that_nobody_comes_back_for_is_a_429() {
    for after in [Duration::ZERO, NEVER] {
        let (service, fake, body, _) =
            meeting(Fake::new(move |name, _| (name == "get").then(|| (after, Ok(job("a:1"))))));
        let begun = Instant::now();
        let answer = answer(&service, body).await;
        assert_eq!(answer["status"]["code"], 429, "{answer}");
        assert_eq!(answer["status"]["details"]["retryAfterSeconds"], 1);
        assert!(begun.elapsed() <= Duration::from_secs(2));
        assert_eq!(fake.count("delete"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_policy_names_the_known_ones() {
    let (service, _) = service(None);
    let body = review(&job("a:1"), &job("a:1"), false);
    let error =
        service.review("missing", body, Call::until(Instant::now() + TIME)).await.unwrap_err();
    assert!(
        matches!(&error, ReviewError::UnknownPolicy { known, .. } if known.contains("replace")),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_view_of_a_job_that_was_replaced_here_is_stale_without_a_call() {
    let script = |name: &str, _: usize| {
        let well = match name {
            "opt-in" => json!("replace"),
            "can-delete" | "can-create" => json!(true),
            "create" | "probe" => {
                let mut made = job("a:2");
                make_dormant(&mut made, &recorded("ada", Some("kubectl")));
                made["metadata"]["uid"] = json!("new");
                made
            }
            _ => Value::Null,
        };
        Some((Duration::from_millis(300), Ok(well)))
    };
    let fake = Arc::new(Fake::new(script));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let ask = |image| answer(&service, review(&job("a:1"), &job(image), false));
    // Two at once: the later one waits for its turn, and finds the Job gone.
    let (one, two) = tokio::join!(ask("a:2"), ask("a:3"));
    assert_eq!((&one["allowed"], &two["allowed"]), (&json!(true), &json!(true)));
    assert_eq!(one["auditAnnotations"]["reason"], "replaced", "{one}");
    assert_eq!(two["auditAnnotations"], Value::Null, "{two}");
    let marker = &patched(&two, &job("a:3"))["metadata"]["annotations"]["rejob.dev/replacing"];
    assert!(marker.is_string(), "{two}");
    for (call, times) in [("can-delete", 1), ("dry-run", 1), ("delete", 1), ("create", 1)] {
        assert_eq!(fake.count(call), times, "{call}");
    }
}

/// Whatever check brings them: Flux takes these words for leave to delete the Job.
#[tokio::test(start_paused = true)]
async fn the_api_servers_own_message_is_passed_on_without_the_words_that_flux_looks_for() {
    for check in ["dry-run", "dry-run-dormant", "delete"] {
        let fake = Fake::new(move |name, _| {
            let message = "spec.template: Invalid value: field is immutable, an Immutable Field";
            let dormant_is_tried = name == "probe" && check == "dry-run-dormant";
            (name == check || dormant_is_tried)
                .then(|| (Duration::ZERO, Err(error(422, "Invalid", message))))
        });
        let (service, _) = service(Some(Arc::new(fake)));
        let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
        let told = answer["status"]["message"].as_str().unwrap();
        assert!(told.contains("spec.template: Invalid value"), "{check}: {told}");
        assert!(!told.to_ascii_lowercase().contains("immutable"), "{check}: {told}");
    }
}
