//! The reaper deletes dormant Jobs only where the webhook guards what makes one: elsewhere, anyone
//! who may patch a Job could have it deleted.

use serde_json::{Value, json};

use support::manifest::job;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::user::User;
use support::wait;

/// No other rejob on this control plane knows it: what goes, this one's reaper has deleted.
const POLICY: &str = "of-the-reaper";

/// A dormant Job, as a crash leaves it behind. (The namespaces here lack the label by which the API
/// server would call rejob, which would take its marks out.)
fn create_dormant(admin: &User, namespace: &str, name: &str) {
    let record = json!({
        "parallelism": 1, "uid": "u", "resourceVersion": "1", "user": "admin", "manager": "test",
    });
    let mut dormant = job(name, "app:1");
    dormant["metadata"]["labels"] = json!({ "rejob.dev/dormant": "true" });
    dormant["metadata"]["annotations"] = json!({ "rejob.dev/dormant": record.to_string() });
    dormant["spec"]["parallelism"] = json!(0);
    admin.post(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"), &dormant).ok();
}

fn is_there(admin: &User, namespace: &str, name: &str) -> bool {
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
    admin.get(&path).status != 404
}

#[test]
fn only_namespaces_with_a_policy_that_there_is_are_reaped_and_never_a_system_one() {
    let plane = ControlPlane::shared();
    let admin = plane.admin();
    let label = |policy| [("rejob.dev/policy", policy)];
    let own = plane.namespace("own", &label(POLICY));
    let unknown = plane.namespace("unknown", &label("of-nobody"));
    let unlabeled = plane.namespace("unlabeled", &[]);
    let opt_in = json!({ "metadata": { "labels": { "rejob.dev/policy": POLICY } } });
    admin.patch("merge", "/api/v1/namespaces/kube-system", &opt_in).ok();
    let left = [own.name(), unknown.name(), unlabeled.name(), "kube-system"];
    for namespace in left {
        create_dormant(&admin, namespace, "left");
    }
    let known = plane.namespace("known", &label(POLICY));
    let rejob = Rejob::start(
        &plane,
        &Options {
            policies: Some(&format!("policies: {{ {POLICY}: {{}} }}\n")),
            env: vec![
                ("REJOB_REAPER_INTERVAL", "1s"),
                ("REJOB_REAPER_GRACE", "0s"),
                ("POD_NAMESPACE", own.name()),
            ],
            ..Options::default()
        },
    );
    // The second is first seen in a later round than that in which all others were due.
    for name in ["first", "second"] {
        create_dormant(&admin, known.name(), name);
        wait::until("the reaper deletes", || (!is_there(&admin, known.name(), name)).then_some(()));
    }
    for namespace in left {
        assert!(is_there(&admin, namespace, "left"), "{namespace}: {}", rejob.log());
    }
    let reaped = |metrics: &str| metrics.contains("rejob_dormant_jobs_reaped_total 2\n");
    wait::until("the metric counts them", || reaped(&rejob.metrics()).then_some(()));
    admin.delete("/apis/batch/v1/namespaces/kube-system/jobs/left", &Value::Null);
}
