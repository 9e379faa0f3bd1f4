//! A Job that takes the place of another while the Pods of that one are being made.
//!
//! Before Kubernetes 1.37.2 the Job controller keeps what it expects of Pods under
//! a Job's *name* (kubernetes/kubernetes issue 131917): a Pod that appears when its Job has been
//! replaced is never counted, and the new Job waits for it, five minutes and then until it is
//! changed. So it is by hand as well, which the control here shows; rejob waits for the Pods.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use support::binaries::Binaries;
use support::kubelet::{State, status};
use support::manifest::job;
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::rejob::Rejob;
use support::user::User;
use support::wait;

use super::deploy::{Client, JOB, Place, uid_of};

/// The first of the releases here whose Job controller forgets what it expects when a Job goes.
const MENDED: u32 = 37;
/// `ExpectationsTimeout` in `pkg/controller/controller_utils.go` is five minutes.
const EXPECTATIONS_TIMEOUT: Duration = Duration::from_mins(5);

/// Holds every creation of a Pod in a namespace until it is opened: a webhook that does not answer,
/// and need not.
struct Gate {
    admin: User,
    configuration: String,
    held: Receiver<TcpStream>,
}

const CONFIGURATIONS: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

impl Gate {
    fn close(plane: &ControlPlane, namespace: &Namespace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, held) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if send.send(stream).is_err() {
                    return;
                }
            }
        });
        let configuration = format!("gate-{}", plane::unique());
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": configuration },
            "webhooks": [{
                "name": "gate.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/"),
                    "caBundle": STANDARD.encode(plane.pki().ca()),
                },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                    "operations": ["CREATE"], "scope": "Namespaced",
                }],
                "namespaceSelector": { "matchLabels": {
                    "kubernetes.io/metadata.name": namespace.name(),
                }},
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 30,
            }],
        });
        let admin = plane.admin();
        admin.post(CONFIGURATIONS, &object).ok();
        let gate = Self { admin, configuration, held };
        wait::until("the API server calls the gate", || gate.catches_a_pod(namespace));
        gate
    }

    /// Whether a dry run is held.
    fn catches_a_pod(&self, namespace: &Namespace) -> Option<()> {
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace.name());
        let template = job("probe", "probe:1")["spec"]["template"].clone();
        let pod = json!({ "metadata": { "name": "probe" }, "spec": template["spec"] });
        let admin = self.admin.clone();
        let probe = std::thread::spawn(move || admin.post(&path, &pod).ok());
        let caught = loop {
            match self.held.recv_timeout(Duration::from_millis(20)) {
                Ok(stream) => {
                    drop(stream);
                    break Some(());
                }
                Err(_) if probe.is_finished() => break None,
                Err(_) => {}
            }
        };
        probe.join().expect("a Pod passes");
        while self.held.try_recv().is_ok() {}
        caught
    }

    /// Waits until a Pod is being created.
    fn holds(&self) -> TcpStream {
        self.held.recv_timeout(wait::DEADLINE).expect("a Pod is being created")
    }

    /// Lets all of them through.
    fn open(self, held: Vec<TcpStream>) {
        let path = format!("{CONFIGURATIONS}/{}", self.configuration);
        self.admin.delete(&path, &json!({})).ok();
        drop(held);
        // Whoever comes until the API server has taken notice: the connection is closed.
        std::thread::spawn(move || self.held.iter().for_each(drop));
    }
}

/// Makes a Job, and when its Pod is being made, another one in its place; then the Pod appears.
fn recreate_while_its_pod_is_made(plane: &ControlPlane, place: &Place, recreate: impl FnOnce()) {
    let namespace = &place.namespace;
    let gate = Gate::close(plane, namespace);
    namespace.create_job(&job(JOB, "app:1")).ok();
    let mut held = vec![gate.holds()];
    let old = place.uid();
    recreate();
    assert_ne!(place.uid(), old);
    // The Job controller sees Jobs in their order: it has seen the new one when it is at this one.
    namespace.create_job(&job("later", "app:1")).ok();
    held.push(gate.holds());
    gate.open(held);
    namespace.user().delete(&namespace.job_path("later"), &background()).ok();
}

fn background() -> Value {
    json!({ "propagationPolicy": "Background" })
}

/// The new Job starts: by itself, or where the Job controller waits for Pods that it has seen, by
/// the first change after five minutes, and by none before.
fn assert_starts_in_the_end(place: &Place) {
    if Binaries::get().minor < MENDED {
        wait::until("the Job controller has looked at the Job", || {
            place.job()["status"]["startTime"].is_string().then_some(())
        });
        let begun = Instant::now();
        wait::within(EXPECTATIONS_TIMEOUT * 2, "a change starts the Job", || {
            let label = json!({ "touched": begun.elapsed().as_secs().to_string() });
            let change = json!({ "metadata": { "labels": label } });
            place.namespace.user().patch("merge", &place.namespace.job_path(JOB), &change).ok();
            wait::poll(Duration::from_secs(5), || {
                (!place.namespace.pods(&place.uid()).is_empty()).then_some(())
            })
        });
        let took = begun.elapsed();
        assert!(took > EXPECTATIONS_TIMEOUT / 2, "the Job controller did not wait: {took:?}");
    }
    place.assert_runs("app:2");
}

#[test]
fn by_hand_without_rejob() {
    let plane = ControlPlane::shared();
    let place = Place::new(plane.namespace("by-hand", &[]));
    recreate_while_its_pod_is_made(&plane, &place, || {
        let namespace = &place.namespace;
        namespace.user().delete(&namespace.job_path(JOB), &background()).ok();
        namespace.create_job(&job(JOB, "app:2")).ok();
    });
    assert_starts_in_the_end(&place);
}

#[test]
fn by_rejob_when_the_pod_takes_longer_than_rejob_waits() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    recreate_while_its_pod_is_made(&plane, &place, || place.deploy(Client::MergePatch, "app:2"));
    assert_starts_in_the_end(&place);
}

/// On every version the new Job starts by itself; where the Job controller forgets, rejob need not
/// wait for that.
#[test]
fn rejob_waits_for_a_pod_that_is_being_made() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in [Client::MergePatch, Client::Put, Client::ForcedApply] {
        let place = Place::new(rejob.namespace("replace"));
        let gate = Gate::close(&plane, &place.namespace);
        place.namespace.create_job(&job(JOB, "app:1")).ok();
        let held = vec![gate.holds()];
        let old = place.uid();
        std::thread::scope(|scope| {
            scope.spawn(|| place.deploy(client, "app:2"));
            let replaced = || {
                let stands = place.namespace.job(JOB).is_some_and(|job| uid_of(&job) == old);
                (!stands).then_some(())
            };
            if Binaries::get().minor >= MENDED {
                wait::until("it is replaced while its Pod is being made", replaced);
            } else {
                // Without the wait it is replaced at once; on a slow machine this only sees less.
                let early = wait::poll(Duration::from_secs(1), replaced);
                assert!(early.is_none(), "{client:?}: replaced while its Pod was being made");
            }
            gate.open(held);
        });
        place.assert_runs("app:2");
        assert_ne!(place.uid(), old);
    }
}

/// The Job controller counts Pods when it has made all of a sync: with several, the first one may
/// run before that.
#[test]
fn a_pod_that_runs_while_others_are_being_made_is_waited_for() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let gate = Gate::close(&plane, &place.namespace);
    let mut several = job(JOB, "app:1");
    several["spec"]["parallelism"] = json!(3);
    several["spec"]["completions"] = json!(3);
    place.namespace.create_job(&several).ok();
    // The first one is made alone, to see whether it can be.
    drop(gate.holds());
    let held = vec![gate.holds()];
    let old = place.uid();
    let pods = place.namespace.pods(&old);
    let running = status(&pods[0], "Running", &[("app", State::Running { ready: true })]);
    place.namespace.set_status(&pods[0], &running);
    assert!(place.job()["status"].get("active").is_none(), "{}", place.job()["status"]);
    let path = format!("{}?fieldManager=test", place.namespace.job_path(JOB));
    let image = json!([{ "name": "app", "image": "app:2" }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": image } } } });
    let answer = place.namespace.user().patch("strategic-merge", &path, &change);
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert_eq!(place.uid(), old);
    gate.open(held);
}
