//! The self-managed way in a real cluster: a Secret, a configuration, and webhook servers in this
//! process that have exactly the rights of the chart.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rejob::certs::manager::Manager;
use rejob::certs::plan::Lifetimes;
use rejob::certs::replica::{self, SystemRandom};
use rejob::certs::store::{ClusterStore, StorePlace};
use rejob::certs::{CertResolver, Clock, Readiness, SystemClock, accepted_tokens};
use rejob::metrics::Metrics;
use rejob::server::{Limits, ReviewError, Reviewer, Server, Setup, admin, tls};
use rustls::server::NoClientAuth;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::user::User;
use support::wait;

pub const CONFIGURATIONS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A wall clock that begins 40 days ago and moves by whole days when told: what is issued on the
/// way is valid by the API server's clock as well.
#[derive(Clone, Default)]
pub struct DayClock(pub Arc<AtomicI64>);

impl Clock for DayClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() - SignedDuration::from_hours(24 * (40 - self.0.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

/// A leaf a day, a CA every three days, and time for API servers to notice.
pub fn lives() -> Lifetimes {
    let day = Duration::from_hours(24);
    Lifetimes {
        cert: day * 100,
        ca: day * 300,
        renew: (1, 100),
        interval: Duration::from_millis(100),
        propagation: Duration::from_secs(4),
        skew: Duration::from_mins(5),
        token: day,
        grace: Duration::from_secs(8),
    }
}

/// Allows every review and counts them.
#[derive(Debug, Default)]
pub struct Allow(pub AtomicUsize);

impl Reviewer for Allow {
    async fn review(
        &self,
        _policy: &str,
        body: Bytes,
        _call: rejob::server::Call,
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
pub struct Replica {
    pub slot: CertResolver,
    pub readiness: Readiness,
    pub reviews: Arc<Allow>,
    pub clock: DayClock,
    pub port: u16,
    start: Option<Box<dyn FnOnce() + Send>>,
}

/// A namespace for the Secret, a configuration, and a service account with the rights the chart
/// gives for the two.
pub struct Site<'p> {
    pub plane: &'p ControlPlane,
    pub runtime: Runtime,
    pub namespace: Namespace,
    pub configuration: String,
    pub account: User,
    pub clock: DayClock,
}

impl<'p> Site<'p> {
    pub fn new(plane: &'p ControlPlane) -> Self {
        let namespace = plane.namespace("certs", &[]);
        let configuration = format!("00-rejob-{}", namespace.name());
        let account = account(plane, &namespace, &configuration);
        let runtime = Runtime::new().unwrap();
        let clock = DayClock::default();
        Self { plane, runtime, namespace, configuration, account, clock }
    }

    /// A replica whose server listens; its manager waits for [`Replica::start`].
    pub fn replica(&self) -> Replica {
        let slot = CertResolver::empty();
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
                readiness: admin::ReadinessChecks::of(vec![]),
                metrics: Metrics::new(),
                reviewer: Arc::clone(&reviews),
            });
            let server = server.await.unwrap();
            let port = server.addresses().unwrap().0.port();
            (server, port)
        });
        self.runtime.spawn(server.run(std::future::pending()));
        let kubeconfig = self.account.kubeconfig().to_owned();
        let place = StorePlace {
            namespace: self.namespace.name().to_owned(),
            secret: "tls".to_owned(),
            configuration: self.configuration.clone(),
        };
        let (lives, clock, handle) = (lives(), self.clock.clone(), self.runtime.handle().clone());
        let (own_slot, own_readiness) = (slot.clone(), readiness.clone());
        let start = move || {
            handle.spawn(async move {
                let options = kube::config::KubeConfigOptions::default();
                let config = rejob::kubernetes::config(Some(&kubeconfig), &options);
                let config = config.await.unwrap().unwrap();
                let client = rejob::kubernetes::ApiClient::new(config).unwrap();
                let replica = replica::Replica {
                    store: ClusterStore::new(client, place),
                    clock,
                    random: SystemRandom,
                    lives,
                    tokens,
                    readiness: own_readiness,
                };
                let names = vec!["rejob.test".to_owned()];
                Manager::new(replica, names, own_slot).run().await;
            });
        };
        let start: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(start));
        Replica { slot, readiness, reviews, clock: self.clock.clone(), port, start }
    }

    /// Creates the configuration with an entry for each replica, as a chart does: without caBundle.
    pub fn configure(&self, replicas: &[Replica]) {
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

    pub fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/tls", self.namespace.name())
    }

    /// A key of the Secret; `None` while there is none.
    pub fn secret(&self, key: &str) -> Option<String> {
        let answer = self.plane.admin().get(&self.secret_path());
        let value = answer.body["data"][key].as_str()?;
        Some(String::from_utf8(STANDARD.decode(value).unwrap()).unwrap())
    }

    pub fn published(&self) -> Value {
        self.plane.admin().get(&format!("{CONFIGURATIONS}/{}", self.configuration)).ok()
    }

    /// Whether all replicas serve the Secret's certificate.
    pub fn all_serve(&self, replicas: &[Replica]) -> Option<()> {
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
    pub fn start(&mut self) {
        self.start.take().expect("start once")();
    }

    pub fn wait_until_ready(&self) {
        let check = || self.readiness.check(&self.clock);
        let ready = wait::poll(wait::DEADLINE, || check().ok());
        assert!(ready.is_some(), "{}", check().unwrap_err());
    }
}

/// The rights of the self-managed way and no others.
pub fn account(plane: &ControlPlane, namespace: &Namespace, configuration: &str) -> User {
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
