//! The control plane of the tests is a real one, and never silently absent.

use std::path::{Path, PathBuf};

use serde_json::json;
use support::binaries::{Binaries, Source};
use support::gobuild;
use support::namespace::has_condition;
use support::plane::ControlPlane;
use support::wait;

/// Neither Go nor assets.
fn without_go(source: &Source) -> String {
    let empty = tempfile::tempdir().unwrap();
    Binaries::find(source, "/nowhere/go", empty.path()).unwrap_err()
}

#[test]
fn without_go_and_assets_one_sentence_says_how_to_get_them() {
    let sentence = without_go(&Source::default());
    for part in ["Kubernetes 1.37.2", "/nowhere/go", "Go 1.26", "KUBEBUILDER_ASSETS"] {
        assert!(sentence.contains(part), "{part} is not in: {sentence}");
    }
    assert!(!sentence.contains('\n'), "{sentence}");
}

#[test]
fn assets_without_a_program_are_refused_naming_it() {
    let assets = Some(PathBuf::from("/nowhere"));
    let sentence = without_go(&Source { assets, ..Source::default() });
    assert!(sentence.contains("/nowhere, which has no etcd"), "{sentence}");
}

#[test]
fn an_unknown_release_is_refused_naming_the_known_ones() {
    let sentence = without_go(&Source { release: Some("1.12".to_owned()), assets: None });
    assert!(sentence.contains("1.37, 1.34 and 1.30"), "{sentence}");
}

#[test]
fn assets_without_a_controller_manager_get_one_that_is_built() {
    let built = Binaries::get();
    let assets = tempfile::tempdir().unwrap();
    for program in [&built.etcd, &built.apiserver, &built.kubectl] {
        std::os::unix::fs::symlink(program, assets.path().join(program.file_name().unwrap()))
            .unwrap();
    }
    let source = Source { release: None, assets: Some(assets.path().to_owned()) };
    let found = Binaries::find(&source, "go", &gobuild::root()).unwrap();
    assert_eq!(found.minor, built.minor);
    assert_eq!(found.apiserver, assets.path().join("kube-apiserver"));
    assert!(found.controller_manager.starts_with(gobuild::root()), "{found:?}");
}

#[test]
fn the_api_server_says_its_version() {
    let plane = ControlPlane::shared();
    let version = plane.admin().get("/version").ok();
    assert_eq!(version["minor"], Binaries::get().minor.to_string());
    if Source::from_env().release.is_none() && Source::from_env().assets.is_none() {
        assert_eq!(version["gitVersion"], "v1.37.2");
    }
    let said = plane.admin().kubectl(&["version"], "").ok().stdout;
    let server = version["gitVersion"].as_str().unwrap();
    assert!(said.contains(&format!("Server Version: {server}")), "{said}");
}

#[test]
fn the_job_controller_completes_a_job_whose_pod_succeeds() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("smoke", &[]);
    namespace.kubectl(&["create", "job", "one", "--image=a"]).ok();
    assert_eq!(namespace.started_pods("one").len(), 1);
    namespace.ready_pods("one");
    namespace.finish_pods("one");
    let job = namespace.job("one").unwrap();
    assert_eq!(job["status"]["succeeded"], 1);
    assert!(!has_condition(&job, "Failed"));
    namespace.kubectl(&["delete", "job", "one"]).ok();
    wait::until("the garbage collector removes the Pods", || {
        namespace.pods(job["metadata"]["uid"].as_str().unwrap()).is_empty().then_some(())
    });
}

#[test]
fn a_job_whose_pods_fail_fails() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("smoke", &[]);
    let spec = json!({
        "backoffLimit": 0,
        "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "a", "image": "a" }]
        }}
    });
    namespace.create_job(&json!({ "metadata": { "name": "bad" }, "spec": spec })).ok();
    namespace.fail_pods("bad");
    assert!(has_condition(&namespace.job("bad").unwrap(), "Failed"));
}

#[test]
fn a_user_has_the_rights_that_were_granted_and_no_others() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("smoke", &[]);
    let reader = namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "list"])]);
    reader.kubectl(&["get", "jobs"]).ok();
    reader.kubectl(&["create", "job", "one", "--image=a"]).exited(1).warns("cannot create");
}

#[test]
fn storage_shows_the_key_and_the_name_of_an_object() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("smoke", &[]);
    namespace.kubectl(&["create", "job", "one", "--image=a"]).ok();
    let stored = plane.stored_names("jobs", namespace.name());
    assert_eq!(stored, [("one".to_owned(), "one".to_owned())]);
}

#[test]
fn a_control_plane_of_ones_own_has_its_options_and_ends_with_its_value() {
    let plane = ControlPlane::start(&support::plane::Options {
        no_watch_cache: true,
        audit: true,
        feature_gates: vec!["AllAlpha=false"],
        runtime_config: vec!["admissionregistration.k8s.io/v1beta1=true"],
        apiserver_flags: vec!["--event-ttl=10m".to_owned()],
        ..support::plane::Options::default()
    });
    plane.namespace("smoke", &[]);
    wait::until("the audit log shows the request", || {
        plane.audit_log().contains("\"namespaces\"").then_some(())
    });
    let served = plane.admin().get("/apis/admissionregistration.k8s.io/v1beta1");
    assert_eq!(served.status, 200, "{}", served.body);
    let dir = plane.dir().to_owned();
    drop(plane);
    assert!(!dir.exists(), "{} is left", dir.display());
}

#[test]
fn a_control_plane_that_cannot_start_says_why_and_keeps_its_logs() {
    let options = support::plane::Options {
        apiserver_flags: vec!["--no-such-flag".to_owned()],
        ..Default::default()
    };
    let started = std::thread::spawn(move || drop(ControlPlane::start(&options)));
    let message = *started.join().unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("unknown flag: --no-such-flag"), "{message}");
    let dir = Path::new(message.rsplit_once("logs: ").unwrap().1);
    assert!(dir.join("kube-apiserver.log").exists(), "{message}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_go_modules_and_the_releases_agree() {
    for release in support::binaries::RELEASES {
        let go_mod =
            std::fs::read_to_string(gobuild::module(release.module).join("go.mod")).unwrap();
        assert!(
            go_mod.contains(&format!("k8s.io/kubernetes v{} ", release.version)),
            "{release:?}"
        );
    }
    for helm in support::helm::Helm::ALL {
        let module = gobuild::module(&format!("helm-{}", helm.version()));
        assert!(Path::new(&module).join("go.sum").exists(), "{helm:?}");
    }
}
