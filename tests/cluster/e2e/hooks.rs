//! Jobs with a hook annotation: those that Helm runs as hooks are its own, and those that anything
//! applies are redeployed as any other.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::left_alone::assert_untouched;
use support::helm::Helm;
use support::manifest::{annotated, annotation, image, job};
use support::namespace::Namespace;
use support::output::Output;
use support::plane::{self, ControlPlane};
use support::rejob::Rejob;
use support::wait;

const JOB: &str = "migrate";
const HOOKS: [(&str, &str); 2] =
    [("helm.sh/hook", "pre-upgrade"), ("argocd.argoproj.io/hook", "Sync")];

fn stored(namespace: &Namespace) -> Value {
    namespace.job(JOB).unwrap()
}

fn uid(namespace: &Namespace) -> String {
    stored(namespace)["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// Deploys; whether that was a new run, of that image.
#[track_caller]
fn runs(namespace: &Namespace, wanted: &str, deploy: &dyn Fn()) -> bool {
    namespace.finish_pods(JOB);
    let before = uid(namespace);
    deploy();
    assert_eq!(image(&stored(namespace)), wanted);
    uid(namespace) != before
}

#[derive(Debug, Clone, Copy)]
enum Apply {
    ClientSide,
    ServerSide,
    StrategicMerge,
}

impl Apply {
    fn deploy(self, namespace: &Namespace, manifest: &Value) {
        let text = manifest.to_string();
        match self {
            Self::ClientSide => namespace.kubectl_with(&text, &["apply", "-f", "-"]).ok(),
            Self::ServerSide => {
                namespace.kubectl_with(&text, &["apply", "--server-side", "-f", "-"]).ok()
            }
            Self::StrategicMerge if namespace.job(JOB).is_none() => {
                namespace.kubectl_with(&text, &["create", "-f", "-"]).ok()
            }
            Self::StrategicMerge => {
                namespace.kubectl(&["patch", "job", JOB, "--type=strategic", "-p", &text]).ok()
            }
        };
    }
}

#[test]
fn an_applied_job_with_a_hook_annotation_is_redeployed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for (key, value) in HOOKS {
        for apply in [Apply::ClientSide, Apply::ServerSide, Apply::StrategicMerge] {
            let title = format!("{key} {apply:?}");
            let namespace = rejob.namespace("replace");
            let hook = |image: &str| annotated(job(JOB, image), key, value);
            let deploy = |manifest: Value| {
                let wanted = image(&manifest).to_owned();
                runs(&namespace, &wanted, &|| apply.deploy(&namespace, &manifest))
            };
            apply.deploy(&namespace, &hook("app:1"));
            assert!(!deploy(hook("app:1")), "{title}: unchanged");
            namespace.kubectl(&["label", "job", JOB, "team=a"]).ok();
            assert_untouched(&stored(&namespace));
            for wanted in ["app:2", "app:3"] {
                assert!(deploy(hook(wanted)), "{title}: {wanted}");
                assert!(!deploy(hook(wanted)), "{title}: {wanted} again");
            }
            let mut plain = job(JOB, "app:4");
            if matches!(apply, Apply::StrategicMerge) {
                plain["metadata"]["annotations"][key] = Value::Null;
            }
            assert!(deploy(plain.clone()), "{title}: the annotation goes with the image");
            assert_eq!(annotation(&stored(&namespace), key), None, "{title}");
            assert!(!deploy(plain), "{title}: and again");
            let text = stored(&namespace)["metadata"].to_string();
            assert!(!text.contains("rejob.dev/dormant") && !text.contains("rejob.dev/replacing"));
        }
    }
}

#[test]
fn a_dry_run_shows_what_would_happen_to_it() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let hook = |image| annotated(job(JOB, image), "helm.sh/hook", "post-install").to_string();
    for flags in [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
        namespace.kubectl_with(&hook("app:1"), flags).ok();
        let dry = [flags, &["--dry-run=server"]].concat();
        let said = namespace.kubectl_with(&hook("app:2"), &dry).ok();
        assert!(said.stderr.contains("would be replaced"), "{}", said.stderr);
        namespace.kubectl(&["delete", "job", JOB]).ok();
    }
}

/// A chart with that template.
fn chart(plane: &ControlPlane, template: &str) -> String {
    let chart: PathBuf = plane.dir().join(format!("chart-{}", plane::unique()));
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: c\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/job.yaml"), template).unwrap();
    chart.display().to_string()
}

/// The Job with that block of annotations.
fn template(annotations: &str) -> String {
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {JOB}
  labels: {{app: c}}
{annotations}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: app
          image: {{{{ .Values.image }}}}
"
    )
}

fn deployer(plane: &ControlPlane, rejob: &Rejob<'_>, policy: &str) -> Namespace {
    let verbs = &["get", "list", "watch", "create", "update", "patch", "delete"];
    let rights: &[(&str, &str, &[&str])] = &[
        ("batch", "jobs", verbs),
        ("", "secrets", verbs),
        ("", "pods", &["get", "list", "watch"]),
        ("", "events", &["list"]),
    ];
    rejob.namespace(policy).seen_with_rights(plane, rights)
}

/// Runs Helm, and lets the Job that it waits for succeed.
fn helm_with_a_hook(namespace: &Namespace, helm: Helm, args: &[&str]) -> Output {
    let before = namespace.job(JOB).map(|job| job["metadata"]["uid"].clone());
    std::thread::scope(|scope| {
        let said = scope.spawn(|| namespace.helm(helm, args));
        wait::until("the hook is there", || {
            let uid = namespace.job(JOB)?["metadata"]["uid"].clone();
            (before != Some(uid)).then_some(())
        });
        namespace.finish_pods(JOB);
        said.join().unwrap()
    })
}

#[test]
fn the_release_of_a_chart_with_argo_cds_annotation_is_upgraded() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let chart = chart(&plane, &template("  annotations: {argocd.argoproj.io/hook: Sync}"));
    for helm in Helm::ALL {
        let namespace = deployer(&plane, &rejob, "replace");
        let set = |image: &str| format!("--set=image={image}");
        namespace.helm(helm, &["install", "r", &chart, &set("app:1")]).ok();
        assert_untouched(&stored(&namespace));
        let upgrade = |image: &str| {
            runs(&namespace, image, &|| {
                namespace.helm(helm, &["upgrade", "r", &chart, &set(image)]).ok();
            })
        };
        assert!(!upgrade("app:1"), "{helm:?}");
        for wanted in ["app:2", "app:3"] {
            assert!(upgrade(wanted), "{helm:?} {wanted}");
            assert!(!upgrade(wanted), "{helm:?} {wanted} again");
        }
        let back = runs(&namespace, "app:1", &|| {
            namespace.helm(helm, &["rollback", "r", "1"]).ok();
        });
        assert!(back, "{helm:?}: rollback");
        namespace.helm(helm, &["uninstall", "r"]).ok();
        assert!(namespace.job_names().is_empty(), "{helm:?}");
    }
}

/// Helm 3 leaves the annotation on the Job for ever: its first manifest has no such object.
#[test]
fn a_hook_of_the_installation_that_becomes_an_ordinary_object_is_upgraded() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let annotations =
        "{{ if .Release.IsInstall }}  annotations: {helm.sh/hook: post-install}{{ end }}";
    let chart = chart(&plane, &template(annotations));
    for helm in Helm::ALL {
        let namespace = deployer(&plane, &rejob, "replace");
        let set = |image: &str| format!("--set=image={image}");
        helm_with_a_hook(&namespace, helm, &["install", "r", &chart, &set("app:1")]).ok();
        assert_untouched(&stored(&namespace));
        let upgrade = |image: &str| {
            let args = ["upgrade", "r", &chart, "--take-ownership", &set(image)];
            runs(&namespace, image, &|| {
                namespace.helm(helm, &args).ok();
            })
        };
        for wanted in ["app:2", "app:3"] {
            assert!(upgrade(wanted), "{helm:?} {wanted}");
            assert!(!upgrade(wanted), "{helm:?} {wanted} again");
        }
        namespace.helm(helm, &["uninstall", "r"]).ok();
        assert!(namespace.job_names().is_empty(), "{helm:?}");
    }
}

#[test]
fn helms_own_hooks_run_once_a_deploy_and_carry_nothing_of_rejob() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let annotations = r#"  annotations: {helm.sh/hook: "pre-install,pre-upgrade"}"#;
    let chart = chart(&plane, &template(annotations));
    for helm in Helm::ALL {
        for policy in ["replace", "hash-name", "ttl"] {
            let namespace = deployer(&plane, &rejob, policy);
            let mut last = None;
            let deploys = [("install", "app:1"), ("upgrade", "app:1"), ("upgrade", "app:2")];
            for (verb, wanted) in deploys {
                let set = format!("--set=image={wanted}");
                helm_with_a_hook(&namespace, helm, &[verb, "r", &chart, &set]).ok();
                let job = stored(&namespace);
                assert_untouched(&job);
                assert_eq!(image(&job), wanted, "{helm:?} {policy}");
                let uid = Some(uid(&namespace));
                assert_ne!(uid, last, "{helm:?} {policy}: no new run");
                last = uid;
            }
            let here = format!("namespace=\"{}\"", namespace.name());
            let ours = wait::until("the log tells of each deploy", || {
                let log = rejob.log();
                let ours = log.lines().filter(|line| line.contains(&here)).map(str::to_owned);
                Some(ours.collect::<Vec<_>>()).filter(|ours| ours.len() >= deploys.len())
            });
            let is_left_alone = |line: &String| line.contains("reason=\"helm_hook\"");
            assert!(ours.iter().all(is_left_alone), "{helm:?} {policy}: {ours:?}");
        }
    }
}

/// The annotation makes no difference to what else the policy says of a change.
#[test]
fn the_policy_counts_for_a_changed_hook() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let hook = |image| {
        let hook = annotated(job(JOB, image), "helm.sh/hook", "post-install");
        annotated(hook, "rejob.dev/on-change", "Deny")
    };
    namespace.create_job(&hook("app:1")).ok();
    let change = json!({ "spec": { "template": { "spec": {
        "containers": [{ "name": "app", "image": "app:2" }] } } } });
    let path = namespace.job_path(JOB);
    let refused = namespace.user().patch("strategic-merge", &path, &change);
    assert_eq!(refused.status, 403, "{}", refused.body);
    let rerun = json!({ "metadata": { "annotations": {
        "rejob.dev/on-change": null, "rejob.dev/rerun": "1" } } });
    let before = uid(&namespace);
    namespace.user().patch("merge", &path, &rerun).ok();
    assert_ne!(uid(&namespace), before);
}
