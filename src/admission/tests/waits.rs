//! Waits end early enough for what comes after them.

use super::*;

async fn answer_within(service: &Admission<Fake>, body: Bytes, time: Duration) -> Value {
    let answer = service.review("replace", body, Deadline::now() + time).await.unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["response"].take()
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_first_pods_leaves_time_for_the_replacement() {
    let mut starting = job("a:1");
    starting["status"] = json!({});
    for (time, looks) in [(1, Duration::ZERO), (2, Duration::ZERO), (2, NEVER), (8, NEVER)] {
        let stored = starting.clone();
        let fake = Arc::new(Fake::new(move |name, _| {
            (name == "get").then(|| (looks, Ok(stored.clone())))
        }));
        let (service, metrics) = service(Some(Arc::clone(&fake)));
        let body = review(&starting, &job("a:2"), false);
        let answer = answer_within(&service, body, Duration::from_secs(time)).await;
        assert!(counted(&metrics, "reason=\"replaced\""), "{time} s: {answer}");
        assert_eq!((fake.count("delete"), fake.count("create")), (1, 1), "{time} s");
    }
}

/// What the server answers in its stead at the deadline is a 504.
#[tokio::test(start_paused = true)]
async fn a_look_that_takes_too_long_does_not_take_the_time_of_the_answer() {
    let slow = || Fake::new(|name, _| (name == "get").then_some((NEVER, Ok(Value::Null))));
    let short = Duration::from_millis(400);
    let left = Duration::from_millis(150);

    let (meets, _, body, _) = meeting(slow());
    let begun = Deadline::now();
    assert_eq!(answer_within(&meets, body, short).await["status"]["code"], 429);
    assert!(begun.elapsed() + left <= short, "{:?}", begun.elapsed());

    let expects = apply(&Arc::new(slow())).await;
    let begun = Deadline::now();
    let creates = expected::creation("a:3");
    assert_eq!(answer_within(&expects, creates, short).await["allowed"], true);
    assert!(begun.elapsed() + left <= short, "{:?}", begun.elapsed());
    assert!(begun.elapsed() > left, "it waited: {:?}", begun.elapsed());
}
