//! A review that claims more of its sender than is true: what it made never starts, not even by a
//! request that he may make himself.

use serde_json::{Value, json};

use support::manifest::image;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{JOB, Place, uid_of};
use super::rights::{deployed, forged};

const MANAGER: &str = "kubectl-label";

/// As `kubectl label` sends it.
fn label(patcher: &Namespace, value: &str) -> u16 {
    let path = format!("{}?fieldManager={MANAGER}", patcher.job_path(JOB));
    let change = json!({ "metadata": { "labels": { "x": value } } });
    patcher.user().patch("merge", &path, &change).status
}

/// What the API server says of a user: by a SelfSubjectReview.
fn user_info(namespace: &Namespace) -> Value {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    namespace.user().post(path, &review).ok()["status"]["userInfo"].clone()
}

/// What a user with that information may claim to be, with the rights to delete and to create.
fn claims(info: &Value) -> Vec<(&'static str, Value)> {
    let claim = |groups: &[&str]| {
        let mut info = info.clone();
        info["groups"] = json!(groups);
        info
    };
    let (masters, all) = ("system:masters", "system:authenticated");
    let mut uid = claim(&[masters, all]);
    uid["uid"] = json!("4711");
    let mut extra = claim(&[masters, all]);
    extra["extra"] = json!({ "scopes": ["all"] });
    let mut bare = claim(&[masters]);
    bare.as_object_mut().unwrap().retain(|field, _| field == "username" || field == "groups");
    vec![
        ("the masters' group alone", bare),
        ("one group more", claim(&[all, masters])),
        ("the same in another order", claim(&[masters, all])),
        ("one group twice", claim(&[all, all, masters])),
        ("another uid", uid),
        ("other extras", extra),
    ]
}

#[test]
fn who_claims_a_group_in_a_forged_review_cannot_start_what_it_made() {
    let plane = ControlPlane::shared();
    let env = vec![("REJOB_REAPER_INTERVAL", "1s"), ("REJOB_REAPER_GRACE", "3s")];
    let rejob = Rejob::start(&plane, &Options { env, ..Options::default() });
    let rights: &[(&str, &str, &[&str])] = &[("batch", "jobs", &["get", "list", "patch"])];
    std::thread::scope(|scope| {
        for number in 0..claims(&json!({})).len() {
            let (plane, rejob) = (&plane, &rejob);
            scope.spawn(move || {
                let place = deployed(rejob.namespace("replace"));
                let patcher = place.namespace.seen_with_rights(plane, rights);
                let (what, claim) = claims(&user_info(&patcher)).swap_remove(number);
                forge_and_label(rejob, &place, &patcher, what, &claim);
            });
        }
    });
}

fn forge_and_label(
    rejob: &Rejob<'_>,
    place: &Place,
    patcher: &Namespace,
    what: &str,
    claim: &Value,
) {
    let old = place.uid();
    // Until no write of the Job controller comes between reading the Job and forging.
    let made = wait::until("a forged review replaces the Job", || {
        let mut review = forged(&place.job(), "evil:1");
        review["request"]["userInfo"] = claim.clone();
        review["request"]["options"]["fieldManager"] = json!(MANAGER);
        rejob.outsider().post("/v1/policies/replace?timeout=10s", &review).ok();
        place.namespace.job(JOB).filter(|job| uid_of(job) != old)
    });
    assert_eq!((image(&made), &made["spec"]["parallelism"]), ("evil:1", &json!(0)), "{what}");
    // Again and again until it is reaped: a change may make its way, but starts nothing.
    let mut number = 0;
    wait::until("it is reaped", || {
        number += 1;
        let status = label(patcher, &number.to_string());
        assert!(matches!(status, 200 | 403 | 404 | 409 | 429), "{what}: {status}");
        let Some(job) = place.namespace.job(JOB) else { return Some(()) };
        assert_eq!(job["spec"]["parallelism"], 0, "{what}: a label starts it");
        None
    });
    place.assert_ran(1);
}

/// What is true may be said in any order: who comes back for the Job that was made for him gets it.
#[test]
fn the_same_groups_in_another_order_are_the_same_user() {
    let plane = ControlPlane::shared();
    let mut rejob = Rejob::builtin(&plane);
    let place = deployed(rejob.namespace("replace"));
    let verbs = &["get", "patch", "create", "delete"];
    let user = place.namespace.seen_with_rights(&plane, &[("batch", "jobs", verbs)]);
    let change = json!({ "spec": { "template": { "spec": {
        "containers": [{ "name": "app", "image": "app:2" }],
    }}}});
    let name = format!("--as={}", user.user().name());
    let patch = |groups: [&str; 2]| {
        let [first, second] = groups.map(|group| format!("--as-group={group}"));
        let text = change.to_string();
        place.namespace.kubectl(&["patch", "job", JOB, "-p", &text, &name, &first, &second])
    };
    rejob.restart(&[("REJOB_FAIL_POINT", "after-create")]);
    patch(["a", "b"]).exited(1);
    rejob.wait_until_dead();
    assert_eq!(place.job()["spec"]["parallelism"], 0);
    rejob.restart(&[]);
    patch(["b", "a"]).ok();
    place.assert_runs("app:2");
    place.assert_ran(2);
}
