//! Real Helm, three versions of it, deploying a chart with a Job.

use std::fs;
use std::path::PathBuf;

use support::helm::Helm;
use support::manifest::{annotation, image};
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::rejob::Rejob;
use support::wait;

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
  {{- with .Values.annotations }}
  annotations: {{ toJson . }}
  {{- end }}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: app
          image: {{ .Values.image }}
";

/// A chart with one Job whose image and annotations are values.
pub fn chart(plane: &ControlPlane) -> PathBuf {
    let chart = plane.dir().join(format!("chart-{}", plane::unique()));
    fs::create_dir_all(chart.join("templates")).unwrap();
    let about = "apiVersion: v2\nname: nightly\nversion: 1.0.0\nkubeVersion: '>= 1.30.0'\n";
    fs::write(chart.join("Chart.yaml"), about).unwrap();
    fs::write(chart.join("values.yaml"), "image: app:1\n").unwrap();
    fs::write(chart.join("templates/job.yaml"), JOB).unwrap();
    chart
}

/// A namespace with the policy, seen by a user with the rights that Helm needs there.
fn deployer(plane: &ControlPlane, rejob: &Rejob<'_>, policy: &str) -> Namespace {
    let verbs = &["get", "list", "watch", "create", "update", "patch", "delete"];
    rejob
        .namespace(policy)
        .seen_with_rights(plane, &[("batch", "jobs", verbs), ("", "secrets", verbs)])
}

fn uid(namespace: &Namespace) -> String {
    namespace.job("nightly").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn the_helms_are_the_versions_they_say() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("helm", &[]);
    for helm in Helm::ALL {
        let said = namespace.helm(helm, &["version", "--template={{.Version}}"]).ok();
        assert_eq!(said.stdout, format!("v{}", helm.version()));
    }
}

#[test]
fn without_rejob_a_changed_job_fails_the_release() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.unlabeled_namespace();
    let chart = chart(&plane).display().to_string();
    namespace.helm(Helm::V4_3, &["install", "nightly", &chart]).ok();
    let failed = namespace.helm(Helm::V4_3, &["upgrade", "nightly", &chart, "--set=image=app:2"]);
    failed.exited(1).warns("field is immutable");
}

#[test]
fn upgrades_and_rollbacks_replace_a_changed_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let chart = chart(&plane).display().to_string();
    for helm in Helm::ALL {
        let namespace = deployer(&plane, &rejob, "replace");
        namespace.helm(helm, &["install", "nightly", &chart]).ok();
        namespace.finish_pods("nightly");
        let mut last = uid(&namespace);
        namespace.helm(helm, &["upgrade", "nightly", &chart]).ok();
        assert_eq!(uid(&namespace), last, "{helm:?}: unchanged, nothing runs again");
        for wanted in ["app:2", "app:3"] {
            let value = format!("--set=image={wanted}");
            namespace.helm(helm, &["upgrade", "nightly", &chart, &value]).ok();
            assert_ne!(uid(&namespace), last, "{helm:?} {wanted}");
            assert_eq!(image(&namespace.job("nightly").unwrap()), wanted, "{helm:?}");
            last = uid(&namespace);
        }
        namespace.helm(helm, &["rollback", "nightly", "1"]).ok();
        assert_ne!(uid(&namespace), last, "{helm:?}");
        assert_eq!(image(&namespace.job("nightly").unwrap()), "app:1", "{helm:?}");
        let last = uid(&namespace);
        namespace.started_pods("nightly");
        namespace.helm(helm, &["uninstall", "nightly"]).ok();
        assert!(namespace.job_names().is_empty(), "{helm:?}");
        wait::until("the Pods go", || namespace.pods(&last).is_empty().then_some(()));
    }
}

#[test]
fn a_release_finds_its_job_under_the_name_of_the_chart() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let chart = chart(&plane).display().to_string();
    for helm in Helm::ALL {
        let namespace = deployer(&plane, &rejob, "hash-name");
        namespace.helm(helm, &["install", "nightly", &chart]).ok();
        assert_eq!(namespace.job_names(), ["nightly"], "{helm:?}");
        let same = ("nightly".to_owned(), "nightly".to_owned());
        assert_eq!(plane.stored_names("jobs", namespace.name()), [same], "{helm:?}");
        let stored = namespace.job("nightly").unwrap();
        assert!(annotation(&stored, "rejob.dev/template-hash").is_some(), "{helm:?}");
        namespace.helm(helm, &["upgrade", "nightly", &chart]).ok();
        namespace.helm(helm, &["uninstall", "nightly"]).ok();
        assert!(namespace.job_names().is_empty(), "{helm:?}");
    }
}
