//! `onChange: Keep`, `Deny` and `Ignore`: what a changed Job comes to when it is not replaced.

use serde_json::{Value, json};

use support::manifest::{annotated, image, job, labeled};
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;

const POLICIES: &str = "\
policies:
  keep: { onChange: Keep }
  deny: { onChange: Deny }
  ignore: { onChange: Ignore }
";

/// The two ways in which kubectl applies.
const APPLIES: [&[&str]; 2] = [&["apply", "-f", "-"], &["apply", "--server-side", "-f", "-"]];

fn uid(namespace: &Namespace) -> Value {
    namespace.job("nightly").unwrap()["metadata"]["uid"].clone()
}

#[test]
fn keep_keeps_the_old_job_takes_the_rest_and_warns() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for apply in APPLIES {
        let namespace = rejob.namespace("keep");
        namespace.kubectl_with(&job("nightly", "app:1").to_string(), apply).ok();
        let old = uid(&namespace);
        let mut changed = labeled(job("nightly", "app:2"), "team", "a");
        changed["spec"]["backoffLimit"] = json!(3);
        for _ in 0..2 {
            let applied = namespace.kubectl_with(&changed.to_string(), apply).ok();
            applied.warns("Warning: ");
            applied.warns("spec.template.spec.containers[app].image");
            let kept = namespace.job("nightly").unwrap();
            assert_eq!(kept["metadata"]["uid"], old);
            assert_eq!(image(&kept), "app:1");
            assert_eq!(kept["metadata"]["labels"]["team"], "a");
            assert_eq!(kept["spec"]["backoffLimit"], 3);
        }
        namespace.finish_pods("nightly");
    }
}

#[test]
fn deny_refuses_naming_the_field_and_touches_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for apply in APPLIES {
        let namespace = rejob.namespace("deny");
        namespace.kubectl_with(&job("nightly", "app:1").to_string(), apply).ok();
        let old = namespace.job("nightly").unwrap();
        let changed = labeled(job("nightly", "app:2"), "team", "a").to_string();
        let refused = namespace.kubectl_with(&changed, apply).exited(1);
        refused.warns("deny.rejob.dev");
        refused.warns("spec.template.spec.containers[app].image");
        // Flux would take these words for leave to delete the Job.
        assert!(!refused.stderr.contains("immutable"), "{}", refused.stderr);
        let kept = namespace.job("nightly").unwrap();
        assert_eq!(kept["metadata"]["uid"], old["metadata"]["uid"]);
        assert_eq!(image(&kept), "app:1");
        assert_eq!(kept["metadata"]["labels"].get("team"), None);
        // What leaves the immutable part alone goes through.
        let mut allowed = labeled(job("nightly", "app:1"), "team", "b");
        allowed["spec"]["backoffLimit"] = json!(3);
        namespace.kubectl_with(&allowed.to_string(), apply).ok();
        let stored = namespace.job("nightly").unwrap();
        assert_eq!(stored["metadata"]["uid"], old["metadata"]["uid"]);
        assert_eq!(stored["metadata"]["labels"]["team"], "b");
        assert_eq!(stored["spec"]["backoffLimit"], 3);
    }
}

#[test]
fn deny_answers_a_raw_request_with_403() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let namespace = rejob.namespace("deny");
    namespace.create_job(&job("nightly", "app:1")).ok();
    let path = namespace.job_path("nightly");
    let containers = json!([{ "name": "app", "image": "app:2" }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let replace = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:2" }]);
    for (kind, change) in [("merge", &change), ("strategic-merge", &change), ("json", &replace)] {
        for path in [path.clone(), format!("{path}?dryRun=All")] {
            let answer = namespace.user().patch(kind, &path, change);
            assert_eq!(answer.status, 403, "{kind} {path}: {}", answer.body);
            assert!(answer.message().contains("containers[app].image"), "{}", answer.message());
        }
    }
}

#[test]
fn deny_is_seen_by_kubectl_diff_before_the_real_run() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let namespace = rejob.namespace("deny");
    namespace.kubectl_with(&job("nightly", "app:1").to_string(), &["apply", "-f", "-"]).ok();
    let diff = namespace.kubectl_with(&job("nightly", "app:2").to_string(), &["diff", "-f", "-"]);
    assert!(diff.code > 1, "{diff:?}");
    diff.warns("containers[app].image");
}

#[test]
fn ignore_is_plain_kubernetes() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let namespace = rejob.namespace("ignore");
    namespace.kubectl_with(&job("nightly", "app:1").to_string(), &["apply", "-f", "-"]).ok();
    let changed = job("nightly", "app:2").to_string();
    namespace.kubectl_with(&changed, &["apply", "-f", "-"]).exited(1).warns("field is immutable");
    assert_eq!(image(&namespace.job("nightly").unwrap()), "app:1");
}

#[test]
fn an_unchanged_apply_writes_nothing_and_says_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for policy in ["keep", "deny", "ignore"] {
        for apply in APPLIES {
            let namespace = rejob.namespace(policy);
            let manifest = job("nightly", "app:1").to_string();
            namespace.kubectl_with(&manifest, apply).ok();
            // The Job controller writes the status beside us: finished, the Job stays as it is.
            namespace.finish_pods("nightly");
            let before = namespace.job("nightly").unwrap();
            let again = namespace.kubectl_with(&manifest, apply).ok();
            assert_eq!(again.stderr, "");
            assert_eq!(namespace.job("nightly").unwrap(), before, "{policy} {apply:?}");
        }
    }
}

#[test]
fn the_annotation_of_a_job_goes_before_the_policy() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let namespace = rejob.namespace("deny");
    let keep = |image| annotated(job("nightly", image), "rejob.dev/on-change", "Keep").to_string();
    namespace.kubectl_with(&keep("app:1"), &["apply", "-f", "-"]).ok();
    namespace.kubectl_with(&keep("app:2"), &["apply", "-f", "-"]).ok().warns("Warning: ");
    assert_eq!(image(&namespace.job("nightly").unwrap()), "app:1");
    let bad = annotated(job("nightly", "app:1"), "rejob.dev/on-change", "Sometimes").to_string();
    let refused = namespace.kubectl_with(&bad, &["apply", "-f", "-"]).exited(1);
    for part in ["rejob.dev/on-change", "Replace", "Keep", "Deny", "Ignore"] {
        refused.warns(part);
    }
}

#[test]
fn a_bare_manifest_can_be_put() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for policy in ["keep", "deny"] {
        let namespace = rejob.namespace(policy);
        let manifest = job("nightly", "app:1");
        namespace.create_job(&manifest).ok();
        let old = uid(&namespace);
        // kubectl names the revision that it has read: nobody is to write in between.
        namespace.started_pods("nightly");
        // Without the selector and the generated labels, plain Kubernetes answers 422.
        let put = labeled(manifest, "team", "a").to_string();
        let replaced = namespace.kubectl_with(&put, &["replace", "-f", "-"]).ok();
        assert_eq!(replaced.line(), "job.batch/nightly replaced");
        assert_eq!(uid(&namespace), old);
        assert_eq!(namespace.job("nightly").unwrap()["metadata"]["labels"]["team"], "a");
        namespace.finish_pods("nightly");
    }
}
