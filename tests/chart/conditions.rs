//! The CEL conditions of who is left alone, on a real API server.
//!
//! The webhook's address answers nobody and its failurePolicy is Fail: a request for which the API
//! server calls rejob fails with a message that says so, every other one succeeds.

use serde_json::{Value, json};

use super::render::{minor, objects, of_kind, template_with, the};
use support::helm::Helm;
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::user::{Answer, User};
use support::wait;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// The rendered webhook configuration, in effect for one namespace.
pub struct Called<'p> {
    plane: &'p ControlPlane,
    namespace: Namespace,
    /// The name of its policy.
    pub policy: String,
    created: Vec<String>,
}

impl<'p> Called<'p> {
    /// Renders the chart with one policy and puts its admission objects in effect.
    pub fn with(plane: &'p ControlPlane, policy: &str, values: &Value) -> Self {
        let name = format!("p-{}", plane::unique());
        let namespace = plane.namespace("conditions", &[("rejob.dev/policy", &name)]);
        let mut all = json!({
            "fullnameOverride": &name,
            "policies": { "replace": null, "hash-name": null, "ttl": null },
            "certificates": { "mode": "provided", "provided": { "secretName": "none" } },
            "webhook": {
                "url": "https://127.0.0.1:1", "failurePolicy": "Fail", "acceptUnauthenticated": true,
            },
            "rbac": { "namespaces": [namespace.name()] },
            "serviceAccount": { "name": "rejob" },
        });
        all["policies"][&name] = serde_saphyr::from_str(policy).expect("a policy");
        for (key, value) in values.as_object().expect("values") {
            all[key] = value.clone();
        }
        let rendered = template_with(Helm::V4_3, &[], &all.to_string()).ok();
        let objects = objects(&rendered.stdout);
        let mut created = Vec::new();
        let mut create = |resource: &str, object: &Value| {
            let path = format!("{ADMISSION}/{resource}");
            plane.admin().post(&path, object).ok();
            created
                .push(format!("{path}/{}", object["metadata"]["name"].as_str().expect("a name")));
        };
        create("mutatingwebhookconfigurations", the(&objects, "MutatingWebhookConfiguration"));
        for policy in of_kind(&objects, "MutatingAdmissionPolicy") {
            create("mutatingadmissionpolicies", policy);
        }
        for binding in of_kind(&objects, "MutatingAdmissionPolicyBinding") {
            create("mutatingadmissionpolicybindings", binding);
        }
        Self { plane, namespace, policy: name, created }
    }

    pub fn wait_until_in_effect(&self, job: &Value) {
        wait::until("the API server takes notice of the webhook configuration", || {
            self.create(&self.plane.admin(), job).then_some(())
        });
    }

    /// Whether the API server calls rejob when that user creates that Job.
    pub fn create(&self, user: &User, job: &Value) -> bool {
        called(&user.post(&format!("{}?dryRun=All", self.namespace.jobs_path()), job))
    }

    /// Stores a Job without rejob's being asked.
    fn store(&self, job: &Value) -> String {
        let answer = self.controller_manager().post(&self.namespace.jobs_path(), job).ok();
        answer["metadata"]["name"].as_str().expect("a name").to_owned()
    }

    /// Whether the API server calls rejob when the admin patches that Job.
    fn patch(&self, name: &str, patch: &Value) -> bool {
        let url = format!("{}?dryRun=All", self.namespace.job_path(name));
        called(&self.plane.admin().patch("merge", &url, patch))
    }

    fn controller_manager(&self) -> User {
        self.plane.user("system:kube-controller-manager", Some("system:masters"))
    }
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        for path in &self.created {
            let _ = self.plane.admin().send("DELETE", path, "application/json", "{}".to_owned());
        }
    }
}

#[track_caller]
fn called(answer: &Answer) -> bool {
    if (200..300).contains(&answer.status) {
        return false;
    }
    let refused = answer.message().contains("failed calling webhook");
    assert!(refused && answer.status == 500, "{} {}", answer.status, answer.body);
    true
}

fn job(metadata: &Value, spec: &Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "generateName": "job-" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "a", "image": "a" }],
        }}},
    });
    for (part, from) in [("metadata", metadata), ("spec", spec)] {
        for (key, value) in from.as_object().expect("an object") {
            job[part][key] = value.clone();
        }
    }
    job
}

pub fn plain() -> Value {
    job(&json!({}), &json!({}))
}

fn annotated(key: &str, value: &str) -> Value {
    json!({ "annotations": { key: value } })
}

/// Jobs that are left alone for what they carry, each with a near miss that is not.
fn left_alone(minor: u32) -> Vec<(&'static str, Value, Value)> {
    let owner = |controller: Value| {
        json!({ "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": controller,
        }]})
    };
    let carries = |metadata: Value| job(&metadata, &json!({}));
    let managed = |by: &str| job(&json!({}), &json!({ "managedBy": by }));
    let mut all = vec![
        ("a controller", carries(owner(json!(true))), carries(owner(json!(false)))),
        (
            "a Helm hook",
            carries(annotated("helm.sh/hook", "pre-install")),
            carries(annotated("helm.sh/hooks", "x")),
        ),
        (
            "an Argo CD hook",
            carries(annotated("argocd.argoproj.io/hook", "Sync")),
            carries(annotated("argocd.argoproj.io/sync-wave", "1")),
        ),
        (
            "skip",
            carries(annotated("rejob.dev/skip", "true")),
            carries(annotated("rejob.dev/skip", "false")),
        ),
    ];
    // Before 1.32 the field is behind a gate, and dropped.
    if minor >= 32 {
        all.push((
            "managedBy",
            managed("example.com/elsewhere"),
            managed("kubernetes.io/job-controller"),
        ));
    }
    all
}

#[test]
fn jobs_of_others_reach_rejob_only_when_they_carry_a_dormant_mark() {
    let plane = ControlPlane::shared();
    let rejob = Called::with(&plane, "{}", &json!({}));
    let admin = plane.admin();
    rejob.wait_until_in_effect(&plain());
    for (what, left_alone, near_miss) in left_alone(minor()) {
        assert!(!rejob.create(&admin, &left_alone), "{what} is called");
        assert!(rejob.create(&admin, &near_miss), "nearly {what} is not called");
        for kind in ["labels", "annotations"] {
            let mut forged = left_alone.clone();
            forged["metadata"][kind]["rejob.dev/dormant"] = json!("x");
            assert!(
                rejob.create(&admin, &forged),
                "{what} with a dormant mark in {kind} is not called"
            );
        }
    }
}

#[test]
fn requests_of_the_control_plane_and_of_rejob_itself_are_left_alone() {
    let plane = ControlPlane::shared();
    let rejob = Called::with(&plane, "{}", &json!({}));
    rejob.wait_until_in_effect(&plain());
    for (user, asked) in [
        ("system:kube-controller-manager", false),
        ("system:apiserver", false),
        ("system:serviceaccount:rejob:rejob", false),
        ("system:serviceaccount:kube-system:job-controller", false),
        ("system:serviceaccount:kube-system:ttl-after-finished-controller", false),
        ("system:serviceaccount:kube-system:generic-garbage-collector", false),
        ("system:serviceaccount:kube-system:cronjob-controller", false),
        // k3s deploys Helm charts from kube-system.
        ("system:serviceaccount:kube-system:helm-traefik", true),
        ("system:serviceaccount:rejob:default", true),
        ("jane", true),
    ] {
        let user = plane.user(user, Some("system:masters"));
        assert_eq!(rejob.create(&user, &plain()), asked, "{}", user.name());
    }
}

#[test]
fn a_change_that_begins_or_ends_the_leave_is_asked_about() {
    let plane = ControlPlane::shared();
    let rejob = Called::with(&plane, "{}", &json!({}));
    rejob.wait_until_in_effect(&plain());
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    let skip = |value: Value| json!({ "metadata": { "annotations": { "rejob.dev/skip": value } } });
    let dormant =
        |value: Value| json!({ "metadata": { "labels": { "rejob.dev/dormant": value } } });

    let stored = rejob.store(&plain());
    assert!(rejob.patch(&stored, &label));
    assert!(rejob.patch(&stored, &skip(json!("true"))));
    let status = format!("{}/status?dryRun=All", rejob.namespace.job_path(&stored));
    let patch = json!({ "status": { "conditions": null } });
    assert!(
        !called(&plane.admin().patch("merge", &status, &patch)),
        "a subresource is asked about"
    );

    let skipped = rejob.store(&job(&annotated("rejob.dev/skip", "true"), &json!({})));
    assert!(!rejob.patch(&skipped, &label));
    assert!(rejob.patch(&skipped, &skip(Value::Null)));
    assert!(rejob.patch(&skipped, &dormant(json!("x"))));

    for (key, value) in [("helm.sh/hook", "pre-install"), ("argocd.argoproj.io/hook", "Sync")] {
        let hook = rejob.store(&job(&annotated(key, value), &json!({})));
        assert!(rejob.patch(&hook, &label), "an update of a Job with {key} is not asked about");
        let rerun = json!({ "metadata": { "annotations": { "rejob.dev/rerun": "1" } } });
        assert!(rejob.patch(&hook, &rerun), "nor a rerun of it");
    }

    let mut forged = job(&annotated("rejob.dev/skip", "true"), &json!({}));
    forged["metadata"]["labels"] = json!({ "rejob.dev/dormant": "x" });
    let forged = rejob.store(&forged);
    assert!(rejob.patch(&forged, &dormant(Value::Null)));
}

#[test]
fn without_rejob_a_rerun_is_refused_and_everything_else_is_plain_kubernetes() {
    let plane = ControlPlane::shared();
    // As by default; nothing listens there.
    let values = json!({ "webhook": { "url": "https://127.0.0.1:1", "acceptUnauthenticated": true, "failurePolicy": "Ignore" } });
    let rejob = Called::with(&plane, "{}", &values);
    let rerun =
        |value: Value| json!({ "metadata": { "annotations": { "rejob.dev/rerun": value } } });
    let stored = rejob.store(&job(&annotated("rejob.dev/rerun", "1"), &json!({})));
    let bare = rejob.store(&plain());
    wait::until("the API server has taken notice", || {
        rejob.patch(&stored, &rerun(json!("2"))).then_some(())
    });
    assert!(rejob.patch(&bare, &rerun(json!("1"))));
    assert!(!rejob.patch(&stored, &rerun(json!("1"))));
    assert!(!rejob.patch(&stored, &rerun(Value::Null)));
    assert!(!rejob.patch(&stored, &json!({ "metadata": { "labels": { "a": "b" } } })));
    assert!(!rejob.patch(&bare, &json!({ "metadata": { "annotations": { "a": "b" } } })));
    assert!(!rejob.create(&plane.admin(), &job(&annotated("rejob.dev/rerun", "1"), &json!({}))));
    // Who is left alone is so here as well.
    let mut skipped = job(&annotated("rejob.dev/skip", "true"), &json!({}));
    skipped["metadata"]["annotations"]["rejob.dev/rerun"] = json!("1");
    let skipped = rejob.store(&skipped);
    assert!(!rejob.patch(&skipped, &rerun(json!("2"))));
}

#[test]
fn a_job_that_is_being_deleted_is_still_asked_about() {
    let plane = ControlPlane::shared();
    let rejob = Called::with(&plane, "{}", &json!({}));
    rejob.wait_until_in_effect(&plain());
    let held = job(&json!({ "finalizers": ["example.com/hold"] }), &json!({}));
    let held = rejob.store(&held);
    let path = rejob.namespace.job_path(&held);
    plane.admin().delete(&path, &json!({ "propagationPolicy": "Background" })).ok();
    assert!(rejob.namespace.job(&held).unwrap()["metadata"]["deletionTimestamp"].is_string());
    assert!(rejob.patch(&held, &json!({ "metadata": { "labels": { "a": "b" } } })));
    let release = json!({ "metadata": { "finalizers": null } });
    rejob.controller_manager().patch("merge", &path, &release).ok();
}

#[test]
fn other_namespaces_are_not_asked_about() {
    let plane = ControlPlane::shared();
    let rejob = Called::with(&plane, "{}", &json!({}));
    rejob.wait_until_in_effect(&plain());
    for labels in [
        vec![],
        vec![("rejob.dev/policy", "another")],
        vec![("rejob.dev/policy", rejob.policy.as_str())],
    ] {
        // The last one has the label, but is not in rbac.namespaces.
        let other = plane.namespace("other", &labels);
        let answer = plane.admin().post(&format!("{}?dryRun=All", other.jobs_path()), &plain());
        assert!(!called(&answer), "{labels:?}");
    }
}

#[test]
fn the_users_own_conditions_and_ignored_users_count_as_well() {
    let plane = ControlPlane::shared();
    let values = json!({ "webhook": {
        "url": "https://127.0.0.1:1", "failurePolicy": "Fail", "acceptUnauthenticated": true,
        "matchConditions": [{ "name": "mine", "expression": "object.metadata.name != 'no'" }],
        "ignoredUsers": ["bot@example.com"],
    }});
    let rejob = Called::with(&plane, "{}", &values);
    let named = |name: &str| job(&json!({ "name": name }), &json!({}));
    rejob.wait_until_in_effect(&named("yes"));
    assert!(!rejob.create(&plane.admin(), &named("no")));
    let bot = plane.user("bot@example.com", Some("system:masters"));
    assert!(!rejob.create(&bot, &named("yes")));
    // Success about a dormant Job would be one about a Job that does not run.
    let mut dormant = job(&annotated("rejob.dev/dormant", "{\"parallelism\":1}"), &json!({}));
    dormant["metadata"]["labels"] = json!({ "rejob.dev/dormant": "true" });
    dormant["spec"]["parallelism"] = json!(0);
    let url = format!("{}?dryRun=All", rejob.namespace.job_path(&rejob.store(&dormant)));
    assert!(called(&bot.patch("merge", &url, &json!({ "metadata": { "labels": { "a": "b" } } }))));
}

#[test]
fn a_native_ttl_is_set_without_a_call() {
    let plane = ControlPlane::shared();
    if minor() < 36 {
        // The API is not served: refusals.rs holds that the chart says so.
        return;
    }
    let policy = "{onChange: Ignore, ttlSecondsAfterFinished: 2147483647}";
    let rejob = Called::with(&plane, policy, &json!({ "nativeTTL": { "enabled": true } }));
    let path = format!("{}?dryRun=All", rejob.namespace.jobs_path());
    let ttl = |job: &Value| {
        let answer = plane.admin().post(&path, job);
        assert!(!called(&answer), "rejob is called");
        answer.body["spec"].get("ttlSecondsAfterFinished").cloned()
    };
    wait::until("the policy is in effect", || {
        let answer = plane.admin().post(&path, &plain());
        (answer.body["spec"]["ttlSecondsAfterFinished"] == 2_147_483_647).then_some(())
    });
    // The webhook configuration is in effect as well: it is called where an annotation speaks.
    let annotated_job =
        |value| job(&annotated("rejob.dev/ttl-seconds-after-finished", value), &json!({}));
    rejob.wait_until_in_effect(&annotated_job("5"));
    assert_eq!(ttl(&plain()), Some(json!(2_147_483_647)));
    assert_eq!(ttl(&job(&json!({}), &json!({ "ttlSecondsAfterFinished": 7 }))), Some(json!(7)));
    let hook = job(&annotated("helm.sh/hook", "pre-install"), &json!({}));
    assert_eq!(ttl(&hook), None);
    for key in ["argocd.argoproj.io/tracking-id", "objectset.rio.cattle.io/id"] {
        assert_eq!(ttl(&job(&annotated(key, "x"), &json!({}))), None, "{key}");
    }
    for key in [
        "argocd.argoproj.io/instance",
        "kustomize.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/name",
        "objectset.rio.cattle.io/hash",
    ] {
        assert_eq!(ttl(&job(&json!({ "labels": { key: "x" } }), &json!({}))), None, "{key}");
    }
    for (manager, given) in [
        ("argocd-controller", false),
        ("argocd-application-controller", false),
        ("kustomize-controller", false),
        ("helm-controller", false),
        ("fleetagent", false),
        ("helm", true),
    ] {
        let created = plane.admin().post(&format!("{path}&fieldManager={manager}"), &plain());
        let named = rejob.namespace.job_path(&format!("by-{manager}"));
        let mut apply = job(&json!({ "name": format!("by-{manager}") }), &json!({}));
        apply["metadata"].as_object_mut().unwrap().remove("generateName");
        let url = format!("{named}?dryRun=All&fieldManager={manager}");
        let applied = plane.admin().apply(&url, &apply);
        for answer in [created, applied] {
            let ttl = answer.ok()["spec"].get("ttlSecondsAfterFinished").is_some();
            assert_eq!(ttl, given, "{manager}");
        }
    }
}
