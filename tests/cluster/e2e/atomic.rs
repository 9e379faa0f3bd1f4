//! `helm upgrade --atomic` (Helm 4: `--rollback-on-failure`) whose Job fails, hangs or works on.

use std::thread;

use serde_json::{Value, json};

use super::helm::chart;
use support::helm::Helm;
use support::manifest::image;
use support::namespace::{self, Namespace};
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

const JOB: &str = "nightly";
const HELMS: [Helm; 2] = [Helm::V3_22, Helm::V4_3];

/// How long Helm waits where it need not wait to the end.
const LONG: &str = "3m";
/// How long it waits where it does: long enough for all that is to happen before.
const SHORT: &str = "45s";

/// A release whose first Job is finished, as one Helm deploys it.
struct Release {
    helm: Helm,
    namespace: Namespace,
    chart: String,
    first: String,
}

impl Release {
    fn installed(plane: &ControlPlane, rejob: &Rejob<'_>, helm: Helm, values: &[&str]) -> Self {
        Self::installed_in(plane, rejob.namespace("replace"), helm, values)
    }

    fn installed_in(
        plane: &ControlPlane,
        namespace: Namespace,
        helm: Helm,
        values: &[&str],
    ) -> Self {
        let chart = chart(plane).display().to_string();
        let mut args = vec!["install", JOB, &chart];
        args.extend(values);
        namespace.helm(helm, &args).ok();
        namespace.finish_pods(JOB);
        let first = uid(&namespace);
        Self { helm, namespace, chart, first }
    }

    /// What asks for an atomic upgrade to `app:2`.
    fn arguments<'a>(&'a self, timeout: &'a str) -> Vec<&'a str> {
        let atomic = if self.helm == Helm::V3_22 { "--atomic" } else { "--rollback-on-failure" };
        let upgrade = ["upgrade", JOB, &self.chart, "--reuse-values", "--set=image=app:2"];
        [&upgrade[..], &[atomic, "--wait", "--wait-for-jobs", "--timeout", timeout]].concat()
    }

    /// Upgrades atomically; `meanwhile` plays the kubelet.
    fn upgrade(&self, timeout: &str, meanwhile: impl FnOnce(&Namespace)) -> Output {
        let args = self.arguments(timeout);
        thread::scope(|scope| {
            let upgrade = scope.spawn(|| self.namespace.helm(self.helm, &args));
            self.until("app:2", &self.first);
            meanwhile(&self.namespace);
            upgrade.join().unwrap()
        })
    }

    /// Waits for another Job than that one, with that image; its uid.
    fn until(&self, wanted: &str, other: &str) -> String {
        wait::until(&format!("the Job is one of {wanted}"), || {
            let job = self.namespace.job(JOB)?;
            let uid = job["metadata"]["uid"].as_str()?.to_owned();
            (image(&job) == wanted && uid != other && job["spec"]["parallelism"] == 1)
                .then_some(uid)
        })
    }

    /// Waits for the Job of the rollback, and finishes it; its uid.
    fn rolled_back(&self) -> String {
        let second = uid(&self.namespace);
        let third = self.until("app:1", &second);
        self.namespace.finish_pods(JOB);
        third
    }

    /// The status of the newest revision, and its number.
    fn status(&self) -> (String, i64) {
        let output = self.namespace.helm(self.helm, &["history", JOB, "--output=json"]).ok();
        let history: Value = serde_json::from_str(&output.stdout).unwrap();
        let last = history.as_array().and_then(|all| all.last()).unwrap().clone();
        (last["status"].as_str().unwrap().to_owned(), last["revision"].as_i64().unwrap())
    }

    /// The first version is deployed again, and one more upgrade to it runs nothing.
    fn assert_is_the_first_again(&self, third: &str) {
        assert_eq!(self.status(), ("deployed".to_owned(), 3), "{:?}", self.helm);
        let job = self.namespace.job(JOB).unwrap();
        assert_eq!((image(&job), uid(&self.namespace).as_str()), ("app:1", third));
        assert_ne!(third, self.first, "the first version has run again");
        let annotations = job["metadata"]["annotations"].as_object().unwrap();
        let mut ours = annotations.keys().filter(|key| key.contains("rejob.dev"));
        let known = ["rejob.dev/template-hash", "rejob.dev/while-running"];
        assert!(ours.all(|key| known.contains(&key.as_str())), "{job:#}");
        self.namespace.helm(self.helm, &["upgrade", JOB, &self.chart, "--reuse-values"]).ok();
        assert_eq!(uid(&self.namespace), third, "{:?}", self.helm);
    }
}

fn uid(namespace: &Namespace) -> String {
    namespace.job(JOB).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// What a kubelet writes of a container that ended with exit code 1.
fn fail_pod(namespace: &Namespace) {
    let pod = namespace.started_pods(JOB).remove(0);
    let status = json!({ "status": {
        "phase": "Failed",
        "conditions": [{ "type": "Ready", "status": "False", "reason": "PodFailed" }],
        "containerStatuses": [{
            "name": "app", "image": pod["spec"]["containers"][0]["image"], "imageID": "",
            "ready": false, "started": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 1, "reason": "Error" } },
        }],
    }});
    let path = format!("/api/v1/namespaces/{}/pods", namespace.name());
    let name = namespace::name_of(&pod);
    namespace.user().patch("merge", &format!("{path}/{name}/status"), &status).ok();
}

/// Does it with both, side by side: most of the time is waiting.
fn by_each_helm(check: impl Fn(Helm) + Sync) {
    let check = &check;
    thread::scope(|scope| {
        for helm in HELMS {
            scope.spawn(move || check(helm));
        }
    });
}

#[test]
fn an_atomic_upgrade_whose_job_fails_is_rolled_back() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    by_each_helm(|helm| {
        let release = Release::installed(&plane, &rejob, helm, &[]);
        let mut third = String::new();
        let output = release.upgrade(LONG, |namespace| {
            fail_pod(namespace);
            third = release.rolled_back();
        });
        assert_ne!(output.code, 0, "{helm:?}");
        assert!(!output.stderr.contains("immutable"), "{helm:?}: {}", output.stderr);
        release.assert_is_the_first_again(&third);
    });
}

#[test]
fn an_atomic_upgrade_whose_job_hangs_is_rolled_back_at_once() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    by_each_helm(|helm| {
        let release = Release::installed(&plane, &rejob, helm, &[]);
        let mut third = String::new();
        let output = release.upgrade(SHORT, |_| third = release.rolled_back());
        assert_ne!(output.code, 0, "{helm:?}");
        release.assert_is_the_first_again(&third);
    });
}

#[test]
fn the_rollback_of_an_atomic_upgrade_whose_job_works_on_waits_and_then_fails() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, "policies:\n  replace: { waitSeconds: 5 }\n");
    by_each_helm(|helm| {
        let release = Release::installed(&plane, &rejob, helm, &[]);
        let mut second = String::new();
        let output = release.upgrade(SHORT, |namespace| {
            namespace.ready_pods(JOB);
            second = uid(namespace);
        });
        assert_ne!(output.code, 0, "{helm:?}");
        for said in ["original upgrade error", "waitSeconds"] {
            assert!(output.stderr.contains(said), "{helm:?}: {}", output.stderr);
        }
        assert!(!output.stderr.contains("immutable"), "{helm:?}: {}", output.stderr);
        assert_eq!(release.status(), ("failed".to_owned(), 3), "{helm:?}");
        let job = release.namespace.job(JOB).unwrap();
        assert_eq!((image(&job), uid(&release.namespace)), ("app:2", second), "{helm:?}");
    });
}

#[test]
fn a_chart_that_replaces_while_running_is_rolled_back_while_its_job_works() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    by_each_helm(|helm| {
        let values = ["--set=annotations.rejob\\.dev/while-running=Replace"];
        let release = Release::installed(&plane, &rejob, helm, &values);
        let mut third = String::new();
        let output = release.upgrade(SHORT, |namespace| {
            namespace.ready_pods(JOB);
            third = release.rolled_back();
        });
        assert_ne!(output.code, 0, "{helm:?}");
        release.assert_is_the_first_again(&third);
    });
}

#[test]
fn without_rejob_an_atomic_upgrade_of_a_changed_job_deploys_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    by_each_helm(|helm| {
        let release = Release::installed_in(&plane, rejob.unlabeled_namespace(), helm, &[]);
        let output = release.namespace.helm(helm, &release.arguments(LONG));
        assert_ne!(output.code, 0, "{helm:?}");
        assert!(output.stderr.contains("field is immutable"), "{helm:?}: {}", output.stderr);
        assert_eq!(uid(&release.namespace), release.first, "{helm:?}");
        assert_eq!(release.status(), ("deployed".to_owned(), 3), "{helm:?}");
    });
}
