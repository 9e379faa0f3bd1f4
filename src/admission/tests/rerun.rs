//! The entry of `rejob.dev/rerun`, whose path names no policy.

use super::*;
use crate::policy::RERUN;

/// The nightly Job with those annotations.
fn annotated(image: &str, annotations: &Value) -> Value {
    let mut job = job(image);
    job["metadata"]["annotations"] = annotations.clone();
    job
}

/// The answer to a change by that entry, and the metrics.
async fn of_rerun(cluster: Option<Arc<Fake>>, change: [Value; 2]) -> (Value, Metrics) {
    let (service, metrics) = service(cluster);
    let [old, object] = change;
    let body = review(&old, &object, false);
    let answer = service.review(RERUN, body, Call::until(Instant::now() + TIME)).await.unwrap();
    (serde_json::from_slice::<Value>(&answer).unwrap()["response"].take(), metrics)
}

/// A change of the annotation.
fn bump() -> [Value; 2] {
    [job("a:1"), annotated("a:1", &json!({ "rejob.dev/rerun": "2" }))]
}

fn opts_in_to(label: Value) -> Arc<Fake> {
    Arc::new(Fake::new(move |name, _| {
        (name == "opt-in").then(|| (Duration::ZERO, Ok(label.clone())))
    }))
}

#[tokio::test(start_paused = true)]
async fn it_runs_again_by_the_policy_of_the_live_namespace() {
    for policy in ["replace", "ttl"] {
        let fake = opts_in_to(json!(policy));
        let (answer, metrics) = of_rerun(Some(Arc::clone(&fake)), bump()).await;
        assert_eq!(answer["auditAnnotations"]["reason"], "replaced", "{answer}");
        let line = format!("policy=\"{policy}\",operation=\"UPDATE\",reason=\"replaced\"");
        assert!(counted(&metrics, &line), "{policy}");
        let made = fake.sent.lock().unwrap().iter().find_map(|sent| {
            let record = sent.pointer("/metadata/annotations/rejob.dev~1dormant")?.as_str()?;
            Some(serde_json::from_str::<Value>(record).unwrap()["policy"].clone())
        });
        assert_eq!(made, Some(json!(policy)));
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_cannot_be_known_no_value_is_stored() {
    let refused = async |cluster, code: u16, words: &str, reason: &str| {
        let (answer, metrics) = of_rerun(cluster, bump()).await;
        assert_eq!(answer["status"]["code"], code, "{answer}");
        let message = answer["status"]["message"].as_str().unwrap();
        assert!(message.starts_with("job nightly: rejob.dev/rerun asks for a new run, but "));
        assert!(message.contains(words), "{message}");
        assert!(counted(
            &metrics,
            &format!("policy=\"\",operation=\"UPDATE\",reason=\"{reason}\"")
        ));
    };
    refused(None, 403, "run it in the cluster or with --kubeconfig", "no_cluster").await;
    let other = Some(opts_in_to(json!("nightly")));
    refused(
        other,
        429,
        "\"nightly\", which this rejob does not have; there are: hash-name, replace, ttl",
        "not_opted_in",
    )
    .await;
    let failing = |code| Some(Arc::new(Fake::new(fails("opt-in", code))));
    refused(
        failing(500),
        429,
        "namespace team cannot be read: no luck; try again",
        "cluster_error",
    )
    .await;
    refused(
        failing(403),
        403,
        "namespace team cannot be read: no luck; grant rejob get on namespaces",
        "cluster_error",
    )
    .await;
    let hangs =
        Arc::new(Fake::new(|name, _| (name == "opt-in").then_some((NEVER, Ok(Value::Null)))));
    refused(Some(hangs), 429, "no answer before the deadline", "cluster_error").await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_told_at_once() {
    let (service, _) = service(Some(Arc::new(Fake::new(fails("opt-in", 500)))));
    let [old, object] = bump();
    let body = review(&old, &object, true);
    let answer = service.review(RERUN, body, Call::until(Instant::now() + TIME)).await.unwrap();
    let answer = serde_json::from_slice::<Value>(&answer).unwrap();
    assert_eq!(answer["response"]["status"]["code"], 403, "{answer}");
}

/// The label changes between the two looks at the namespace.
#[tokio::test(start_paused = true)]
async fn a_policy_that_has_changed_meanwhile_replaces_nothing() {
    let fake = Arc::new(Fake::new(|name, nth| {
        let label = json!(if nth == 0 { "replace" } else { "ttl" });
        (name == "opt-in").then_some((Duration::ZERO, Ok(label)))
    }));
    let (answer, _) = of_rerun(Some(Arc::clone(&fake)), bump()).await;
    assert_eq!(answer["status"]["code"], 403, "{answer}");
    assert_eq!(fake.count("delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_opts_in_no_longer_is_plain_kubernetes() {
    let fake = opts_in_to(Value::Null);
    let (answer, metrics) = of_rerun(Some(Arc::clone(&fake)), bump()).await;
    assert_eq!((&answer["allowed"], &answer["patch"]), (&json!(true), &Value::Null));
    assert!(counted(&metrics, "policy=\"\",operation=\"UPDATE\",reason=\"not_opted_in\""));
    assert_eq!(fake.names(), ["opt-in"]);
}

#[tokio::test(start_paused = true)]
async fn what_asks_for_no_run_needs_no_policy() {
    let fake = opts_in_to(json!("replace"));
    let same = json!({ "rejob.dev/rerun": "1" });
    for object in [annotated("a:1", &same), job("a:1"), annotated("a:2", &same)] {
        let change = [annotated("a:1", &same), object];
        let (answer, _) = of_rerun(Some(Arc::clone(&fake)), change).await;
        assert_eq!(answer["allowed"], true, "{answer}");
    }
    assert_eq!(fake.names(), [""; 0]);
    // Nor is anything replaced by the path, whatever the Job says for itself.
    let mut own = same.clone();
    own["rejob.dev/on-change"] = json!("Replace");
    let change = [annotated("a:1", &own), annotated("a:2", &own)];
    let (answer, _) = of_rerun(Some(Arc::clone(&fake)), change).await;
    assert_eq!(answer["status"]["code"], 403, "{answer}");
    assert_eq!(fake.count("delete"), 0);
}
