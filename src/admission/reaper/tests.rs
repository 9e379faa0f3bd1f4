//! The reaper under paused time, on a cluster that answers as the test says.

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake::{Fake, NEVER, ScriptedAnswer, error, make_dormant, recorded};

/// Enough looks for what is dormant from the start to be deleted.
const LOOKS: Duration = Duration::from_mins(5);

/// When the fake cluster's webhook configuration was made, and just before.
const MADE: &str = "2026-01-01T00:00:00Z";
const BEFORE: &str = "2025-12-31T23:59:59Z";

fn dormant(created: &str) -> Value {
    let mut job = json!({
        "metadata": {
            "name": "nightly", "namespace": "team", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": created,
        },
    });
    make_dormant(&mut job, &recorded("deployer", None));
    job
}

fn configuration(entry: &Value) -> Value {
    json!({
        "metadata": { "creationTimestamp": MADE },
        "webhooks": [{ "name": "replace.rejob.dev", "failurePolicy": "Fail" }, entry],
    })
}

/// What the reaper calls in some minutes.
async fn reaps(
    script: impl Fn(&str, usize) -> Option<ScriptedAnswer> + Send + Sync + 'static,
) -> Fake {
    let cluster = Arc::new(Fake::new(script));
    let options = ReaperOptions {
        configuration: "00-rejob".into(),
        policies: PolicySet::builtin(),
        own_namespace: None,
        interval: INTERVAL,
        grace: GRACE,
    };
    let reaper = Reaper::new(Arc::clone(&cluster), options, Metrics::new());
    // It never ends by itself.
    let _ = timeout(LOOKS, reaper.run()).await;
    Arc::into_inner(cluster).unwrap()
}

fn at_once(answer: Value) -> ScriptedAnswer {
    (Duration::ZERO, Ok(answer))
}

/// One dormant Job, and the answer to the question for the webhook configuration.
async fn reaps_beside(created: &'static str, configuration: Value) -> Fake {
    reaps(move |call, nth| match call {
        "list" if nth < 4 => Some(at_once(json!([dormant(created)]))),
        "configuration" => Some(at_once(configuration.clone())),
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_dormant_job_is_deleted_within_two_minutes() {
    let fake = reaps(|call, _| (call == "list").then(|| at_once(json!([dormant(MADE)])))).await;
    let (sent, calls) = (fake.sent.lock().unwrap(), fake.calls.lock().unwrap());
    let at = calls.iter().position(|(call, _)| call == "delete").unwrap();
    assert_eq!(sent[at], json!(["nightly", "u", "7"]));
    assert!(calls[at].1 > GRACE && calls[at].1 + INTERVAL <= REAPED, "{:?}", calls[at]);
}

#[tokio::test(start_paused = true)]
async fn the_webhook_configuration_is_read_only_where_something_is_due() {
    let fake =
        reaps(|call, nth| (call == "list" && nth < 2).then(|| at_once(json!([dormant(MADE)]))))
            .await;
    assert!(fake.count("list") > 5, "{:?}", fake.names());
    assert_eq!(fake.count("configuration"), 0);
}

#[tokio::test(start_paused = true)]
async fn without_the_entry_of_dormant_jobs_nothing_is_deleted() {
    let guarding = json!({ "name": "dormant.rejob.dev", "failurePolicy": "Fail" });
    for (configuration, deletes) in [
        (configuration(&guarding), true),
        (configuration(&json!({ "name": "dormant.rejob.dev", "failurePolicy": "Ignore" })), false),
        (configuration(&json!({ "name": "rerun.rejob.dev", "failurePolicy": "Fail" })), false),
        (json!({ "metadata": { "creationTimestamp": MADE } }), false),
        (Value::Null, false),
    ] {
        let fake = reaps_beside(MADE, configuration.clone()).await;
        assert!(fake.count("configuration") > 0, "{configuration}");
        assert_eq!(fake.count("delete") > 0, deletes, "{configuration}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_webhook_configuration_is_kept() {
    let guarding = json!({ "name": "dormant.rejob.dev", "failurePolicy": "Fail" });
    let fake = reaps_beside(BEFORE, configuration(&guarding)).await;
    assert!(fake.count("configuration") > 0);
    assert_eq!(fake.count("delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_webhook_configuration_cannot_be_read_nothing_is_deleted() {
    let fake = reaps(|call, _| match call {
        "list" => Some(at_once(json!([dormant(MADE)]))),
        "configuration" => Some((Duration::ZERO, Err(error(403, "Forbidden", "no")))),
        _ => None,
    })
    .await;
    assert!(fake.count("configuration") > 1);
    assert_eq!(fake.count("delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn each_call_that_hangs_is_given_up_and_the_next_look_deletes() {
    for hangs in ["list", "configuration", "opt-in", "delete"] {
        let fake = reaps(move |call, nth| match call {
            _ if call == hangs && nth == 0 => Some((NEVER, Err(error(504, "", "")))),
            "list" => Some(at_once(json!([dormant(MADE)]))),
            _ => None,
        })
        .await;
        let tries = if hangs == "delete" { 2 } else { 1 };
        assert!(fake.count("delete") >= tries, "{hangs}: {:?}", fake.names());
    }
}

#[test]
fn only_where_rejob_serves_is_anything_reaped() {
    let policies = PolicySet::builtin();
    for (namespace, label, expected) in [
        ("team", Some("replace"), true),
        ("team", Some("ttl"), true),
        ("team", Some("replase"), false),
        ("team", None, false),
        ("kube-system", Some("replace"), false),
        ("rejob", Some("replace"), false),
    ] {
        let served = is_served(namespace, label, &policies, Some("rejob"));
        assert_eq!(served, expected, "{namespace} {label:?}");
    }
}
