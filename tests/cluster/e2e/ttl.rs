//! The policy `ttl`: finished Jobs go by themselves.

use serde_json::json;

use support::manifest::{annotated, job};
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

const ONE_SECOND: &str = "policies:\n  ttl:\n    ttlSecondsAfterFinished: 1\n";

#[test]
fn a_created_job_carries_the_ttl() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("ttl");
    for (name, args) in [
        ("created", &["create", "-f", "-"][..]),
        ("applied", &["apply", "-f", "-"]),
        ("server-side", &["apply", "--server-side", "-f", "-"]),
    ] {
        namespace.kubectl_with(&job(name, "app:1").to_string(), args).ok();
        let stored = namespace.job(name).unwrap();
        assert_eq!(stored["spec"]["ttlSecondsAfterFinished"], 3600, "{name}");
    }
}

#[test]
fn a_job_vanishes_with_its_pods_after_it_has_finished() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, ONE_SECOND);
    let namespace = rejob.namespace("ttl");
    namespace.kubectl_with(&job("report", "app:1").to_string(), &["create", "-f", "-"]).ok();
    let stored = namespace.job("report").unwrap();
    assert_eq!(stored["spec"]["ttlSecondsAfterFinished"], 1);
    namespace.started_pods("report");
    namespace.finish_pods("report");
    wait::until("the Job vanishes", || namespace.job("report").is_none().then_some(()));
    wait::until("its Pods vanish", || {
        namespace.pods(stored["metadata"]["uid"].as_str().unwrap()).is_empty().then_some(())
    });
}

#[test]
fn a_job_that_failed_vanishes_too() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, ONE_SECOND);
    let namespace = rejob.namespace("ttl");
    let mut failing = job("failing", "app:1");
    failing["spec"]["backoffLimit"] = json!(0);
    namespace.create_job(&failing).ok();
    namespace.fail_pods("failing");
    wait::until("the Job vanishes", || namespace.job("failing").is_none().then_some(()));
}

#[test]
fn a_jobs_own_ttl_stays() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("ttl");
    let mut own = job("own", "app:1");
    own["spec"]["ttlSecondsAfterFinished"] = json!(7);
    let stored = namespace.create_job(&own).ok();
    assert_eq!(stored["spec"]["ttlSecondsAfterFinished"], 7);
}

#[test]
fn the_annotation_of_a_job_goes_before_the_policy() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("ttl");
    let key = "rejob.dev/ttl-seconds-after-finished";
    let stored = namespace.create_job(&annotated(job("own", "app:1"), key, "8")).ok();
    assert_eq!(stored["spec"]["ttlSecondsAfterFinished"], 8);
    let refused = namespace.create_job(&annotated(job("bad", "app:1"), key, "soon"));
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.message().contains(key), "{}", refused.message());
    assert!(namespace.job("bad").is_none());
}

#[test]
fn an_update_never_brings_the_ttl() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    // Older than the opt-in, and finished: a TTL would delete it at once.
    let namespace = rejob.unlabeled_namespace();
    namespace.create_job(&job("old", "app:1")).ok();
    namespace.finish_pods("old");
    namespace
        .user()
        .kubectl(&["label", "namespace", namespace.name(), "rejob.dev/policy=ttl"], "")
        .ok();
    rejob.wait_until_called(&namespace);
    namespace.kubectl(&["label", "job", "old", "team=a"]).ok();
    let stored = namespace.job("old").unwrap();
    assert_eq!(stored["metadata"]["labels"]["team"], "a");
    assert_eq!(stored["spec"].get("ttlSecondsAfterFinished"), None);
}

/// A GitOps tool creates a Job again that has vanished, which runs it again, every hour.
#[test]
fn a_job_of_a_gitops_tool_gets_no_ttl_and_neither_does_the_one_that_replaces_it() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let tracked = |image| {
        annotated(job("synced", image), "argocd.argoproj.io/tracking-id", "app:batch/Job:x/synced")
    };
    let applies = [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]];
    for (policy, kept) in [("ttl", ""), ("hash-name", "keeps its name")] {
        for apply in applies {
            let namespace = rejob.namespace(policy);
            let said = namespace.kubectl_with(&tracked("app:1").to_string(), apply).ok().stderr;
            assert!(said.contains(kept) && !said.contains("re-run"), "{policy}: {said}");
            let first = namespace.job("synced").unwrap();
            assert_eq!(first["spec"].get("ttlSecondsAfterFinished"), None, "{policy} {apply:?}");
            namespace.finish_pods("synced");
            namespace.kubectl_with(&tracked("app:2").to_string(), apply).ok();
            let second = namespace.job("synced").unwrap();
            assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
            assert_eq!(second["spec"].get("ttlSecondsAfterFinished"), None, "{policy} {apply:?}");
        }
    }
    let metrics = rejob.metrics();
    let counted = |policy: &str| {
        metrics.lines().any(|line| {
            line.contains(&format!("policy=\"{policy}\""))
                && line.contains("reason=\"ttl_withheld\"")
                && !line.ends_with(" 0")
        })
    };
    assert!(counted("ttl") && counted("hash-name"), "{metrics}");
}

#[test]
fn a_job_of_a_gitops_tool_that_asks_for_a_ttl_gets_it_and_its_owner_is_warned() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let tracked = |image| {
        let job = annotated(job("synced", image), "objectset.rio.cattle.io/id", "default-app");
        annotated(job, "rejob.dev/ttl-seconds-after-finished", "900")
    };
    for policy in ["ttl", "hash-name"] {
        let namespace = rejob.namespace(policy);
        let answer = namespace.create_job(&tracked("app:1"));
        let warned = answer.warnings.iter().any(|text| text.contains("Fleet may create it again"));
        assert!(warned, "{answer:?}");
        let first = answer.ok();
        assert_eq!(first["spec"]["ttlSecondsAfterFinished"], 900);
        let change = namespace.job_path("synced");
        let image = json!([{ "name": "app", "image": "app:2" }]);
        let change_image = json!({ "spec": { "template": { "spec": { "containers": image } } } });
        let changed = namespace.user().patch("strategic-merge", &change, &change_image).ok();
        assert_ne!(changed["metadata"]["uid"], first["metadata"]["uid"]);
        assert_eq!(changed["spec"]["ttlSecondsAfterFinished"], 900);
    }
}
