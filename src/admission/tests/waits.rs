//! Waits: for what, and that they end early enough for what comes after them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

async fn answer_within(service: &Admission<Fake>, body: Bytes, time: Duration) -> Value {
    let answer = service.review("replace", body, Call::until(Instant::now() + time)).await.unwrap();
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
    let begun = Instant::now();
    assert_eq!(answer_within(&meets, body, short).await["status"]["code"], 429);
    assert!(begun.elapsed() + left <= short, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_just_being_started_is_not_replaced_before_its_pods_are_counted() {
    let mut starting = job("a:1");
    starting["status"] = json!({});
    for in_time in [true, false] {
        let stored = starting.clone();
        let fake = Arc::new(Fake::new(move |name, nth| {
            let mut stored = stored.clone();
            if in_time && nth == 3 {
                stored["metadata"]["resourceVersion"] = json!("8");
            }
            (name == "get").then_some((Duration::ZERO, Ok(stored)))
        }));
        let (service, metrics) = service(Some(Arc::clone(&fake)));
        let begun = tokio::time::Instant::now();
        let answer = answer(&service, review(&starting, &job("a:2"), false)).await;
        assert_eq!(answer["allowed"], true);
        assert_eq!(fake.count("delete"), usize::from(!in_time), "{:?}", fake.names());
        assert_eq!(counted(&metrics, "reason=\"stale_view\""), in_time);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// A PUT that was told to wait comes back with the revision it has seen, and meets a Job whose
/// controller is at work: the API server must not take it for a conflict.
#[tokio::test(start_paused = true)]
async fn a_put_that_waited_is_no_conflict_when_its_job_changes_once_more() {
    let ready = |revision: &str, status: Value| {
        let mut job = job("a:1");
        job["metadata"]["resourceVersion"] = json!(revision);
        job["status"] = status;
        job
    };
    let fake = Arc::new(Fake::new(move |name, _| {
        (name == "get").then(|| (Duration::ZERO, Ok(ready("9", json!({ "succeeded": 1 })))))
    }));
    let (service, metrics) = service(Some(Arc::clone(&fake)));
    let put = job("a:2");
    let running = ready("7", json!({ "active": 1, "ready": 1 }));
    let told = answer(&service, review(&running, &put, false)).await;
    assert_eq!(told["status"]["code"], 429, "{told}");
    let between = ready("8", json!({ "active": 0, "ready": 0 }));
    let told = answer(&service, review(&between, &put, false)).await;
    assert!(counted(&metrics, "reason=\"stale_view\""), "{told}");
    assert_eq!(patched(&told, &put)["metadata"]["resourceVersion"], "8");
    assert_eq!(fake.count("delete"), 0);
}

/// The Pods of a Job that works.
fn running() -> Value {
    json!([{
        "metadata": { "ownerReferences": [{ "uid": "old" }] },
        "status": { "phase": "Running", "containerStatuses": [{ "state": { "running": {} } }] }
    }])
}

/// The status of the Job does not tell as soon as a container runs.
#[tokio::test(start_paused = true)]
async fn a_job_that_begins_to_work_during_the_checks_is_not_deleted() {
    for second in [Ok(running()), Err(error(403, "Forbidden", "no"))] {
        let second = second.clone();
        let fake = Arc::new(Fake::new(move |name, nth| {
            (name == "pods" && nth > 0).then(|| (Duration::ZERO, second.clone()))
        }));
        let (service, _) = service(Some(Arc::clone(&fake)));
        let told = answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
        assert_eq!(told["status"]["code"], 429, "{told}");
        assert_eq!(fake.count("delete"), 0, "{:?}", fake.names());
    }
    let fake = Arc::new(Fake::new(|_, _| None));
    let (service, _) = service(Some(Arc::clone(&fake)));
    answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
    assert_eq!((fake.count("pods"), fake.count("delete")), (2, 1), "{:?}", fake.names());
}

/// A Job whose first Pods are never counted, and a cluster that has it until it is deleted.
fn being_started() -> (Value, Arc<Fake>) {
    let mut starting = job("a:1");
    starting["status"] = json!({});
    (starting.clone(), until_deleted(starting))
}

/// A cluster with that Job, and another one of the name as soon as it is deleted.
fn until_deleted(job: Value) -> Arc<Fake> {
    let deleted = AtomicBool::new(false);
    Arc::new(Fake::new(move |name, _| {
        deleted.fetch_or(name == "delete", Ordering::Relaxed);
        let mut stored = job.clone();
        if deleted.load(Ordering::Relaxed) {
            stored["metadata"]["uid"] = json!("new");
        }
        (name == "get").then_some((Duration::ZERO, Ok(stored)))
    }))
}

/// A Job that was just being started: nothing is counted, so its Pods were looked at after the wait.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_being_started_is_looked_at_again_as_well() {
    let (starting, fake) = being_started();
    let (service, _) = service(Some(Arc::clone(&fake)));
    answer(&service, review(&starting, &job("a:2"), false)).await;
    assert_eq!((fake.count("pods"), fake.count("delete")), (2, 1), "{:?}", fake.names());
}

/// After the wait its container begins to run, or the second look fails: the status says nothing yet.
#[tokio::test(start_paused = true)]
async fn a_job_that_begins_to_work_after_the_wait_is_not_deleted() {
    for second in [Ok(running()), Err(error(503, "ServiceUnavailable", "no"))] {
        let (starting, _) = being_started();
        let stored = starting.clone();
        let fake = Arc::new(Fake::new(move |name, nth| match name {
            "get" => Some((Duration::ZERO, Ok(stored.clone()))),
            "pods" if nth > 0 => Some((Duration::ZERO, second.clone())),
            _ => None,
        }));
        let (service, _) = service(Some(Arc::clone(&fake)));
        let told = answer(&service, review(&starting, &job("a:2"), false)).await;
        assert_eq!(told["status"]["code"], 429, "{told}");
        assert_eq!(fake.count("delete"), 0, "{:?}", fake.names());
    }
}

/// A status without Pods says nothing of several, so they are looked at before the wait as well.
#[tokio::test(start_paused = true)]
async fn a_job_of_several_pods_is_looked_at_and_waited_for() {
    let (mut starting, _) = being_started();
    starting["spec"]["parallelism"] = json!(3);
    let fake = until_deleted(starting.clone());
    let (service, _) = service(Some(Arc::clone(&fake)));
    let mut object = starting.clone();
    object["spec"]["template"] = job("a:2")["spec"]["template"].clone();
    answer(&service, review(&starting, &object, false)).await;
    assert_eq!((fake.count("pods"), fake.count("delete")), (3, 1), "{:?}", fake.names());
    let names = fake.names();
    let first = |call: &str| names.iter().position(|name| name == call);
    assert!(first("pods") < first("get"), "{names:?}");
}

/// Else the one that has waited for many others' Jobs to start loses the race for the next one too.
#[tokio::test(start_paused = true)]
async fn those_that_wait_for_a_start_do_so_in_turn() {
    let (starting, fake) = being_started();
    let (service, _) = service(Some(Arc::clone(&fake)));
    let (first, second) = (job("a:2"), job("a:3"));
    let looks_of_first = async {
        let told = answer(&service, review(&starting, &first, false)).await;
        assert_eq!(told["auditAnnotations"]["reason"], "replaced");
        fake.count("get")
    };
    let told = answer(&service, review(&starting, &second, false));
    let (looks, told) = tokio::join!(looks_of_first, told);
    assert_eq!(fake.count("get"), looks + 1, "the second one only looks whether the Job is back");
    assert_eq!(told["auditAnnotations"], Value::Null, "a stale view");
    assert_eq!(fake.count("delete"), 1);
}

/// A Job that this replica has deleted is back after etcd was restored from a snapshot.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_deleted_and_is_stored_again_is_replaced_again() {
    for (stored, deleted) in [("old", 2), ("new", 1)] {
        let fake = Arc::new(Fake::new(move |name, _| {
            let mut job = job("a:1");
            job["metadata"]["uid"] = json!(stored);
            (name == "get").then_some((Duration::ZERO, Ok(job)))
        }));
        let (service, _) = service(Some(Arc::clone(&fake)));
        for _ in 0..2 {
            answer(&service, review(&job("a:1"), &job("a:2"), false)).await;
        }
        assert_eq!(fake.count("delete"), deleted, "{:?}", fake.names());
    }
}

/// Somebody else has written it meanwhile: the API server is to answer 409, and nothing is deleted.
#[tokio::test(start_paused = true)]
async fn a_put_that_waited_is_a_conflict_when_somebody_has_changed_the_job() {
    let fake = Arc::new(Fake::new(|_, _| None));
    let (service, metrics) = service(Some(Arc::clone(&fake)));
    let put = job("a:2");
    let mut stored = job("a:1");
    stored["status"] = json!({ "active": 1, "ready": 1 });
    assert_eq!(answer(&service, review(&stored, &put, false)).await["status"]["code"], 429);
    stored["metadata"]["resourceVersion"] = json!("8");
    stored["metadata"]["labels"] = json!({ "touched": "yes" });
    stored["status"] = json!({ "active": 0, "ready": 0, "failed": 1 });
    let told = answer(&service, review(&stored, &put, false)).await;
    assert!(counted(&metrics, "reason=\"stale_view\""), "{told}");
    assert_eq!(patched(&told, &put)["metadata"]["resourceVersion"], "7", "it conflicts");
    assert_eq!(fake.count("delete"), 0);
}
