//! An apply's new Job is the API server's to make: whose is the one that is there?

use super::*;
use crate::replace::ApiError;

/// A cluster in which there is no Job after an apply's deletion, until the `there`th look.
fn empty_until(there: usize) -> Arc<Fake> {
    Arc::new(Fake::new(move |name, nth| {
        let stored = if nth < there { Value::Null } else { job("a:2") };
        (name == "get").then_some((Duration::ZERO, Ok(stored)))
    }))
}

/// A cluster in which a deletion takes 100 ms, and no look finds a Job.
fn deletes_slowly(deletion: Result<Value, ApiError>) -> Arc<Fake> {
    Arc::new(Fake::new(move |name, _| match name {
        "delete" => Some((Duration::from_millis(100), deletion.clone())),
        "get" => Some((Duration::ZERO, Ok(Value::Null))),
        _ => None,
    }))
}

/// Whether the Job that is there then counts as the one that the apply of a:2 made.
async fn is_ones_own(service: &Admission<Fake>) -> bool {
    let stored = |image| {
        let mut job = recorded_as_created(job(image));
        job["metadata"]["uid"] = json!("there");
        job["metadata"]["managedFields"] = json!([apply_entry("kubectl")]);
        job
    };
    let repeated = answer(service, review(&stored("a:other"), &stored("a:2"), true)).await;
    repeated["auditAnnotations"]["reason"] == "restored"
}

#[tokio::test(start_paused = true)]
async fn another_ones_creation_waits_for_the_expected_job() {
    for (image, there, waits) in [
        ("a:2", usize::MAX, 0..=0),
        ("a:3", 4, 40..=60),
        // It may be the expected one itself, rewritten by a hook.
        ("a:3", usize::MAX, 450..=510),
    ] {
        let service = apply(&empty_until(there)).await;
        let begun = Instant::now();
        assert_eq!(answer(&service, creation(image)).await["allowed"], true);
        let waited = begun.elapsed().as_millis();
        assert!(waits.contains(&waited), "{image} {there}: {waited} ms");
    }
}

/// The deletion comes too late: another replica has replaced the Job.
#[tokio::test(start_paused = true)]
async fn nor_does_it_wait_when_none_is_expected_any_longer() {
    let fake = deletes_slowly(Err(error(409, "Conflict", "another revision")));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let [old, object] = applied("a:2");
    let late = answer(&service, review(&old, &object, false));
    let other = async {
        settled(&fake, "delete").await;
        let begun = Instant::now();
        answer(&service, creation("a:3")).await;
        begun.elapsed()
    };
    let (_, waited) = tokio::join!(late, other);
    assert!((50..=120).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_one_creation_makes_is_the_expected_job_as_a_hook_has_rewritten_it() {
    let service = apply(&empty_until(usize::MAX)).await;
    answer(&service, creation("a:other")).await;
    assert!(is_ones_own(&service).await);
}

/// Another replica has made the Job for somebody else: dormant at first, with the owners of the old
/// one.
#[tokio::test(start_paused = true)]
async fn what_no_creation_that_was_seen_here_makes_is_not_the_expected_job() {
    let service = apply(&empty_until(usize::MAX)).await;
    assert!(!is_ones_own(&service).await);
}

/// Another replica has made a Job for somebody else, who asked for the same as one that waits here.
#[tokio::test(start_paused = true)]
async fn what_is_there_before_a_creation_goes_on_is_not_of_its_making() {
    let service = apply(&empty_until(4)).await;
    answer(&service, creation("a:other")).await;
    assert!(!is_ones_own(&service).await);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_looked_for_may_have_been_there() {
    // No look is answered.
    let fails = |code| {
        Arc::new(Fake::new(move |name, _| {
            (name == "get").then(|| (Duration::ZERO, Err(error(code, "Whatever", "no luck"))))
        }))
    };
    for fake in [fails(500), fails(0)] {
        let service = apply(&fake).await;
        answer(&service, creation("a:other")).await;
        assert!(fake.count("get") > 0);
        assert!(!is_ones_own(&service).await);
    }
    // The last one hangs.
    let hangs = Arc::new(Fake::new(|name, nth| match (name, nth) {
        ("get", 0..3) => Some((Duration::ZERO, Ok(Value::Null))),
        ("get", _) => Some((NEVER, Ok(Value::Null))),
        _ => None,
    }));
    let service = apply(&hangs).await;
    answer(&service, creation("a:other")).await;
    assert!(!is_ones_own(&service).await);
    // There is no time to look.
    let service = apply(&empty_until(usize::MAX)).await;
    let soon = Instant::now() + Duration::from_millis(205);
    service.review("replace", creation("a:other"), soon).await.unwrap();
    assert!(!is_ones_own(&service).await);
}

#[tokio::test(start_paused = true)]
async fn of_several_creations_nobody_can_tell_which_one_made_the_job() {
    let service = apply(&empty_until(usize::MAX)).await;
    answer(&service, creation("a:other")).await;
    answer(&service, creation("a:3")).await;
    assert!(!is_ones_own(&service).await);
}

#[tokio::test(start_paused = true)]
async fn nor_when_the_same_manager_has_changed_it_meanwhile() {
    let fake = empty_until(usize::MAX);
    let service = apply(&fake).await;
    let [old, object] = applied("a:other");
    // A stale view: the Job is deleted already.
    assert_eq!(answer(&service, review(&old, &object, false)).await["allowed"], true);
    assert_eq!(fake.count("delete"), 1);
    assert!(!is_ones_own(&service).await);
}

#[tokio::test(start_paused = true)]
async fn the_job_is_expected_before_the_old_one_is_deleted() {
    let fake = deletes_slowly(Ok(Value::Null));
    let (service, _) = service(Some(Arc::clone(&fake)));
    let [old, object] = applied("a:2");
    let first = answer(&service, review(&old, &object, false));
    let others = async {
        settled(&fake, "delete").await;
        // Another client's, while the deletion is not answered.
        answer(&service, creation("a:other")).await;
        answer(&service, creation("a:3")).await;
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first["auditAnnotations"]["reason"], "replaced");
    assert!(!is_ones_own(&service).await);
}
