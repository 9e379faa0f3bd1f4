//! `onChange: Report`: what is checked, told and not done.

use super::*;

fn reporting(cluster: Option<Arc<Fake>>) -> (Admission<Fake>, Metrics) {
    let metrics = Metrics::new();
    let report = Policy { on_change: crate::policy::OnChange::Report, ..Policy::default() };
    let policies = PolicySet::from(std::collections::BTreeMap::from([("replace".into(), report)]));
    (Admission::new(&policies, cluster, Environment::default(), 256, metrics.clone()), metrics)
}

/// The answer to a change of the image, the Event that was published, and the metrics.
async fn reported(fake: &Arc<Fake>, old: &Value, dry_run: bool) -> (Value, Value, Metrics) {
    let (service, metrics) = reporting(Some(Arc::clone(fake)));
    let mut object = old.clone();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
    let answer = answer(&service, review(old, &object, dry_run)).await;
    assert_eq!((&answer["allowed"], &answer["patch"]), (&json!(true), &Value::Null), "{answer}");
    assert_eq!(answer["auditAnnotations"]["reason"], "reported");
    assert!(counted(&metrics, "reason=\"reported\""));
    let event = if dry_run {
        Value::Null
    } else {
        settled(fake, "tell").await;
        fake.sent.lock().unwrap().last().cloned().unwrap()
    };
    for done in ["delete", "create"] {
        assert_eq!(fake.count(done), 0, "{:?}", fake.names());
    }
    (answer, event, metrics)
}

#[tokio::test(start_paused = true)]
async fn all_checks_are_made_and_told_and_nothing_is_done() {
    let fake = Arc::new(Fake::new(|_, _| None));
    let (answer, event, metrics) = reported(&fake, &job("a:1"), false).await;
    for check in ["opt-in", "can-delete", "can-create", "probe", "dry-run", "pods"] {
        assert!(fake.count(check) > 0, "{check}: {:?}", fake.names());
    }
    let change = "spec.template.spec.containers[app].image: a:1 -> a:2";
    let sentence = "job nightly would be replaced (onChange is Report)";
    assert_eq!(answer["warnings"], json!([format!("{sentence}: {change}")]));
    assert_eq!(answer["auditAnnotations"]["changed"], change);
    assert_eq!(answer["auditAnnotations"]["why-not"], Value::Null);
    let message = format!("{sentence}; asked for by ada with kubectl: {change}");
    assert_eq!(event[2], message);
    assert_eq!((&event[1], &event[3]), (&json!("old"), &json!("WouldReplace")));
    assert!(counted(&metrics, "rejob_would_replace_total{policy=\"replace\",why_not=\"\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn what_stands_against_it_is_told() {
    let no = |name: &str, _| (name == "can-delete").then_some((Duration::ZERO, Ok(json!(false))));
    let late = |name: &str, _| (name == "dry-run").then_some((NEVER, Ok(Value::Null)));
    let slow = |name: &str, _| (name == "probe").then_some((NEVER, Ok(Value::Null)));
    let mut working = job("a:1");
    working["status"]["ready"] = json!(1);
    for (fake, old, why_not, words) in [
        (Fake::new(no), job("a:1"), "rights_denied", "may not delete jobs"),
        (Fake::new(fails("dry-run", 422)), job("a:1"), "invalid_denied", "no luck"),
        (Fake::new(fails("can-create", 503)), job("a:1"), "cluster_error", "no luck"),
        (Fake::new(fails("probe", 503)), job("a:1"), "cluster_error", "no luck"),
        (Fake::new(late), job("a:1"), "no_time", "raise"),
        (Fake::new(slow), job("a:1"), "cluster_error", "raise"),
        (Fake::new(|_, _| None), working.clone(), "running_wait", "when it has finished"),
        (Fake::new(fails("dry-run", 422)), working, "invalid_denied", "no luck"),
    ] {
        let (answer, event, metrics) = reported(&Arc::new(fake), &old, false).await;
        assert_eq!(answer["auditAnnotations"]["why-not"], why_not, "{answer}");
        let warned: Vec<&str> =
            answer["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        assert!(warned.join(" ").contains(words), "{why_not}: {warned:?}");
        assert!(event[2].as_str().unwrap().contains(words), "{why_not}: {event}");
        assert!(counted(&metrics, &format!("why_not=\"{why_not}\"")), "{why_not}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_publishes_no_event() {
    let fake = Arc::new(Fake::new(|_, _| None));
    reported(&fake, &job("a:1"), true).await;
    all_is_quiet().await;
    assert_eq!(fake.count("tell"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_brings_no_further_event_and_another_change_does() {
    let once = async |object: Value, old: Value, fails_with: Option<u16>| {
        let fake = Arc::new(Fake::new(move |name, _| {
            let code = fails_with.filter(|_| name == "dry-run")?;
            Some((Duration::ZERO, Err(error(code, "Whatever", "no luck"))))
        }));
        let (service, _) = reporting(Some(Arc::clone(&fake)));
        answer(&service, review(&old, &object, false)).await;
        settled(&fake, "tell").await;
        let event = fake.sent.lock().unwrap().last().cloned().unwrap();
        event[4].as_str().unwrap().to_owned()
    };
    let first = once(job("a:2"), job("a:1"), None).await;
    assert_eq!(once(job("a:2"), job("a:1"), None).await, first);
    let mut later = job("a:1");
    later["metadata"]["uid"] = json!("later");
    let mut to_later = job("a:2");
    to_later["metadata"]["uid"] = json!("later");
    let mut rerun = job("a:1");
    rerun["metadata"]["annotations"] = json!({ "rejob.dev/rerun": "1" });
    let mut working = job("a:1");
    working["status"]["ready"] = json!(1);
    assert_eq!(once(job("a:2"), working, None).await, first, "it waits, and is replaced then");
    for other in [
        once(job("a:3"), job("a:1"), None).await,
        once(to_later, later, None).await,
        once(rerun, job("a:1"), None).await,
        once(job("a:2"), job("a:1"), Some(422)).await,
    ] {
        assert_ne!(other, first);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_that_is_what_is_told() {
    let (service, metrics) = reporting(None);
    let answer = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    assert_eq!((&answer["allowed"], &answer["patch"]), (&json!(true), &Value::Null));
    assert_eq!(answer["auditAnnotations"]["why-not"], "no_cluster");
    assert!(counted(&metrics, "why_not=\"no_cluster\""));
}

/// A forged review may name any namespace.
#[tokio::test(start_paused = true)]
async fn where_the_live_namespace_does_not_opt_in_no_event_is_published() {
    for finalizers in [json!([]), json!(["example.com/a"])] {
        let fake = Arc::new(Fake::new(|name, _| {
            (name == "opt-in").then_some((Duration::ZERO, Ok(Value::Null)))
        }));
        let (service, _) = reporting(Some(Arc::clone(&fake)));
        let [mut old, mut object] = [job("a:1"), job("a:2")];
        for job in [&mut old, &mut object] {
            job["metadata"]["finalizers"] = finalizers.clone();
        }
        answer(&service, review(&old, &object, false)).await;
        all_is_quiet().await;
        assert_eq!(fake.count("tell"), 0, "{:?}", fake.names());
    }
}

#[tokio::test(start_paused = true)]
async fn that_no_time_would_be_left_to_create_is_told() {
    // Twice in a dry run fits; a deletion after it would not.
    let fake = Arc::new(Fake::new(|name, _| match name {
        "dry-run" | "dry-run-dormant" => {
            let exists = error(409, "AlreadyExists", "jobs.batch \"nightly\" already exists");
            Some((Duration::from_millis(5500), Err(exists)))
        }
        _ => None,
    }));
    let (answer, _, _) = reported(&fake, &job("a:1"), false).await;
    assert_eq!(answer["auditAnnotations"]["why-not"], "no_time", "{answer}");
}

/// Kubernetes allows 1024 bytes, and a user may have any name.
#[tokio::test(start_paused = true)]
async fn an_event_is_no_longer_than_kubernetes_allows() {
    let fake = Arc::new(Fake::new(|_, _| None));
    let (service, _) = reporting(Some(Arc::clone(&fake)));
    let text = String::from_utf8(review(&job("a:1"), &job("a:2"), false).to_vec()).unwrap();
    let body = text.replace("\"ada\"", &format!("\"{}\"", "a".repeat(1000)));
    answer(&service, Bytes::from(body)).await;
    settled(&fake, "tell").await;
    let event = fake.sent.lock().unwrap().last().cloned().unwrap();
    assert_eq!(event[2].as_str().unwrap().len(), 1000);
}
