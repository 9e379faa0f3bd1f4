//! What rejob leaves alone: its Jobs are stored exactly as they were sent.

use serde_json::{Value, json};

use support::manifest::{annotated, job};
use support::namespace::{Namespace, name_of};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

/// Neither renamed, nor given a TTL, nor annotated.
#[track_caller]
pub fn assert_untouched(job: &Value) {
    assert_eq!(job["spec"].get("ttlSecondsAfterFinished"), None, "{job}");
    let annotations = job["metadata"]["annotations"].as_object();
    let ours = ["rejob.dev/template-hash", "rejob.dev/base-name"];
    let annotated = annotations.is_some_and(|all| ours.iter().any(|key| all.contains_key(*key)));
    assert!(!annotated, "{job}");
}

/// A changed template is answered as plain Kubernetes does.
fn assert_change_is_immutable(namespace: &Namespace, changed: &Value) {
    let args = ["apply", "-f", "-"];
    let refused = namespace.kubectl_with(&changed.to_string(), &args).exited(1);
    refused.warns("field is immutable");
}

#[test]
fn the_jobs_of_a_cron_job_are_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let template = job("unused", "app:1")["spec"].clone();
    let cron_job = json!({
        "metadata": { "name": "hourly" },
        "spec": { "schedule": "0 * * * *", "jobTemplate": { "spec": template } },
    });
    let path = format!("/apis/batch/v1/namespaces/{}/cronjobs", namespace.name());
    namespace.user().post(&path, &cron_job).ok();
    // An hour and more has passed since the last run: the controller starts one now.
    let status = json!({ "status": { "lastScheduleTime": "2020-01-01T00:00:00Z" } });
    namespace.user().patch("merge", &format!("{path}/hourly/status"), &status).ok();
    let made = wait::until("the CronJob makes a Job", || namespace.jobs().first().cloned());
    let name = name_of(&made);
    // `<cron job>-<minutes since 1970>`, which the controller looks for.
    let minutes = name.strip_prefix("hourly-").unwrap();
    assert!(minutes.bytes().all(|c| c.is_ascii_digit()), "{name}");
    assert_untouched(&made);
    namespace.finish_pods(&name);
    assert_eq!(namespace.job_names(), [name]);
}

#[test]
fn hooks_of_helm_and_argo_cd_are_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (key, value) in [("helm.sh/hook", "pre-upgrade"), ("argocd.argoproj.io/hook", "PreSync")] {
        for policy in ["hash-name", "ttl", "replace"] {
            let namespace = rejob.namespace(policy);
            let hook = |image| annotated(job("migrate", image), key, value);
            namespace.kubectl_with(&hook("app:1").to_string(), &["create", "-f", "-"]).ok();
            assert_untouched(&namespace.job("migrate").unwrap());
            // As the tools do: an update of it is another tool's, see `hooks`.
            namespace.kubectl(&["delete", "job", "migrate"]).ok();
            namespace.kubectl_with(&hook("app:2").to_string(), &["create", "-f", "-"]).ok();
            assert_untouched(&namespace.job("migrate").unwrap());
        }
    }
}

#[test]
fn a_job_that_says_skip_is_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let skipped = |image| annotated(job("import", image), "rejob.dev/skip", "true");
    namespace.kubectl_with(&skipped("app:1").to_string(), &["create", "-f", "-"]).ok();
    assert_untouched(&namespace.job("import").unwrap());
    assert_change_is_immutable(&namespace, &skipped("app:2"));
}

#[test]
fn a_job_of_another_controller_is_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let mut owned = job("step", "app:1");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "example.com/v1", "kind": "Workflow", "name": "w", "controller": true,
        "uid": "0d8b1c1e-0000-4000-8000-000000000000",
    }]);
    // The garbage collector soon takes it away: its owner does not exist.
    assert_untouched(&namespace.create_job(&owned).ok());
}

#[test]
fn a_namespace_without_the_label_is_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.unlabeled_namespace();
    for args in
        [&["create", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "-f", "-"]]
    {
        let said = namespace.kubectl_with(&job("import", "app:1").to_string(), args).ok();
        assert_eq!(said.stderr, "");
    }
    assert_untouched(&namespace.job("import").unwrap());
    assert_change_is_immutable(&namespace, &job("import", "app:2"));
    assert_eq!(namespace.job_names(), ["import"]);
}

#[test]
fn a_namespace_that_takes_the_label_off_is_untouched_from_then_on() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("ttl");
    let first = namespace.create_job(&job("first", "app:1")).ok();
    assert_eq!(first["spec"]["ttlSecondsAfterFinished"], 3600);
    namespace
        .user()
        .kubectl(&["label", "namespace", namespace.name(), "rejob.dev/policy-"], "")
        .ok();
    wait::until("the API server knows", || {
        let path = format!("{}?dryRun=All", namespace.jobs_path());
        let shown = namespace.user().post(&path, &job("second", "app:1")).ok();
        shown["spec"].get("ttlSecondsAfterFinished").is_none().then_some(())
    });
    assert_untouched(&namespace.create_job(&job("second", "app:1")).ok());
}
