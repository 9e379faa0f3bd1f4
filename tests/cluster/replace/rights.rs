//! What must be refused is refused before anything is deleted, naming the reason; and nobody gets
//! a Job deleted or started who could not do so without rejob.

use serde_json::{Value, json};

use support::manifest::{image, job};
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::user::Answer;
use support::wait;

use super::deploy::{JOB, Place, uid_of};

/// A place with the Job, started.
pub(super) fn deployed(namespace: Namespace) -> Place {
    let place = Place::new(namespace);
    place.namespace.create_job(&job(JOB, "app:1")).ok();
    place.namespace.started_pods(JOB);
    place
}

/// Everything of the Job but its status and what the Job controller writes.
fn stable(job: &Value) -> Value {
    let mut job = job.clone();
    for field in ["resourceVersion", "managedFields"] {
        job["metadata"].as_object_mut().unwrap().remove(field);
    }
    job.as_object_mut().unwrap().remove("status");
    job
}

/// Asks for another image by a merge patch and by a server-side apply, and checks that both are
/// refused with that status and these words, and change nothing.
#[track_caller]
pub(super) fn assert_refused(place: &Place, as_seen_by: &Namespace, status: u16, words: &[&str]) {
    let before = stable(&place.job());
    for answer in [patch(as_seen_by, "app:2"), apply(as_seen_by, "app:2")] {
        assert_eq!(answer.status, status, "{}", answer.body);
        for word in words {
            assert!(answer.message().contains(word), "{word:?} is not in {}", answer.message());
        }
        // Flux takes this word for leave to delete the Job.
        assert!(!answer.message().contains("immutable"), "{}", answer.message());
    }
    assert_eq!(stable(&place.job()), before);
}

fn path(namespace: &Namespace, query: &str) -> String {
    format!("{}?fieldManager=test{query}", namespace.job_path(JOB))
}

fn patch(namespace: &Namespace, image: &str) -> Answer {
    let containers = json!([{ "name": "app", "image": image }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    namespace.user().patch("strategic-merge", &path(namespace, ""), &change)
}

fn apply(namespace: &Namespace, image: &str) -> Answer {
    namespace.user().apply(&path(namespace, "&force=true"), &job(JOB, image))
}

#[test]
fn who_may_not_delete_or_not_create_is_told_so() {
    who_may_not(false);
}

#[test]
fn who_may_not_is_told_the_same_by_checks_in_the_users_name() {
    who_may_not(true);
}

fn who_may_not(check_as_user: bool) {
    let plane = ControlPlane::shared();
    let rejob = Rejob::start(&plane, &Options { check_as_user, ..Options::default() });
    for (verbs, missing) in [
        (&["get", "patch", "create"], "may not delete jobs"),
        (&["get", "patch", "delete"], "may not create jobs"),
    ] {
        let place = deployed(rejob.namespace("replace"));
        let patcher = place.namespace.seen_with_rights(&plane, &[("batch", "jobs", verbs)]);
        let user = format!("{:?}", patcher.user().name());
        assert_refused(&place, &patcher, 403, &[missing, &user, place.namespace.name()]);
    }
}

#[test]
fn a_patch_only_user_gets_no_job_deleted_by_marking_it_dormant() {
    let plane = ControlPlane::shared();
    let env = vec![("REJOB_REAPER_INTERVAL", "1s"), ("REJOB_REAPER_GRACE", "0s")];
    let rejob = Rejob::start(&plane, &Options { env, ..Options::default() });
    let marks = json!({
        "metadata": {
            "labels": { "rejob.dev/dormant": "true" },
            "annotations": { "rejob.dev/dormant": json!({
                "parallelism": 1, "uid": "u", "resourceVersion": "1", "user": "admin",
                "manager": "test",
            }).to_string() },
        },
        "spec": { "parallelism": 0 },
    });
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(&job(JOB, "app:1")).ok();
    let uid = place.uid();
    let patcher = place.namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "patch"])]);
    patcher.user().patch("merge", &path(&patcher, ""), &marks).ok();
    super::deploy::assert_unmarked(&place.job());
    // Marked before anybody looked after it, in a namespace that opts in later: the reaper does
    // its work, so that the other Job's survival says something.
    let marked = Place::new(rejob.unlabeled_namespace());
    let mut dormant = job(JOB, "app:1");
    dormant["metadata"]["labels"] = marks["metadata"]["labels"].clone();
    dormant["metadata"]["annotations"] = marks["metadata"]["annotations"].clone();
    dormant["spec"]["parallelism"] = json!(0);
    marked.namespace.create_job(&dormant).ok();
    let opt_in = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
    let namespace = format!("/api/v1/namespaces/{}", marked.namespace.name());
    plane.admin().patch("merge", &namespace, &opt_in).ok();
    wait::until("the reaper deletes", || marked.namespace.job(JOB).is_none().then_some(()));
    assert_eq!(place.uid(), uid);
}

#[test]
fn finalizers_are_named() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let mut held = job(JOB, "app:1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    place.namespace.create_job(&held).ok();
    place.namespace.started_pods(JOB);
    assert_refused(&place, &place.namespace, 403, &["example.com/hold"]);
    // Not even when the same request takes it off: the deletion comes before the write.
    let mut release = job(JOB, "app:2");
    release["metadata"]["finalizers"] = json!(null);
    let answer = place.namespace.user().patch("merge", &path(&place.namespace, ""), &release);
    assert_eq!(answer.status, 403, "{}", answer.body);
    let release = json!({ "metadata": { "finalizers": null } });
    place.namespace.user().patch("merge", &path(&place.namespace, ""), &release).ok();
    patch(&place.namespace, "app:2").ok();
    place.assert_runs("app:2");
}

#[test]
fn a_job_that_is_being_deleted_is_waited_for_or_refused() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (while_running, status) in [("Wait", 429), ("Deny", 403), ("Replace", 403)] {
        let place = Place::new(rejob.namespace("replace"));
        let mut held = job(JOB, "app:1");
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        held["metadata"]["annotations"] = json!({ "rejob.dev/while-running": while_running });
        place.namespace.create_job(&held).ok();
        place.namespace.started_pods(JOB);
        let user = place.namespace.user();
        let background = json!({ "propagationPolicy": "Background" });
        user.delete(&place.namespace.job_path(JOB), &background).ok();
        assert_refused(&place, &place.namespace, status, &["is being deleted"]);
        if status == 429 {
            assert!(patch(&place.namespace, "app:2").retry_after.is_some());
        }
        let release = json!({ "metadata": { "finalizers": null } });
        user.patch("merge", &path(&place.namespace, ""), &release).ok();
        wait::until("the Job is gone", || place.namespace.job(JOB).is_none().then_some(()));
        apply(&place.namespace, "app:2").ok();
        place.assert_runs("app:2");
    }
}

#[test]
fn a_full_quota_refuses_before_anything_is_deleted() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let admin = plane.admin();
    let quotas = format!("/api/v1/namespaces/{}/resourcequotas", namespace.name());
    let quota = |jobs: &str| {
        json!({
            "metadata": { "name": "jobs" }, "spec": { "hard": { "count/jobs.batch": jobs } },
        })
    };
    // There is no quota controller here: the test does what it would.
    let set = |jobs: &str, used: &str| {
        let path = format!("{quotas}/jobs");
        admin.patch("merge", &path, &quota(jobs)).ok();
        let hard = json!({ "count/jobs.batch": jobs });
        let status = json!({ "status": { "hard": hard, "used": { "count/jobs.batch": used } } });
        admin.patch("merge", &format!("{path}/status"), &status).ok();
    };
    admin.post(&quotas, &quota("2")).ok();
    set("2", "0");
    let place = deployed(namespace);
    set("1", "1");
    let dry_run = format!("{}?dryRun=All", place.namespace.jobs_path());
    let spare = |wanted| {
        wait::until("the API server knows of the quota", || {
            let answer = admin.post(&dry_run, &job("probe", "app:1"));
            (answer.status == wanted).then_some(())
        });
    };
    spare(403);
    assert_refused(&place, &place.namespace, 403, &["exceeded quota"]);
    // One spare is enough.
    set("2", "1");
    spare(201);
    patch(&place.namespace, "app:2").ok();
    place.assert_runs("app:2");
}

#[test]
fn a_template_that_the_api_server_refuses_is_refused_with_its_words() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = deployed(rejob.namespace("replace"));
    let before = stable(&place.job());
    for (change, words) in [
        (json!({ "restartPolicy": "Always" }), "restartPolicy"),
        (json!({ "containers": [{ "name": "app" }] }), "image: Required value"),
        (json!({ "containers": [{ "name": "App", "image": "app:2" }] }), "containers[0].name"),
    ] {
        let change = json!({ "spec": { "template": { "spec": change } } });
        let user = place.namespace.user();
        let answer = user.patch("merge", &path(&place.namespace, ""), &change);
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.message().contains(words), "{}", answer.message());
        assert_eq!(stable(&place.job()), before);
    }
}

/// A review as the API server would send it for a change of the stored Job's image, by the admin.
pub(super) fn forged(stored: &Value, image: &str) -> Value {
    let mut object = stored.clone();
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    let kind = json!({ "group": "batch", "version": "v1", "kind": "Job" });
    let resource = json!({ "group": "batch", "version": "v1", "resource": "jobs" });
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "00000000-0000-0000-0000-000000000001",
            "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
            "name": JOB, "namespace": stored["metadata"]["namespace"], "operation": "UPDATE",
            "userInfo": { "username": "admin", "groups": ["system:masters"] },
            "object": object, "oldObject": stored, "dryRun": false,
            "options": {
                "apiVersion": "meta.k8s.io/v1", "kind": "PatchOptions", "fieldManager": "test",
            },
        },
    })
}

#[test]
fn a_forged_review_makes_at_most_a_job_that_never_starts_and_is_reaped() {
    let plane = ControlPlane::shared();
    let env = vec![("REJOB_REAPER_INTERVAL", "1s"), ("REJOB_REAPER_GRACE", "2s")];
    let rejob = Rejob::start(&plane, &Options { env, ..Options::default() });
    let place = deployed(rejob.namespace("replace"));
    let old = place.uid();
    // Until no write of the Job controller comes between reading the Job and forging.
    let made = wait::until("a forged review replaces the Job", || {
        let review = forged(&place.job(), "evil:1");
        let answer = rejob.outsider().post("/v1/policies/replace?timeout=10s", &review).ok();
        assert_eq!(answer["response"]["allowed"], true, "{answer}");
        place.namespace.job(JOB).filter(|job| uid_of(job) != old)
    });
    assert_eq!(image(&made), "evil:1");
    assert_eq!(made["spec"]["parallelism"], 0);
    // Nobody else starts it, not even whoever may patch everything.
    let patcher = place.namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "patch"])]);
    let wake = json!({ "spec": { "parallelism": 1 } });
    let answer = patcher.user().patch("merge", &path(&patcher, ""), &wake);
    assert!(matches!(answer.status, 404 | 429), "{} {}", answer.status, answer.body);
    wait::until("it is reaped", || place.namespace.job(JOB).is_none().then_some(()));
    place.assert_ran(1);
}

#[test]
fn a_namespace_that_lost_its_label_is_left_alone_whatever_the_review_says() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = deployed(rejob.unlabeled_namespace());
    let before = stable(&place.job());
    let review = forged(&place.job(), "evil:1");
    let answer = rejob.outsider().post("/v1/policies/replace?timeout=10s", &review).ok();
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("rejob.dev/policy"), "{message}");
    assert_eq!(stable(&place.job()), before);
}

#[test]
fn a_forged_review_about_another_revision_touches_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = deployed(rejob.namespace("replace"));
    let before = stable(&place.job());
    for (field, value) in
        [("uid", "00000000-0000-0000-0000-000000000009"), ("resourceVersion", "1")]
    {
        let mut stored = place.job();
        stored["metadata"][field] = json!(value);
        let review = forged(&stored, "evil:1");
        rejob.outsider().post("/v1/policies/replace?timeout=10s", &review).ok();
        assert_eq!(stable(&place.job()), before);
    }
}
