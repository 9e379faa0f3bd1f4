//! The self-managed way on a real API server: replicas agree on one CA, certificates, CAs and
//! tokens rotate under load without a failed review, and whoever owns the webhook configuration
//! keeps owning it.

mod support;

#[path = "certs_support/verify.rs"]
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rejob::certs::manager::{Manager, SystemRandom};
use rejob::certs::plan::Lives;
use rejob::certs::store::ClusterStore;
use rejob::certs::{CertSlot, Clock, Readiness, SystemClock, accepted_tokens};
use rejob::metrics::Metrics;
use rejob::server::{Limits, ReviewError, Reviewer, Server, Setup, admin, tls};
use rustls::server::NoClientAuth;
use serde_json::{Value, json};
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::user::User;
use support::wait;
use tokio::runtime::Runtime;
use verify::verifies;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A wall clock that begins 40 days ago and moves by whole days when told: what is issued on the
/// way is valid by the API server's clock as well.
#[derive(Clone, Default)]
struct DayClock(Arc<AtomicI64>);

impl Clock for DayClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() - SignedDuration::from_hours(24 * (40 - self.0.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

/// A leaf a day, a CA every three days, and time for API servers to notice.
fn lives() -> Lives {
    let day = Duration::from_hours(24);
    Lives {
        cert: day * 100,
        ca: day * 300,
        renew: (1, 100),
        interval: Duration::from_millis(100),
        settle: Duration::from_secs(4),
        skew: Duration::from_mins(5),
    }
}

/// Allows every review and counts them.
#[derive(Debug, Default)]
struct Allow(AtomicUsize);

impl Reviewer for Allow {
    async fn review(
        &self,
        _policy: &str,
        body: Bytes,
        _deadline: tokio::time::Instant,
    ) -> Result<Bytes, ReviewError> {
        let review: Value = serde_json::from_slice(&body)
            .map_err(|error| ReviewError::NotAReview(error.to_string()))?;
        self.0.fetch_add(1, Ordering::SeqCst);
        let answer = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": { "uid": review["request"]["uid"], "allowed": true },
        });
        Ok(answer.to_string().into())
    }
}

/// A webhook server with its manager.
struct Replica {
    slot: CertSlot,
    readiness: Readiness,
    reviews: Arc<Allow>,
    clock: DayClock,
    port: u16,
    start: Option<Box<dyn FnOnce() + Send>>,
}

/// A namespace for the Secret, a configuration, and a service account with the rights the chart
/// gives for the two.
struct Site<'p> {
    plane: &'p ControlPlane,
    runtime: Runtime,
    namespace: Namespace,
    configuration: String,
    account: User,
    clock: DayClock,
}

impl<'p> Site<'p> {
    fn new(plane: &'p ControlPlane) -> Self {
        let namespace = plane.namespace("certs", &[]);
        let configuration = format!("00-rejob-{}", namespace.name());
        let account = account(plane, &namespace, &configuration);
        let runtime = Runtime::new().unwrap();
        let clock = DayClock::default();
        Self { plane, runtime, namespace, configuration, account, clock }
    }

    /// A replica whose server listens; its manager waits for [`Replica::start`].
    fn replica(&self) -> Replica {
        let slot = CertSlot::empty();
        let (tokens, readiness) = (accepted_tokens(), Readiness::when_published(slot.clone()));
        let reviews = Arc::new(Allow::default());
        let (server, port) = self.runtime.block_on(async {
            let local = "127.0.0.1:0".parse().unwrap();
            let server = Server::bind(Setup {
                listen: local,
                admin_listen: local,
                tls: Arc::new(tls::config(Arc::new(slot.clone()), Arc::new(NoClientAuth)).unwrap()),
                limits: Limits::default(),
                tokens: tokens.clone(),
                readiness: admin::Readiness::of(vec![]),
                metrics: Metrics::new(),
                reviewer: Arc::clone(&reviews),
            });
            let server = server.await.unwrap();
            let port = server.addresses().unwrap().0.port();
            (server, port)
        });
        self.runtime.spawn(server.run(std::future::pending()));
        let kubeconfig = self.account.kubeconfig().to_owned();
        let (secret_namespace, configuration) =
            (self.namespace.name().to_owned(), self.configuration.clone());
        let (lives, clock, handle) = (lives(), self.clock.clone(), self.runtime.handle().clone());
        let (own_slot, own_readiness) = (slot.clone(), readiness.clone());
        let start = move || {
            handle.spawn(async move {
                let config = rejob::cluster::config(Some(&kubeconfig)).await.unwrap().unwrap();
                let client = kube::Client::try_from(config).unwrap();
                let store = ClusterStore::new(client, &secret_namespace, "tls", &configuration);
                let names = vec!["rejob.test".to_owned()];
                Manager::new(
                    store,
                    clock,
                    SystemRandom,
                    names,
                    lives,
                    own_slot,
                    tokens,
                    own_readiness,
                )
                .run()
                .await;
            });
        };
        let start: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(start));
        Replica { slot, readiness, reviews, clock: self.clock.clone(), port, start }
    }

    /// Creates the configuration with an entry for each replica, as a chart does: without caBundle.
    fn configure(&self, replicas: &[Replica]) {
        let entry = |(index, replica): (usize, &Replica)| {
            json!({
                "name": format!("policy{index}.rejob.dev"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": format!("https://127.0.0.1:{}/", replica.port) },
                "rules": [{
                    "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                    "operations": ["CREATE"],
                }],
                "namespaceSelector": { "matchLabels": {
                    "kubernetes.io/metadata.name": self.namespace.name(),
                }},
                "sideEffects": "None", "failurePolicy": "Fail",
            })
        };
        let webhooks: Vec<Value> = replicas.iter().enumerate().map(entry).collect();
        let metadata = json!({ "name": self.configuration });
        let configuration = json!({ "metadata": metadata, "webhooks": webhooks });
        self.plane.admin().post(CONFIGURATIONS, &configuration).ok();
    }

    fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/tls", self.namespace.name())
    }

    /// A key of the Secret; `None` while there is none.
    fn secret(&self, key: &str) -> Option<String> {
        let answer = self.plane.admin().get(&self.secret_path());
        let value = answer.body["data"][key].as_str()?;
        Some(String::from_utf8(STANDARD.decode(value).unwrap()).unwrap())
    }

    fn published(&self) -> Value {
        self.plane.admin().get(&format!("{CONFIGURATIONS}/{}", self.configuration)).ok()
    }

    /// Whether all replicas serve the Secret's certificate.
    fn all_serve(&self, replicas: &[Replica]) -> Option<()> {
        let cert = self.secret("tls.crt")?;
        let served = |replica: &Replica| {
            let pair = replica.slot.current()?;
            let pem = rejob::certs::load_pair(
                cert.as_bytes(),
                self.secret("tls.key")?.as_bytes(),
                self.clock.now(),
            );
            (pair.key.cert == pem.ok()?.key.cert).then_some(())
        };
        replicas.iter().all(|replica| served(replica).is_some()).then_some(())
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let path = format!("{CONFIGURATIONS}/{}", self.configuration);
        self.plane.admin().delete(&path, &json!({}));
    }
}

impl Replica {
    fn start(&mut self) {
        self.start.take().expect("start once")();
    }

    fn wait_until_ready(&self) {
        let check = || self.readiness.check(&self.clock);
        let ready = wait::poll(wait::DEADLINE, || check().ok());
        assert!(ready.is_some(), "{}", check().unwrap_err());
    }
}

/// The rights of the self-managed way and no others.
fn account(plane: &ControlPlane, namespace: &Namespace, configuration: &str) -> User {
    let admin = plane.admin();
    let name = namespace.name();
    let metadata = json!({ "name": configuration });
    admin
        .post(
            &format!("/api/v1/namespaces/{name}/serviceaccounts"),
            &json!({ "metadata": metadata }),
        )
        .ok();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let subjects = json!([{ "kind": "ServiceAccount", "name": configuration, "namespace": name }]);
    let reference = |kind| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": configuration });
    let secrets = json!([
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["create"] },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"], "resourceNames": ["tls"] },
    ]);
    let own = format!("{rbac}/namespaces/{name}");
    admin.post(&format!("{own}/roles"), &json!({ "metadata": metadata, "rules": secrets })).ok();
    let binding =
        json!({ "metadata": metadata, "roleRef": reference("Role"), "subjects": subjects });
    admin.post(&format!("{own}/rolebindings"), &binding).ok();
    let configurations = json!([{
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["get", "patch"], "resourceNames": [configuration],
    }]);
    let role = json!({ "metadata": metadata, "rules": configurations });
    admin.post(&format!("{rbac}/clusterroles"), &role).ok();
    let binding =
        json!({ "metadata": metadata, "roleRef": reference("ClusterRole"), "subjects": subjects });
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).ok();
    plane.service_account(name, configuration)
}

/// A dry-run create, which calls every entry of the configuration.
fn review(site: &Site<'_>) -> Result<(), String> {
    let path = format!("{}?dryRun=All", site.namespace.jobs_path());
    let answer = site.plane.admin().post(&path, &support::manifest::job("load", "a"));
    if answer.status == 201 { Ok(()) } else { Err(answer.body.to_string()) }
}

/// Runs `work` while two clients create Jobs without a pause; the failures and the successes.
fn under_load(site: &Site<'_>, work: impl FnOnce()) -> (Vec<String>, usize) {
    let (done, successes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = || {
            let mut failures = Vec::new();
            while !done.load(Ordering::SeqCst) {
                match review(site) {
                    Ok(()) => {
                        successes.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(failure) => failures.push(format!("{}: {failure}", Timestamp::now())),
                }
            }
            failures
        };
        let clients = [scope.spawn(client), scope.spawn(client)];
        // Ends the clients even when the work panics, or the scope would wait for ever.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        let failures = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        (failures, successes.load(Ordering::SeqCst))
    })
}

/// Two replicas, ready and called.
fn installed<'p>(plane: &'p ControlPlane) -> (Site<'p>, Vec<Replica>) {
    let site = Site::new(plane);
    let mut replicas = vec![site.replica(), site.replica()];
    site.configure(&replicas);
    replicas.iter_mut().for_each(Replica::start);
    replicas.iter().for_each(Replica::wait_until_ready);
    wait::until("the API server calls both replicas", || review(&site).ok());
    (site, replicas)
}

#[test]
fn replicas_that_start_at_once_agree_on_one_ca() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    site.all_serve(&replicas).expect("one certificate, the Secret's, in both replicas");
    let entries = site.published()["webhooks"].clone();
    for (index, replica) in replicas.iter().enumerate() {
        let config = &entries[index]["clientConfig"];
        let bundle = STANDARD.decode(config["caBundle"].as_str().unwrap()).unwrap();
        let pair = replica.slot.current().unwrap();
        assert_eq!(verifies(&pair, &bundle, "127.0.0.1", Timestamp::now()), Ok(()));
        let url = config["url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("https://127.0.0.1:{}/v1/t/", replica.port)).unwrap();
        let (token, policy) = path.split_once("/policies/").unwrap();
        assert_eq!((token.len(), policy), (40, format!("policy{index}").as_str()));
        assert!(replica.reviews.0.load(Ordering::SeqCst) > 0);
    }
    let secret = plane.admin().get(&site.secret_path()).ok();
    assert_eq!(secret["type"], "kubernetes.io/tls");
}

#[test]
fn thirty_rotations_under_load_fail_no_review() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    let mut cas = std::collections::BTreeSet::new();
    let token = |site: &Site<'_>| site.published()["webhooks"][0]["clientConfig"]["url"].clone();
    let first_token = token(&site);
    let (failures, successes) = under_load(&site, || {
        for rotation in 0..30 {
            // Every third one is a CA's, which changes the certificate as well.
            let key = if rotation % 3 == 2 { "ca.key" } else { "tls.crt" };
            let before = site.secret(key);
            site.clock.0.fetch_add(1, Ordering::SeqCst);
            wait::until("the rotation", || (site.secret(key) != before).then_some(()));
            wait::until("both serve it", || site.all_serve(&replicas));
            cas.insert(site.secret("ca.key"));
        }
    });
    assert_eq!(failures, [""; 0], "{} of {}", failures.len(), failures.len() + successes);
    assert!(cas.len() >= 10, "only {} CAs", cas.len());
    assert_ne!(token(&site), first_token, "the path token never changed");
    assert!(successes > 100, "only {successes} reviews");
    eprintln!("{successes} reviews, 0 failed, {} CAs", cas.len());
}

#[test]
fn a_secret_deleted_or_spoiled_by_hand_is_made_again_under_load() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    let admin = plane.admin();
    let spoil = |key: &str| {
        let change = json!({ "data": { key: STANDARD.encode("spoiled") } });
        admin.patch("merge", &site.secret_path(), &change).ok();
        wait::until("the repair", || (site.secret(key)? != "spoiled").then_some(()));
        wait::until("both serve it", || site.all_serve(&replicas));
    };
    let (failures, successes) = under_load(&site, || {
        let before = site.secret("ca.key");
        admin.delete(&site.secret_path(), &json!({}));
        wait::until("the Secret", || {
            site.secret("ca.key").filter(|key| Some(key) != before.as_ref())
        });
        wait::until("both serve it", || site.all_serve(&replicas));
        ["tls.crt", "state.json", "ca.key"].into_iter().for_each(spoil);
    });
    assert_eq!(failures, [""; 0], "{} of {}", failures.len(), failures.len() + successes);
}

#[test]
fn the_owner_of_the_configuration_keeps_owning_it() {
    let plane = ControlPlane::shared();
    let site = Site::new(&plane);
    let mut replica = site.replica();
    let path = format!("{CONFIGURATIONS}/{}", site.configuration);
    let entry = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "service": { "name": "rejob", "namespace": site.namespace.name() } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "none" } },
        })
    };
    let apply = |names: &[&str]| {
        let entries: Vec<Value> = names.iter().map(|name| entry(name)).collect();
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": site.configuration }, "webhooks": entries,
        });
        plane.admin().apply(&format!("{path}?fieldManager=helm"), &object).ok()
    };
    let (ours, foreign) = ("replace.rejob.dev", "hooks.example.com");
    apply(&[ours, "ttl.rejob.dev", foreign]);
    replica.start();
    replica.wait_until_ready();
    let config = |object: &Value, name: &str| {
        let entries = object["webhooks"].as_array().unwrap();
        entries
            .iter()
            .find(|entry| entry["name"] == name)
            .map(|entry| entry["clientConfig"].clone())
    };
    let published = site.published();
    assert!(config(&published, ours).unwrap()["caBundle"].is_string());
    let service = config(&published, ours).unwrap()["service"]["path"].clone();
    assert!(service.as_str().unwrap().ends_with("/policies/replace"));
    let foreign_config = config(&published, foreign).unwrap();
    assert!(
        foreign_config.get("caBundle").is_none() && foreign_config["service"].get("path").is_none()
    );
    let names = &replica.slot.current().unwrap().names;
    assert!(names.contains(&format!("rejob.{}.svc", site.namespace.name())), "{names:?}");

    // An upgrade of the chart keeps what the server wrote, and can take an entry away.
    let upgraded = apply(&[ours, "ttl.rejob.dev", foreign]);
    assert_eq!(config(&upgraded, ours), config(&published, ours));
    let reduced = apply(&[ours]);
    assert_eq!(reduced["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(config(&reduced, ours), config(&published, ours));
    // And it can add one.
    apply(&[ours, "hash-name.rejob.dev"]);
    wait::until("the new entry is filled in", || {
        config(&site.published(), "hash-name.rejob.dev")?.get("caBundle").cloned()
    });
}
