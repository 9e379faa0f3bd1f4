//! Places: who has one, for how long, and who does not wait at all.

use super::*;

/// A service with one place for each Job, and four for each namespace.
fn small(cluster: Fake) -> (Admission<Fake>, Arc<Fake>) {
    let (policies, cluster) = (PolicySet::builtin(), Arc::new(cluster));
    let own = Some(Arc::clone(&cluster));
    let service = Admission::new(&policies, own, Environment::default(), 16, Metrics::new());
    (service, cluster)
}

fn change(image: &str) -> Bytes {
    review(&job("a:1"), &job(image), false)
}

#[tokio::test(start_paused = true)]
async fn one_request_too_many_is_told_to_come_back_and_asks_the_cluster_nothing() {
    let (service, fake) = small(Fake::new(|name, _| {
        (name == "probe").then(|| (Duration::from_secs(1), Ok(Value::Null)))
    }));
    let second = async {
        let told = answer(&service, change("a:3")).await;
        (told, fake.count("probe"))
    };
    let (first, (told, probes)) = tokio::join!(answer(&service, change("a:2")), second);
    assert_eq!((&told["status"]["code"], probes), (&json!(429), 1), "{told}");
    assert_eq!(told["status"]["details"]["retryAfterSeconds"], 2);
    assert_eq!(told["auditAnnotations"]["reason"], "too_many_requests");
    assert_ne!(first["auditAnnotations"]["reason"], "too_many_requests", "{first}");

    let third = answer(&service, change("a:4")).await;
    assert_ne!(third["auditAnnotations"]["reason"], "too_many_requests", "{third}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_gives_its_place_back() {
    let (service, _) = small(Fake::new(|name, nth| {
        (name == "probe" && nth == 0).then_some((NEVER, Ok(Value::Null)))
    }));
    let dropped = tokio::time::timeout(Duration::from_secs(1), answer(&service, change("a:2")));
    assert!(dropped.await.is_err());
    let told = answer(&service, change("a:3")).await;
    assert_eq!(told["auditAnnotations"]["reason"], "replaced", "{told}");
}

#[tokio::test(start_paused = true)]
async fn who_meets_a_dormant_job_and_has_no_place_does_not_wait() {
    let mut dormant = job("a:1");
    dormant["status"] = json!({});
    make_dormant(&mut dormant, &recorded("bob", Some("kubectl")));
    let body = review(&dormant, &job("a:2"), false);
    let (service, _) =
        small(Fake::new(|name, _| (name == "get").then_some((NEVER, Ok(Value::Null)))));
    let second = async {
        let begun = Instant::now();
        let told = answer(&service, body.clone()).await;
        (told, begun.elapsed())
    };
    let (_, (told, took)) = tokio::join!(answer(&service, body.clone()), second);
    assert_eq!(told["auditAnnotations"]["reason"], "meets_dormant", "{told}");
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_a_namespace_that_does_not_opt_in() {
    let not =
        |name: &str, _: usize| (name == "opt-in").then_some((Duration::ZERO, Ok(Value::Null)));

    let (meets, fake, body, _) = meeting(Fake::new(not));
    let told = answer(&meets, body).await;
    assert_eq!((&told["status"]["code"], fake.count("get")), (&json!(429), 0), "{told}");

    let mut starting = job("a:1");
    starting["status"] = json!({});
    let fake = Arc::new(Fake::new(not));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let told = answer(&service, review(&starting, &job("a:2"), false)).await;
    assert_eq!(told["auditAnnotations"]["reason"], "not_opted_in", "{told}");
    assert_eq!(fake.count("get"), 0, "it did not wait for the start");

    // The second one does not wait for the lock of the first one, whose check takes its time.
    let slow_check = move |name: &str, nth: usize| match name {
        "can-delete" if nth == 0 => Some((Duration::from_secs(3), Ok(json!(true)))),
        name => not(name, nth),
    };
    let fake = Arc::new(Fake::new(slow_check));
    let (service, _) = self::service(Some(fake));
    let second = async {
        let begun = Instant::now();
        (answer(&service, change("a:3")).await, begun.elapsed())
    };
    let (_, (told, took)) = tokio::join!(answer(&service, change("a:2")), second);
    assert_eq!(told["auditAnnotations"]["reason"], "not_opted_in", "{told}");
    assert_eq!(took, Duration::ZERO);
}

/// The API server is to answer as without rejob.
#[tokio::test(start_paused = true)]
async fn a_report_is_made_without_a_place_and_refuses_nothing() {
    let (service, fake) = small(Fake::new(|name, _| {
        (name == "probe").then(|| (Duration::from_secs(1), Ok(Value::Null)))
    }));
    let mut reports = job("a:3");
    reports["metadata"]["annotations"] = json!({ "rejob.dev/on-change": "Report" });
    let second = async {
        let told = answer(&service, review(&job("a:1"), &reports, false)).await;
        (told, fake.count("probe"))
    };
    let (_, (told, probes)) = tokio::join!(answer(&service, change("a:2")), second);
    assert_eq!((&told["allowed"], probes), (&json!(true), 1), "{told}");
    assert_eq!(told["auditAnnotations"]["reason"], "reported", "{told}");
    let said = told["warnings"].to_string();
    assert!(said.contains("would not be replaced"), "{said}");
}
