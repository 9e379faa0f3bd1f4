//! The policy `hash-name` and clients that look for the Job under the name they sent: the name
//! stays, a warning says why, and storage is sound.

use serde_json::Value;

use support::manifest::{annotated, annotation, job, labeled};
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;

/// The Job has the name that was sent, everywhere; it can be got and deleted by it.
fn assert_kept(plane: &ControlPlane, namespace: &Namespace, name: &str) {
    let stored = namespace.job(name).unwrap();
    assert_eq!(stored["metadata"]["name"], name);
    assert!(annotation(&stored, "rejob.dev/template-hash").is_some(), "{stored}");
    assert_eq!(annotation(&stored, "rejob.dev/base-name"), None);
    assert_eq!(namespace.job_names(), [name]);
    let same = (name.to_owned(), name.to_owned());
    assert_eq!(plane.stored_names("jobs", namespace.name()), [same]);
    // The Job controller can work with it.
    namespace.finish_pods(name);
    namespace.kubectl(&["get", "job", name]).ok();
    namespace.kubectl(&["delete", "job", name]).ok();
    assert!(namespace.job_names().is_empty());
    assert!(plane.stored_names("jobs", namespace.name()).is_empty());
}

#[test]
fn kubectl_apply_keeps_the_name_and_says_why() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let manifest = job("import", "app:1").to_string();
    let applied = namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    assert_eq!(applied.line(), "job.batch/import created");
    applied.warns("Warning: ");
    applied.warns("kubectl apply");
    let again = namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    assert_eq!(again.line(), "job.batch/import unchanged");
    assert_kept(&plane, &namespace, "import");
}

#[test]
fn server_side_apply_keeps_the_name_and_says_why() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let manifest = job("import", "app:1").to_string();
    let args = ["apply", "--server-side", "-f", "-"];
    let applied = namespace.kubectl_with(&manifest, &args).ok();
    assert_eq!(applied.line(), "job.batch/import serverside-applied");
    applied.warns("Warning: ");
    applied.warns("server-side apply");
    let uid = namespace.job("import").unwrap()["metadata"]["uid"].clone();
    namespace.kubectl_with(&manifest, &args).ok();
    assert_eq!(namespace.job("import").unwrap()["metadata"]["uid"], uid);
    assert_kept(&plane, &namespace, "import");
}

#[test]
fn what_a_deployment_tool_creates_keeps_the_name_and_says_why() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let helm = |job: Value| {
        let job = labeled(job, "app.kubernetes.io/managed-by", "Helm");
        annotated(job, "meta.helm.sh/release-name", "imports")
    };
    let argo = |job| annotated(job, "argocd.argoproj.io/tracking-id", "app:batch/Job:x/import");
    let flux = |job| labeled(job, "kustomize.toolkit.fluxcd.io/name", "apps");
    let fleet = |job| labeled(job, "objectset.rio.cattle.io/hash", "abc");
    let kapp = |job| labeled(job, "kapp.k14s.io/app", "1");
    let tools: [(&str, &dyn Fn(Value) -> Value); 5] =
        [("Helm", &helm), ("Argo CD", &argo), ("Flux", &flux), ("Fleet", &fleet), ("kapp", &kapp)];
    for (tool, mark) in tools {
        let namespace = rejob.namespace("hash-name");
        let manifest = mark(job("import", "app:1")).to_string();
        let created = namespace.kubectl_with(&manifest, &["create", "-f", "-"]).ok();
        assert_eq!(created.line(), "job.batch/import created", "{tool}");
        created.warns("Warning: ");
        created.warns(tool);
        assert_kept(&plane, &namespace, "import");
    }
}

#[test]
fn a_server_side_apply_of_a_stored_hash_name_changes_that_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let manifest = job("import", "app:1");
    let created = namespace.create_job(&manifest).ok();
    let name = created["metadata"]["name"].as_str().unwrap();
    assert_ne!(name, "import");
    // Labels of an existing Job can be applied: no second Job, no renaming of the first.
    let mut labels = labeled(job(name, "app:1"), "team", "a");
    labels["spec"] = created["spec"].clone();
    let path = format!("{}?fieldManager=other&force=true", namespace.job_path(name));
    let applied = namespace.user().apply(&path, &labels).ok();
    assert_eq!(applied["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(namespace.job_names(), [name]);
    assert_eq!(plane.stored_names("jobs", namespace.name()), [(name.to_owned(), name.to_owned())]);
}
