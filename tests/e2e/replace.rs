//! The policy `replace`: a changed Job is replaced inside the client's own request.

use serde_json::{Value, json};

use super::support::manifest::{annotated, annotation, image, job};
use super::support::namespace::Namespace;
use super::support::plane::ControlPlane;
use super::support::rejob::Rejob;
use super::support::wait;

/// The two ways in which kubectl applies, and how it says that something changed.
const APPLIES: [(&[&str], &str); 2] = [
    (&["apply", "-f", "-"], "configured"),
    (&["apply", "--server-side", "-f", "-"], "serverside-applied"),
];

/// A namespace with the policy, seen by a user who may do with Jobs what who deploys them must.
fn deployer(plane: &ControlPlane, rejob: &Rejob<'_>, policy: &str) -> Namespace {
    let verbs = &["get", "list", "watch", "create", "update", "patch", "delete"];
    rejob.namespace(policy).seen_with_rights(plane, &[("batch", "jobs", verbs)])
}

fn stored(namespace: &Namespace) -> Value {
    namespace.job("nightly").unwrap()
}

fn uid(job: &Value) -> &str {
    job["metadata"]["uid"].as_str().unwrap()
}

/// The stored Job is a new one of that image, with nothing left of how it came about; it runs, and
/// the old one's Pods go.
fn assert_replaced(namespace: &Namespace, old: &Value, wanted: &str) {
    let new = stored(namespace);
    assert_ne!(uid(&new), uid(old));
    assert_eq!(image(&new), wanted);
    assert_eq!(new["spec"]["parallelism"], 1);
    for mark in ["rejob.dev/dormant", "rejob.dev/replacing"] {
        assert_eq!(annotation(&new, mark), None, "{new}");
        assert_eq!(new["metadata"]["labels"].get(mark), None, "{new}");
    }
    assert!(annotation(&new, "rejob.dev/template-hash").is_some(), "{new}");
    assert_eq!(namespace.job_names(), ["nightly"]);
    assert_eq!(image_of_pod(&namespace.started_pods("nightly")[0]), wanted);
    wait::until("the old Job's Pods go", || namespace.pods(uid(old)).is_empty().then_some(()));
}

fn image_of_pod(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap()
}

/// The Job is the one it was: nothing of the refused request came through.
fn assert_untouched(namespace: &Namespace, old: &Value) {
    let new = stored(namespace);
    assert_eq!((uid(&new), image(&new)), (uid(old), image(old)));
    assert_eq!(new["metadata"]["annotations"], old["metadata"]["annotations"]);
}

#[test]
fn kubectl_apply_replaces_a_changed_job_again_and_again() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (apply, said) in APPLIES {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.kubectl_with(&job("nightly", "app:1").to_string(), apply).ok();
        // Finished, hanging, hanging: three states in which nothing has to be waited for.
        namespace.finish_pods("nightly");
        for wanted in ["app:2", "app:3", "app:4"] {
            let old = stored(&namespace);
            let changed = job("nightly", wanted).to_string();
            let applied = namespace.kubectl_with(&changed, apply).ok();
            assert_eq!(applied.line(), format!("job.batch/nightly {said}"));
            applied.warns("Warning: ");
            applied.warns("replaced");
            applied.warns("spec.template.spec.containers[app].image");
            assert_replaced(&namespace, &old, wanted);
            // Unchanged again: nothing runs again.
            let new = stored(&namespace);
            namespace.kubectl_with(&changed, apply).ok();
            assert_eq!(uid(&stored(&namespace)), uid(&new));
        }
        namespace.finish_pods("nightly");
    }
}

#[test]
fn every_way_of_writing_replaces() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let container = json!([{ "name": "app", "image": "app:2" }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    let image_path = "/spec/template/spec/containers/0/image";
    let operations = json!([{ "op": "replace", "path": image_path, "value": "app:2" }]);
    for (kind, patch) in [("strategic", &change), ("merge", &change), ("json", &operations)] {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.create_job(&job("nightly", "app:1")).ok();
        let old = stored(&namespace);
        let (kind, patch) = (format!("--type={kind}"), format!("--patch={patch}"));
        let patched = namespace.kubectl(&["patch", "job", "nightly", &kind, &patch]).ok();
        assert_eq!(patched.line(), "job.batch/nightly patched");
        assert_replaced(&namespace, &old, "app:2");
    }
    // PUT: a bare manifest, and one that was read, changed and sent back.
    for read in [false, true] {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.create_job(&job("nightly", "app:1")).ok();
        // From then on nobody else writes it: the resourceVersion that is sent back is not stale.
        namespace.finish_pods("nightly");
        let old = stored(&namespace);
        let mut put = if read { old.clone() } else { job("nightly", "app:2") };
        put["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
        if read {
            // A uid cannot be helped; without it this is what `kubectl edit` sends.
            put["metadata"].as_object_mut().unwrap().remove("uid");
        }
        let replaced = namespace.kubectl_with(&put.to_string(), &["replace", "-f", "-"]).ok();
        assert_eq!(replaced.line(), "job.batch/nightly replaced");
        assert_replaced(&namespace, &old, "app:2");
    }
}

#[test]
fn kubectl_diff_shows_what_would_change_and_changes_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (apply, _) in APPLIES {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.kubectl_with(&job("nightly", "app:1").to_string(), apply).ok();
        let old = stored(&namespace);
        let mut diff = apply.to_vec();
        diff[0] = "diff";
        let changed = job("nightly", "app:2").to_string();
        let shown = namespace.kubectl_with(&changed, &diff).exited(1);
        assert!(shown.stdout.contains("containers[app].image: app:1 -> app:2"), "{shown:?}");
        assert_untouched(&namespace, &old);
        let unchanged = job("nightly", "app:1").to_string();
        assert_eq!(namespace.kubectl_with(&unchanged, &diff).ok().stdout, "");
    }
}

#[test]
fn who_may_only_patch_replaces_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for verbs in [&["get", "patch", "create"][..], &["get", "patch", "delete"]] {
        let admin = rejob.namespace("replace");
        admin.create_job(&job("nightly", "app:1")).ok();
        let old = stored(&admin);
        let patcher = admin.seen_with_rights(&plane, &[("batch", "jobs", verbs)]);
        for (apply, _) in APPLIES {
            let changed = job("nightly", "app:2").to_string();
            let mut apply = apply.to_vec();
            if apply.contains(&"--server-side") {
                apply.push("--force-conflicts");
            }
            let refused = patcher.kubectl_with(&changed, &apply).exited(1);
            refused.warns("replace.rejob.dev");
            assert_untouched(&admin, &old);
        }
    }
}

#[test]
fn a_template_that_the_api_server_refuses_deletes_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (apply, _) in APPLIES {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.kubectl_with(&job("nightly", "app:1").to_string(), apply).ok();
        let old = stored(&namespace);
        let mut bad = job("nightly", "app:2");
        bad["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
        let refused = namespace.kubectl_with(&bad.to_string(), apply).exited(1);
        refused.warns("restartPolicy");
        assert_untouched(&namespace, &old);
    }
}

#[test]
fn a_running_job_is_waited_for() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (apply, _) in APPLIES {
        let namespace = deployer(&plane, &rejob, "replace");
        let may_wait =
            |image| annotated(job("nightly", image), "rejob.dev/wait-seconds", "10").to_string();
        namespace.kubectl_with(&may_wait("app:1"), apply).ok();
        namespace.ready_pods("nightly");
        let old = stored(&namespace);
        // The client waits by itself, while the Job is finished beside it.
        std::thread::scope(|scope| {
            let client = scope.spawn(|| namespace.kubectl_with(&may_wait("app:2"), apply));
            wait::until("rejob makes the client wait", || {
                rejob.metrics().contains("running_wait").then_some(())
            });
            assert_untouched(&namespace, &old);
            namespace.finish_pods("nightly");
            client.join().unwrap().ok();
        });
        assert_replaced(&namespace, &old, "app:2");
    }
}

#[test]
fn a_changed_rerun_annotation_runs_an_unchanged_job_again() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = deployer(&plane, &rejob, "replace");
    namespace.kubectl_with(&job("nightly", "app:1").to_string(), &["apply", "-f", "-"]).ok();
    namespace.finish_pods("nightly");
    for run in ["1", "2"] {
        let old = stored(&namespace);
        let rerun = format!("rejob.dev/rerun={run}");
        namespace.kubectl(&["annotate", "job", "nightly", "--overwrite", &rerun]).ok();
        assert_replaced(&namespace, &old, "app:1");
        assert_eq!(annotation(&stored(&namespace), "rejob.dev/rerun"), Some(run));
    }
}
