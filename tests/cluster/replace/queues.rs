//! A queue suspends a Job, writes into its template where it is to run, and starts it. That is the
//! queue's, not the client's: an unchanged deploy leaves it, and a new Job comes without it.

use serde_json::{Value, json};

use support::hook::{self, Hook};
use support::manifest::{annotated, image, labeled};
use support::namespace::has_condition;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::user::User;
use support::wait;

use super::deploy::{Client, JOB, Place};

const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
const WORKLOAD: &str = "kueue.x-k8s.io/workload";

/// The manifest: it says nothing of `suspend`.
fn manifest(image: &str) -> Value {
    let mut job = labeled(Place::manifest(image), QUEUE_NAME, "team-a");
    job["spec"]["template"]["metadata"] = json!({ "annotations": { "example.com/own": "yes" } });
    job
}

/// A queue: a webhook that suspends what is created, and a user who does the rest.
struct Queue {
    user: User,
    /// How its field manager stands in a request.
    manager: &'static str,
    _hook: Hook,
}

impl Queue {
    fn start(plane: &ControlPlane, rejob: &Rejob<'_>) -> Self {
        let options = hook::Options {
            operations: &["CREATE"],
            rewrite: |job| {
                if job["metadata"]["labels"][QUEUE_NAME].is_string() {
                    job["spec"]["suspend"] = json!(true);
                }
            },
            ..hook::Options::default()
        };
        let user = plane.user("kueue-controller", Some("system:masters"));
        let manager = "?fieldManager=kueue";
        Self { user, manager, _hook: Hook::with(plane, rejob, &options) }
    }

    fn write(&self, place: &Place, spec: Value) {
        let path = place.namespace.job_path(JOB) + self.manager;
        self.user.patch("merge", &path, &json!({ "spec": spec })).ok();
    }

    /// Starts the Job where it is to run.
    fn admit(&self, place: &Place) {
        let toleration = json!({ "key": "pool", "operator": "Equal", "value": "a" });
        let template = json!({
            "metadata": { "annotations": { WORKLOAD: "job-nightly-1" } },
            "spec": { "nodeSelector": { "example.com/pool": "a" }, "tolerations": [toleration] },
        });
        self.write(place, json!({ "suspend": false, "template": template }));
        assert_eq!(leaves(&place.job()), 3);
        place.namespace.started_pods(JOB);
    }

    /// Takes its place away again.
    fn suspend(&self, place: &Place) {
        self.write(place, json!({ "suspend": true }));
        wait::until("the Job is suspended", || {
            has_condition(&place.job(), "Suspended").then_some(())
        });
    }

    /// Takes back what it wrote.
    fn take_back(&self, place: &Place) {
        wait::until("its Pods are gone", || {
            place.job()["status"]["active"].as_u64().is_none_or(|pods| pods == 0).then_some(())
        });
        let pod = json!({ "nodeSelector": null, "tolerations": null });
        let metadata = json!({ "annotations": { WORKLOAD: null } });
        self.write(place, json!({ "template": { "metadata": metadata, "spec": pod } }));
        assert_eq!(leaves(&place.job()), 0);
    }
}

/// How much of what the queue wrote is in the template.
fn leaves(job: &Value) -> usize {
    let template = &job["spec"]["template"];
    let there = [
        &template["metadata"]["annotations"][WORKLOAD],
        &template["spec"]["nodeSelector"]["example.com/pool"],
        &template["spec"]["tolerations"][0],
    ];
    there.into_iter().filter(|leaf| !leaf.is_null()).count()
}

/// How a Job stands when it is deployed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Suspended,
    Admitted,
    Running,
    SuspendedAgain,
    Finished,
}

impl State {
    const ALL: [Self; 5] =
        [Self::Suspended, Self::Admitted, Self::Running, Self::SuspendedAgain, Self::Finished];

    /// Brings a Job that has just been deployed there.
    fn reach(self, queue: &Queue, place: &Place) {
        assert_eq!(place.job()["spec"]["suspend"], true);
        if self != Self::Suspended {
            queue.admit(place);
        }
        match self {
            Self::Suspended | Self::Admitted => {}
            Self::Running => place.namespace.ready_pods(JOB),
            Self::SuspendedAgain => queue.suspend(place),
            Self::Finished => place.namespace.finish_pods(JOB),
        }
    }
}

/// How the client sends it: by a client of the other tests, or as what it has read with its own fields
/// laid over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    By(Client),
    PutOfWhatWasRead,
}

const WAYS: [Way; 7] = [
    Way::By(Client::Apply),
    Way::By(Client::ServerSideApply),
    Way::By(Client::ForcedApply),
    Way::By(Client::Helm3),
    Way::By(Client::MergePatch),
    Way::By(Client::StrategicMergePatch),
    Way::PutOfWhatWasRead,
];

impl Way {
    fn send(self, place: &Place, manifest: &Value) -> String {
        match self {
            Self::By(client) => place.send(client, manifest),
            Self::PutOfWhatWasRead if place.namespace.job(JOB).is_none() => {
                place.send(Client::Put, manifest)
            }
            Self::PutOfWhatWasRead => wait::until("nobody else writes in between", || {
                let mut sent = place.job();
                sent["metadata"].as_object_mut().unwrap().remove("uid");
                sent["metadata"]["annotations"] = manifest["metadata"]["annotations"].clone();
                let pod = &mut sent["spec"]["template"]["spec"];
                pod["containers"][0]["image"] = json!(image(manifest));
                let answer = place.request(Client::Put, &sent, "");
                (answer.status != 409).then(|| answer.ok().to_string())
            }),
        }
    }
}

/// Does it for each way and state, side by side.
fn each(states: &[State], rejob: &Rejob<'_>, check: impl Fn(&Place, Way, State) + Sync) {
    std::thread::scope(|scope| {
        for way in WAYS {
            for &state in states {
                let check = &check;
                scope.spawn(move || check(&Place::new(rejob.namespace("replace")), way, state));
            }
        }
    });
}

#[test]
fn an_unchanged_deploy_leaves_what_the_queue_wrote() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let queue = Queue::start(&plane, &rejob);
    each(&State::ALL, &rejob, |place, way, state| {
        way.send(place, &manifest("app:1"));
        state.reach(&queue, place);
        let before = place.job();
        for _ in 0..2 {
            way.send(place, &manifest("app:1"));
            let after = place.job();
            assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"], "{way:?} {state:?}");
            assert_eq!(before["spec"], after["spec"], "{way:?} {state:?}");
        }
    });
}

#[test]
fn a_new_job_comes_without_what_the_queue_wrote() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let queue = Queue::start(&plane, &rejob);
    let states = [State::Admitted, State::SuspendedAgain, State::Finished];
    each(&states, &rejob, |place, way, state| {
        way.send(place, &manifest("app:1"));
        state.reach(&queue, place);
        let uid = place.uid();
        way.send(place, &manifest("app:2"));
        let job = place.job();
        assert_ne!(place.uid(), uid, "{way:?} {state:?}");
        assert_eq!(leaves(&job), 0, "{way:?} {state:?}: {:#}", job["spec"]["template"]);
        let template = &job["spec"]["template"];
        // What the client itself wrote of the same kind stays.
        assert_eq!(template["metadata"]["annotations"]["example.com/own"], "yes", "{way:?}");
        assert_eq!(image(&job), "app:2", "{way:?} {state:?}");
        super::deploy::assert_unmarked(&job);
        // Also where what was read says that the Job is started: the queue starts the new one.
        assert_eq!(job["spec"]["suspend"], true, "{way:?} {state:?}");
        queue.admit(place);
        let uid = place.uid();
        way.send(place, &manifest("app:2"));
        assert_eq!(place.uid(), uid, "{way:?} {state:?}: an unchanged deploy ran again");
        place.assert_ran(2);
    });
}

/// A PUT of a manifest says nothing of the queue, and the one of the namespace takes the new Job as it
/// took the first.
#[test]
fn a_put_leaves_the_new_job_in_its_queue() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let options = hook::Options {
        operations: &["CREATE"],
        rewrite: |job| {
            job["metadata"]["labels"][QUEUE_NAME] = json!("default");
            job["spec"]["suspend"] = json!(true);
        },
        ..hook::Options::default()
    };
    let _hook = Hook::with(&plane, &rejob, &options);
    let place = Place::new(rejob.namespace("replace"));
    for image in ["app:1", "app:2"] {
        place.send(Client::Put, &labeled(Place::manifest(image), "app", "nightly"));
        let job = place.job();
        assert_eq!(job["metadata"]["labels"][QUEUE_NAME], "default");
        assert_eq!(job["spec"]["suspend"], true, "the queue did not start it");
        assert_eq!(support::manifest::image(&job), image);
        super::deploy::assert_unmarked(&job);
    }
}

/// `suspend` in the manifest is a field as any other.
#[test]
fn a_new_job_is_suspended_as_its_manifest_says() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let queue = Queue::start(&plane, &rejob);
    each(&[State::Finished], &rejob, |place, way, state| {
        if way == Way::By(Client::ServerSideApply) {
            return; // A conflict with the queue, as without rejob.
        }
        let suspended = |image: &str| {
            let mut job = annotated(manifest(image), "example.com/image", image);
            job["spec"]["suspend"] = json!(true);
            job
        };
        way.send(place, &suspended("app:1"));
        state.reach(&queue, place);
        let uid = place.uid();
        way.send(place, &suspended("app:2"));
        let job = place.job();
        assert_ne!(place.uid(), uid, "{way:?}");
        assert_eq!(leaves(&job), 0, "{way:?}");
        if way != Way::PutOfWhatWasRead {
            assert_eq!(job["spec"]["suspend"], true, "{way:?}");
            assert_eq!(job["metadata"]["annotations"]["example.com/image"], "app:2", "{way:?}");
        }
        assert_eq!(image(&job), "app:2", "{way:?}");
    });
}

/// As Kueue does.
#[test]
fn a_queue_without_a_field_manager_keeps_what_it_writes_and_takes_back() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let queue = Queue { manager: "", ..Queue::start(&plane, &rejob) };
    for client in [Client::Apply, Client::ServerSideApply, Client::Helm3] {
        let place = Place::new(rejob.namespace("replace"));
        place.send(client, &manifest("app:1"));
        queue.admit(&place);
        let uid = place.uid();
        place.send(client, &manifest("app:1"));
        assert_eq!((place.uid(), leaves(&place.job())), (uid.clone(), 3), "{client:?}");
        queue.suspend(&place);
        queue.take_back(&place);
        queue.admit(&place);
        place.send(client, &manifest("app:2"));
        assert_ne!(place.uid(), uid, "{client:?}");
        assert_eq!(leaves(&place.job()), 0, "{client:?}");
    }
}

/// Whoever pauses a Job and resumes it is no queue: the new Job is not suspended for one to come.
#[test]
fn a_job_that_was_paused_by_hand_is_replaced_by_one_that_runs() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in [Client::Apply, Client::ServerSideApply, Client::Helm3] {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, "app:1");
        for suspended in [true, false] {
            let change = json!({ "spec": { "suspend": suspended } }).to_string();
            place.namespace.kubectl(&["patch", "job", JOB, "-p", &change]).ok();
        }
        place.namespace.started_pods(JOB);
        let uid = place.uid();
        place.namespace.kubectl(&["set", "image", &format!("job/{JOB}"), "*=app:2"]).ok();
        assert_ne!(place.job()["spec"]["suspend"], true, "{client:?}");
        place.assert_runs("app:2");
        assert_ne!(place.uid(), uid, "{client:?}");
    }
}
