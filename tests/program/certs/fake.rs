//! A cluster in memory: one Secret and one webhook configuration with versions, conflicts, stale
//! reads and a history, and a clock that only moves when told.
//!
//! Every operation yields before it takes effect and again before it answers, so that a test that
//! polls by hand decides about every interleaving, and a dropped future is a crash at that point.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rejob::certs::configuration::WebhookConfiguration;
use rejob::certs::manager::Manager;
use rejob::certs::plan::Lifetimes;
use rejob::certs::replica::{self, Random};
use rejob::certs::state::SecretData;
use rejob::certs::store::{SecretPatch, Store, StoreError, Versioned};
use rejob::certs::token::TokenSource;
use rejob::certs::{AcceptedTokens, CertError, CertResolver, Clock, Readiness, accepted_tokens};
use serde_json::{Value, json};

/// For how long a read may miss what was written: an API server whose etcd member lags.
const STALE: Duration = Duration::from_secs(10);

/// What the cluster holds.
#[derive(Debug, Default)]
pub struct World {
    /// Time since the start.
    pub elapsed: Duration,
    /// The Secret's versions; `None` where it was deleted.
    pub secrets: Vec<Option<SecretData>>,
    /// When the last of them was written.
    pub secret_written: Duration,
    /// The webhook configuration's versions and when each was written.
    pub configurations: Vec<(Duration, Option<Vec<Raw>>)>,
    /// How many versions old the next reads are, where the last one was written a moment ago.
    pub stale_by: usize,
    /// When set, every operation fails with this.
    pub failing: Option<StoreError>,
    /// Operations so far.
    pub operations: usize,
}

impl World {
    /// How many versions old a read is of what was last written at that time.
    fn stale(&self, written: Duration) -> usize {
        if self.elapsed < written + STALE { self.stale_by } else { 0 }
    }
}

/// Where an entry points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Service { host: String, path: Option<String> },
    Url(String),
}

/// An entry of the webhook configuration.
#[derive(Clone, Debug)]
pub struct Raw {
    pub name: String,
    pub ca_bundle: Vec<u8>,
    pub target: Target,
}

impl Raw {
    pub fn service(name: &str) -> Self {
        let host = "rejob.rejob.svc".to_owned();
        Self {
            name: name.to_owned(),
            ca_bundle: Vec::new(),
            target: Target::Service { host, path: None },
        }
    }

    pub fn url(name: &str, url: &str) -> Self {
        Self { target: Target::Url(url.to_owned()), ..Self::service(name) }
    }
}

/// A handle to the world; also the replicas' store.
#[derive(Clone, Debug, Default)]
pub struct Cluster(pub Arc<Mutex<World>>);

impl Cluster {
    pub fn with_entries(entries: Vec<Raw>) -> Self {
        let cluster = Self::default();
        cluster.configure(Some(entries));
        cluster
    }

    pub fn configure(&self, entries: Option<Vec<Raw>>) {
        let mut world = self.0.lock().unwrap();
        let now = world.elapsed;
        world.configurations.push((now, entries));
    }

    /// Changes the entries as somebody else would.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<Raw>)) {
        let mut entries = self.entries();
        edit(&mut entries);
        self.configure(Some(entries));
    }

    pub fn entries(&self) -> Vec<Raw> {
        self.0.lock().unwrap().configurations.last().unwrap().1.clone().unwrap()
    }

    pub fn secret_data(&self) -> Option<SecretData> {
        self.0.lock().unwrap().secrets.last().cloned().flatten()
    }

    pub fn set_secret(&self, data: Option<SecretData>) {
        let mut world = self.0.lock().unwrap();
        world.secret_written = world.elapsed;
        world.secrets.push(data);
    }

    pub fn edit_secret(&self, key: &str, value: Option<&str>) {
        let mut data = self.secret_data().unwrap();
        match value {
            Some(value) => data.insert(key.to_owned(), value.as_bytes().to_vec()),
            None => data.remove(key),
        };
        self.set_secret(Some(data));
    }

    pub fn text(&self, key: &str) -> String {
        String::from_utf8(self.secret_data().unwrap()[key].clone()).unwrap()
    }

    pub fn advance(&self, by: Duration) {
        self.0.lock().unwrap().elapsed += by;
    }

    /// The wall clock without skew.
    pub fn now(&self) -> Timestamp {
        START + self.0.lock().unwrap().elapsed
    }

    pub fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().elapsed
    }

    fn check(&self) -> Result<(), StoreError> {
        let mut world = self.0.lock().unwrap();
        world.operations += 1;
        world.failing.clone().map_or(Ok(()), Err)
    }
}

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Pending once, then ready.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Store for Cluster {
    async fn secret(&self) -> Result<Option<Versioned<SecretData>>, StoreError> {
        Yield::default().await;
        self.check()?;
        let found = {
            let world = self.0.lock().unwrap();
            let version = world.secrets.len().saturating_sub(world.stale(world.secret_written));
            let object = version.checked_sub(1).and_then(|index| world.secrets[index].clone());
            object.map(|object| Versioned { version: version.to_string(), object })
        };
        Yield::default().await;
        Ok(found)
    }

    async fn create_secret(&self, data: SecretPatch) -> Result<(), StoreError> {
        Yield::default().await;
        self.check()?;
        if self.secret_data().is_some() {
            return Err(StoreError::Conflict);
        }
        self.set_secret(Some(data.into_iter().filter_map(|(k, v)| Some((k, v?))).collect()));
        Yield::default().await;
        Ok(())
    }

    async fn update_secret(&self, version: &str, data: SecretPatch) -> Result<(), StoreError> {
        Yield::default().await;
        self.check()?;
        let current = self.0.lock().unwrap().secrets.len().to_string();
        let (true, Some(mut secret)) = (version == current, self.secret_data()) else {
            return Err(StoreError::Conflict);
        };
        for (key, value) in data {
            match value {
                Some(value) => secret.insert(key, value),
                None => secret.remove(&key),
            };
        }
        self.set_secret(Some(secret));
        Yield::default().await;
        Ok(())
    }

    async fn configuration(&self) -> Result<Option<Versioned<WebhookConfiguration>>, StoreError> {
        Yield::default().await;
        self.check()?;
        let found = {
            let world = self.0.lock().unwrap();
            let written = world.configurations.last().map_or(Duration::ZERO, |(at, _)| *at);
            let version = world.configurations.len().saturating_sub(world.stale(written)).max(1);
            let entries = world.configurations.get(version - 1).and_then(|(_, raw)| raw.clone());
            entries.map(|raw| Versioned { version: version.to_string(), object: published(&raw) })
        };
        Yield::default().await;
        Ok(found)
    }

    async fn patch_configuration(&self, version: &str, patch: Value) -> Result<(), StoreError> {
        Yield::default().await;
        self.check()?;
        let current = self.0.lock().unwrap().configurations.len().to_string();
        if version != current {
            return Err(StoreError::Conflict);
        }
        self.edit(|entries| apply_patch(entries, &patch));
        Yield::default().await;
        Ok(())
    }
}

/// The entries as the store's reader gives them.
pub fn published(raw: &[Raw]) -> WebhookConfiguration {
    let entry = |raw: &Raw| {
        let mut client = match &raw.target {
            Target::Url(url) => json!({ "url": url }),
            Target::Service { host, path } => {
                let mut parts = host.split('.');
                let (name, namespace) = (parts.next(), parts.next());
                json!({ "service": { "name": name, "namespace": namespace, "path": path } })
            }
        };
        client["caBundle"] = json!(STANDARD.encode(&raw.ca_bundle));
        json!({
            "name": raw.name, "clientConfig": client, "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        })
    };
    let webhooks: Vec<_> = raw.iter().map(entry).collect();
    let object = json!({ "metadata": {}, "webhooks": webhooks });
    WebhookConfiguration::new(serde_json::from_value(object).unwrap())
}

/// A strategic merge patch by name, for the fields that may be touched; any other is an error.
pub fn apply_patch(entries: &mut [Raw], patch: &Value) {
    assert_eq!(patch.as_object().unwrap().keys().collect::<Vec<_>>(), ["webhooks"]);
    for change in patch["webhooks"].as_array().unwrap() {
        let entry = entries.iter_mut().find(|entry| change["name"] == entry.name.as_str());
        let entry = entry.expect("a patch must not create entries");
        for (field, value) in change["clientConfig"].as_object().unwrap() {
            match (field.as_str(), &mut entry.target) {
                ("caBundle", _) => {
                    entry.ca_bundle = STANDARD.decode(value.as_str().unwrap()).unwrap();
                }
                ("service", Target::Service { path, .. }) => {
                    assert_eq!(value.as_object().unwrap().len(), 1);
                    let new = value["path"].as_str().unwrap();
                    // As the API server validates it.
                    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                    assert!(new[1..].split('/').all(|part| part.chars().all(valid)), "{new}");
                    *path = Some(new.to_owned());
                }
                ("url", Target::Url(url)) => value.as_str().unwrap().clone_into(url),
                other => panic!("a patch touches {other:?}"),
            }
        }
    }
}

/// The world's clock, off by `skew`.
#[derive(Clone, Debug)]
pub struct FakeClock {
    pub cluster: Cluster,
    pub skew: SignedDuration,
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.cluster.now() + self.skew
    }

    fn monotonic(&self) -> Duration {
        self.cluster.0.lock().unwrap().elapsed
    }
}

/// Tokens that can be told apart: a counter, different for each replica.
#[derive(Debug)]
pub struct Counter(pub u64);

impl TokenSource for Counter {
    fn token(&mut self) -> Result<String, CertError> {
        self.0 += 1;
        Ok(format!("{:040x}", self.0))
    }
}

impl Random for Counter {
    fn fraction(&mut self) -> f64 {
        0.5
    }
}

/// A replica: its manager and what its server would use.
pub struct Replica {
    pub manager: Manager<Cluster, FakeClock, Counter>,
    pub slot: CertResolver,
    pub tokens: AcceptedTokens,
    pub readiness: Readiness,
    pub clock: FakeClock,
}

impl Replica {
    pub fn new(cluster: &Cluster, number: u64, skew: SignedDuration, lives: &Lifetimes) -> Self {
        let clock = FakeClock { cluster: cluster.clone(), skew };
        let slot = CertResolver::empty();
        let (tokens, readiness) = (accepted_tokens(), Readiness::when_published(slot.clone()));
        let replica = replica::Replica {
            store: cluster.clone(),
            clock: clock.clone(),
            random: Counter(number << 32),
            lives: lives.clone(),
            tokens: tokens.clone(),
            readiness: readiness.clone(),
        };
        let manager = Manager::new(replica, vec!["rejob.rejob.svc".to_owned()], slot.clone());
        Self { manager, slot, tokens, readiness, clock }
    }

    pub fn ready(&self) -> Result<(), String> {
        self.readiness.check(&self.clock)
    }
}
