//! A Job works when any container of its Pods runs, ready or not, and then `whileRunning` says what
//! a change does; a Job that hangs is replaced at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use support::hook::{self, Hook};
use support::kubelet::{self, State, status};
use support::manifest::image;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::user::Answer;
use support::wait;

use super::deploy::{JOB, Place};

const POLICIES: &str = "\
policies:
  replace: {}
  running-replace: { whileRunning: Replace }
  running-deny: { whileRunning: Deny }
";

const RUNS: State = State::Running { ready: true };
const RUNS_UNREADY: State = State::Running { ready: false };
const PULLS: State = State::Waiting("ContainerCreating");
/// An init container of this name has the restart policy Always.
const SIDECAR: &str = "proxy";

/// What a Job's Pods do.
struct Situation {
    what: &'static str,
    init: &'static [&'static str],
    containers: &'static [&'static str],
    pods: i64,
    play: fn(&Namespace, &[Value]),
}

impl Situation {
    /// The manifest, with that image in the first container.
    fn manifest(&self, image: &str) -> Value {
        let container = |name: &&str| json!({ "name": name, "image": "same:1" });
        let mut init: Vec<_> = self.init.iter().map(container).collect();
        for sidecar in init.iter_mut().filter(|container| container["name"] == SIDECAR) {
            sidecar["restartPolicy"] = json!("Always");
        }
        let mut containers: Vec<_> = self.containers.iter().map(container).collect();
        containers[0]["image"] = json!(image);
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": JOB },
            "spec": {
                "parallelism": self.pods, "completions": self.pods, "backoffLimit": 3,
                "template": { "spec": { "restartPolicy": "OnFailure", "containers": containers } },
            },
        });
        if !init.is_empty() {
            job["spec"]["template"]["spec"]["initContainers"] = json!(init);
        }
        job
    }

    /// The Job in that situation, in a namespace of that policy.
    fn place(&self, rejob: &Rejob<'_>, policy: &str) -> Place {
        let place = Place::new(rejob.namespace(policy));
        let namespace = &place.namespace;
        Way::Apply.send(namespace, &self.manifest("app:1"), "").ok();
        let pods = wait::until("all Pods of the Job are there, and counted", || {
            let job = place.job();
            let pods = namespace.pods(&place.uid());
            let there = i64::try_from(pods.len()) == Ok(self.pods);
            (there && job["status"]["active"] == self.pods).then_some(pods)
        });
        for pod in &pods {
            namespace.bind(pod);
        }
        (self.play)(namespace, &pods);
        place
    }
}

/// How a change is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Apply,
    /// As `kubectl apply` sends it.
    StrategicMerge,
    Merge,
}

impl Way {
    const ALL: [Self; 3] = [Self::Apply, Self::StrategicMerge, Self::Merge];

    fn send(self, namespace: &Namespace, manifest: &Value, query: &str) -> Answer {
        let (user, path) = (namespace.user(), namespace.job_path(JOB));
        match self {
            Self::Apply => {
                user.apply(&format!("{path}?fieldManager=test&force=true{query}"), manifest)
            }
            Self::StrategicMerge => {
                let query = format!("?fieldManager=kubectl-client-side-apply{query}");
                user.patch("strategic-merge", &format!("{path}{query}"), manifest)
            }
            Self::Merge => {
                user.patch("merge", &format!("{path}?fieldManager=test{query}"), manifest)
            }
        }
    }
}

/// Every Pod in that phase, its containers in those states.
fn every(namespace: &Namespace, pods: &[Value], phase: &str, states: &[(&str, State)]) {
    for pod in pods {
        namespace.set_status(pod, &status(pod, phase, states));
    }
}

/// Deletes a Pod that is on a node: it stays until a kubelet has ended it, and here is none.
fn delete(namespace: &Namespace, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{}/pods/{name}", namespace.name());
    namespace.user().delete(&path, &json!({})).ok();
}

fn wait_until_terminating(namespace: &Namespace, pods: i64) {
    wait::until("the Job controller has counted the terminating Pods", || {
        (namespace.job(JOB)?["status"]["terminating"] == pods).then_some(())
    });
}

fn working() -> Vec<Situation> {
    let plain = |what, play| Situation { what, init: &[], containers: &["app"], pods: 1, play };
    vec![
        Situation {
            init: &["migrate"],
            ..plain("an init container runs", |namespace, pods| {
                every(namespace, pods, "Pending", &[("migrate", RUNS_UNREADY)]);
            })
        },
        Situation {
            init: &[SIDECAR, "migrate"],
            ..plain("an init container runs beside a sidecar", |namespace, pods| {
                let states = [(SIDECAR, RUNS), ("migrate", RUNS_UNREADY)];
                every(namespace, pods, "Pending", &states);
            })
        },
        Situation {
            containers: &["app", "upload"],
            ..plain("one of two containers has ended", |namespace, pods| {
                every(namespace, pods, "Running", &[("app", State::Ended(0)), ("upload", RUNS)]);
            })
        },
        plain("the readiness probe is not met", |namespace, pods| {
            every(namespace, pods, "Running", &[("app", RUNS_UNREADY)]);
        }),
        Situation {
            pods: 3,
            ..plain("one Pod of three works", |namespace, pods| {
                let states =
                    [State::Waiting("ImagePullBackOff"), State::CrashLooping, RUNS_UNREADY];
                for (pod, state) in pods.iter().zip(states) {
                    namespace.set_status(pod, &status(pod, "Running", &[("app", state)]));
                }
            })
        },
        plain("the Job is suspended and its Pod terminates", |namespace, pods| {
            every(namespace, pods, "Running", &[("app", RUNS)]);
            let suspended = json!({ "spec": { "suspend": true } });
            namespace.user().patch("merge", &namespace.job_path(JOB), &suspended).ok();
            wait_until_terminating(namespace, 1);
        }),
        plain("the Pod is on a node that is lost, and another one is made", |namespace, pods| {
            every(namespace, pods, "Running", &[("app", RUNS_UNREADY)]);
            delete(namespace, &pods[0]);
            wait_until_terminating(namespace, 1);
        }),
        Situation {
            pods: 2,
            ..plain("the Job is failing and a Pod of it terminates", |namespace, pods| {
                let policy = json!({ "backoffLimit": 0, "podReplacementPolicy": "Failed" });
                let policy = json!({ "spec": policy });
                namespace.user().patch("merge", &namespace.job_path(JOB), &policy).ok();
                every(namespace, &pods[1..], "Running", &[("app", RUNS)]);
                every(namespace, &pods[..1], "Failed", &[("app", State::Ended(1))]);
                wait_until_terminating(namespace, 1);
            })
        },
    ]
}

fn hanging() -> Vec<Situation> {
    let plain = |what, play| Situation { what, init: &[], containers: &["app"], pods: 1, play };
    vec![
        plain("no node has room", |namespace, pods| {
            namespace.set_status(&pods[0], &kubelet::unschedulable());
        }),
        plain("its containers are being created", |namespace, pods| {
            every(namespace, pods, "Pending", &[("app", PULLS)]);
        }),
        plain("its image cannot be pulled", |namespace, pods| {
            every(namespace, pods, "Pending", &[("app", State::Waiting("ErrImagePull"))]);
            every(namespace, pods, "Pending", &[("app", State::Waiting("ImagePullBackOff"))]);
        }),
        plain("its Secret is missing", |namespace, pods| {
            let waiting = State::Waiting("CreateContainerConfigError");
            every(namespace, pods, "Pending", &[("app", waiting)]);
        }),
        plain("it crashes again and again", |namespace, pods| {
            every(namespace, pods, "Running", &[("app", State::CrashLooping)]);
        }),
        Situation {
            init: &["migrate"],
            ..plain("its init container crashes again and again", |namespace, pods| {
                every(namespace, pods, "Pending", &[("migrate", State::CrashLooping)]);
            })
        },
        Situation {
            init: &[SIDECAR, "migrate"],
            ..plain("only a sidecar runs", |namespace, pods| {
                let pulls = State::Waiting("ImagePullBackOff");
                let states = [(SIDECAR, RUNS), ("migrate", State::Ended(0)), ("app", pulls)];
                every(namespace, pods, "Pending", &states);
            })
        },
        Situation {
            pods: 2,
            ..plain("a Pod that has ended is being deleted", |namespace, pods| {
                let name = pods[0]["metadata"]["name"].as_str().unwrap();
                let path = format!("/api/v1/namespaces/{}/pods/{name}", namespace.name());
                let held = json!({ "metadata": { "finalizers": ["example.com/logs"] } });
                namespace.user().patch("strategic-merge", &path, &held).ok();
                every(namespace, &pods[..1], "Failed", &[("app", State::Ended(1))]);
                every(namespace, &pods[1..], "Pending", &[("app", PULLS)]);
                delete(namespace, &pods[0]);
                wait::until("the Job controller has counted the failed Pod", || {
                    (namespace.job(JOB)?["status"]["failed"] == 1).then_some(())
                });
            })
        },
    ]
}

/// Runs that for each of the situations, side by side.
fn each(situations: Vec<Situation>, check: impl Fn(&Situation) + Sync) {
    std::thread::scope(|scope| {
        for situation in situations {
            let check = &check;
            scope.spawn(move || check(&situation));
        }
    });
}

#[test]
fn a_job_that_works_is_waited_for() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    each(working(), |situation| {
        let place = situation.place(&rejob, "replace");
        let (uid, changed) = (place.uid(), situation.manifest("app:2"));
        for way in Way::ALL {
            let what = format!("{}, {way:?}", situation.what);
            let answer = way.send(&place.namespace, &changed, "");
            assert_eq!(answer.status, 429, "{what}: {}", answer.body);
            assert!(answer.message().contains("is still running"), "{what}: {}", answer.body);
            assert!(answer.retry_after.is_some(), "{what}");
            // A dry run does not wait: it says that the real run would.
            let dry = way.send(&place.namespace, &changed, "&dryRun=All");
            assert_eq!(dry.status, 200, "{what}: {}", dry.body);
            let waits = |warning: &String| warning.contains("is running: the real run waits");
            assert!(dry.warnings.iter().any(waits), "{what}: {:?}", dry.warnings);
            assert_eq!(place.uid(), uid, "{what}");
        }
        assert_eq!(image(&place.job()), "app:1", "{}", situation.what);
    });
}

#[test]
fn while_running_deny_refuses_a_job_that_works() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    each(working(), |situation| {
        let place = situation.place(&rejob, "running-deny");
        let uid = place.uid();
        let answer = Way::Merge.send(&place.namespace, &situation.manifest("app:2"), "");
        assert_eq!(answer.status, 403, "{}: {}", situation.what, answer.body);
        let words = "whileRunning is Deny";
        assert!(answer.message().contains(words), "{}: {}", situation.what, answer.body);
        assert_eq!(place.uid(), uid, "{}", situation.what);
    });
}

#[test]
fn while_running_replace_replaces_a_job_that_works() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    each(working(), |situation| {
        assert_replaced_at_once(situation, &situation.place(&rejob, "running-replace"));
    });
}

#[test]
fn a_job_that_hangs_is_replaced_at_once() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    each(hanging(), |situation| {
        assert_replaced_at_once(situation, &situation.place(&rejob, "replace"));
    });
}

#[track_caller]
fn assert_replaced_at_once(situation: &Situation, place: &Place) {
    let mut uid = place.uid();
    for (way, image_of_it) in Way::ALL.into_iter().zip(["app:2", "app:3", "app:4"]) {
        let what = format!("{}, {way:?}", situation.what);
        let answer = way.send(&place.namespace, &situation.manifest(image_of_it), "");
        assert!(answer.status < 300, "{what}: {} {}", answer.status, answer.body);
        assert_ne!(place.uid(), uid, "{what}");
        assert_eq!(image(&place.job()), image_of_it, "{what}");
        uid = place.uid();
    }
}

/// Without the right to list Pods nobody knows what they do.
#[test]
fn a_job_whose_pods_cannot_be_looked_at_counts_as_working() {
    let plane = ControlPlane::shared();
    let forbidden = Options { forbidden: Some("pods"), ..Options::default() };
    let rejob = Rejob::start(&plane, &forbidden);
    let hangs = hanging().into_iter().filter(|situation| situation.what.contains("image"));
    each(hangs.collect(), |situation| {
        let place = situation.place(&rejob, "replace");
        let uid = place.uid();
        for way in Way::ALL {
            let answer = way.send(&place.namespace, &situation.manifest("app:2"), "");
            assert_eq!(answer.status, 429, "{way:?}: {}", answer.body);
            assert_eq!(place.uid(), uid, "{way:?}");
        }
    });
}

/// Whether another webhook has been asked about a new Job, and whether it may answer.
static ASKED: AtomicBool = AtomicBool::new(false);
static MAY_ANSWER: AtomicBool = AtomicBool::new(false);

/// Takes until the test says so over the creation of the new Job under its own name: the probe under
/// another one comes before the first look at the Pods.
fn takes_until_told(request: &Value) -> Duration {
    let job = &request["object"];
    if image(job) == "app:2" && job["metadata"]["name"] == JOB {
        ASKED.store(true, Ordering::SeqCst);
        wait::until("the test lets the hook answer", || {
            MAY_ANSWER.load(Ordering::SeqCst).then_some(())
        });
    }
    Duration::ZERO
}

/// The Job controller writes the status of a Job about a second after a container of it has begun to
/// run, and where the Pod is not ready, it never does.
#[test]
fn a_container_that_starts_during_the_checks_is_waited_for() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::start(&plane, &Options { timeout_seconds: 30, ..Options::default() });
    let options = hook::Options {
        operations: &["CREATE"],
        takes: takes_until_told,
        ..hook::Options::default()
    };
    let _hook = Hook::with(&plane, &rejob, &options);
    let hangs = hanging().into_iter().find(|situation| situation.what.contains("being created"));
    let hangs = hangs.unwrap();
    let place = hangs.place(&rejob, "replace");
    let (uid, pods) = (place.uid(), place.namespace.pods(&place.uid()));
    let changed = hangs.manifest("app:2");
    let answer = std::thread::scope(|scope| {
        let request = scope.spawn(|| Way::Merge.send(&place.namespace, &changed, ""));
        wait::until("the checks are under way", || ASKED.load(Ordering::SeqCst).then_some(()));
        every(&place.namespace, &pods, "Running", &[("app", RUNS_UNREADY)]);
        MAY_ANSWER.store(true, Ordering::SeqCst);
        request.join().unwrap()
    });
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(answer.message().contains("is still running"), "{}", answer.body);
    assert_eq!((place.uid(), image(&place.job())), (uid, "app:1"));
}
