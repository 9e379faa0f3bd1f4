//! A cluster on a clock of its own: one Job, an API server whose answers take a while, and a Job
//! controller that writes the status. What it stores and refuses is [`job`]'s and [`api::update`]'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use rejob::job::{Job, Progress, progress};
use rejob::kubernetes::{Cluster, JobEvent, Right, Write};
use rejob::replacement::ApiError;
use rejob::review::UserInfo;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::job::{self, Refusal};

/// How long a call takes at most, on the way there and back.
const CALL: u64 = 20;
/// How long the Job controller takes at most from one write of a status to the next; one of these.
const CONTROLLER: [u64; 3] = [50, 300, 3000];

/// The least that rejob waits for a Job's start before it deletes it all the same: a quarter of what
/// is left of a request, less what the calls take.
const START: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The client whose request is reviewed, and the revision that its PUT has read, if any.
    pub static READER: (usize, u64);
}

/// What is stored, and what has happened.
#[derive(Debug, Default)]
pub struct Storage {
    pub job: Option<Value>,
    /// The one before, which the watch cache may still have.
    pub previous: Option<Value>,
    revision: u64,
    /// When it was.
    stored: Option<Instant>,
    uids: u64,
    /// How often Pods were started, by image.
    pub runs: BTreeMap<String, usize>,
    /// How often each image may run: once for each command that changes it.
    pub asked: BTreeMap<String, usize>,
    /// The revisions that clients have written, each with its client.
    pub writes: Vec<(u64, usize)>,
    pub hook: Hook,
    /// Whether the Job controller must have counted a Job's Pods before the Job is replaced.
    pub counts: bool,
    random: u64,
}

/// Another admission hook, which pins images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hook {
    #[default]
    None,
    /// It is called after rejob, whatever is written.
    After,
    /// It is called before rejob, and for what is created only.
    BeforeOnCreate,
}

const PIN: &str = "@sha256:1";

/// The image that a Job was deployed with.
pub fn unpinned(job: &Value) -> &str {
    job::image(job).trim_end_matches(PIN)
}

impl Hook {
    pub fn pin(job: &mut Value) {
        let pinned = format!("{}{PIN}", unpinned(job));
        job::set_image(job, &pinned);
    }
}

impl Storage {
    /// The next number of a fixed sequence, below `end` (splitmix64).
    pub fn random(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Stores a Job at a new revision.
    pub fn store(&mut self, mut job: Value) -> Value {
        self.revision += 1;
        self.stored = Some(Instant::now());
        job["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.previous = self.job.replace(job.clone());
        job
    }

    /// The revision that was written last.
    pub fn wrote(&mut self, client: usize) {
        self.writes.push((self.revision, client));
    }

    /// Whether another client has written since a PUT's revision was read.
    pub fn is_overtaken(&self, (reader, read): (usize, u64)) -> bool {
        read > 0 && self.writes.iter().any(|(at, client)| *client != reader && *at > read)
    }

    pub fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }
}

/// The cluster.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<Mutex<Storage>>);

impl Simulated {
    pub fn new(seed: u64, hook: Hook, counts: bool) -> Self {
        let storage = Storage { random: seed, hook, counts, ..Storage::default() };
        Self(Arc::new(Mutex::new(storage)))
    }

    pub fn storage(&self) -> MutexGuard<'_, Storage> {
        self.0.lock().unwrap()
    }

    /// A while of at most so many milliseconds.
    pub async fn pause(&self, longest: u64) {
        let pause = self.storage().random(longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Something that happens at one moment of a call.
    async fn call<T>(&self, at_once: impl FnOnce(&mut Storage) -> T) -> T {
        self.pause(CALL).await;
        let result = at_once(&mut self.storage());
        self.pause(CALL).await;
        result
    }

    /// Writes one status after the other, for ever.
    pub async fn job_controller(self) {
        let pace = CONTROLLER[usize::try_from(self.storage().random(3)).unwrap()];
        loop {
            self.pause(pace).await;
            let mut storage = self.storage();
            let Some(mut job) = storage.job.clone() else { continue };
            if let Some(status) = next_status(&job) {
                if status["active"] == 1 && job["status"].get("active").is_none() {
                    *storage.runs.entry(unpinned(&job).to_owned()).or_default() += 1;
                }
                job["status"] = status;
                storage.store(job);
            }
        }
    }
}

/// What the Job controller writes next: started, a Pod made, the Pod ready, ended and not yet
/// counted, counted.
fn next_status(job: &Value) -> Option<Value> {
    let status = &job["status"];
    let now = jiff::Timestamp::now().to_string();
    let begun = status.get("startTime").cloned().unwrap_or(json!(now));
    let starts = job::parallelism(job) > 0;
    match status.get("active").and_then(Value::as_i64) {
        None if status.get("startTime").is_none() => Some(json!({ "startTime": begun })),
        None if starts => Some(json!({ "startTime": begun, "active": 1, "ready": 0 })),
        Some(1) if status["ready"] == 0 => {
            Some(json!({ "startTime": begun, "active": 1, "ready": 1 }))
        }
        Some(1) => Some(json!({
            "startTime": begun, "active": 0, "ready": 0,
            "uncountedTerminatedPods": { "succeeded": ["pod"] }
        })),
        Some(_) if status.get("conditions").is_none() => Some(json!({
            "startTime": begun, "active": 0, "ready": 0, "succeeded": 1,
            "conditions": [{ "type": "Complete", "status": "True" }]
        })),
        _ => None,
    }
}

/// As the API server stores it now.
pub fn created(storage: &mut Storage, job: Value, manager: &str) -> Result<Value, Refusal> {
    let uid = storage.next_uid();
    let mut new = job::create(job, &uid)?;
    if storage.job.is_some() {
        return Err(job::EXISTS);
    }
    if new["metadata"].get("managedFields").is_none() {
        job::own_by_update(None, &mut new, manager);
    }
    new["metadata"]["creationTimestamp"] = json!(jiff::Timestamp::now().to_string());
    Ok(storage.store(new))
}

fn error(refusal: Refusal) -> ApiError {
    let reason = refusal.reason.to_owned();
    ApiError { code: refusal.code, message: reason.clone(), reason }
}

impl Cluster for Simulated {
    async fn namespace_policy(&self, _: &str) -> Result<Option<String>, ApiError> {
        self.call(|_| Ok(Some("replace".to_owned()))).await
    }

    async fn can_user(&self, _: &UserInfo, _: &str, _: Right<'_>) -> Result<bool, ApiError> {
        self.call(|_| Ok(true)).await
    }

    async fn create(
        &self,
        _: &str,
        job: &Value,
        manager: Option<&str>,
        write: Write<'_>,
    ) -> Result<Value, ApiError> {
        let (mut job, manager) = (job.clone(), manager.unwrap_or("rejob").to_owned());
        let real = matches!(write, Write::Real);
        if self.storage().hook != Hook::None {
            Hook::pin(&mut job);
        }
        self.call(
            |storage| {
                if real { created(storage, job, &manager) } else { job::create(job, "dry-run") }
            },
        )
        .await
        .map_err(error)
    }

    fn checks_as_user(&self) -> bool {
        false
    }

    async fn delete(
        &self,
        _: &str,
        _: &str,
        uid: &str,
        revision: &str,
        write: Write<'_>,
    ) -> Result<(), ApiError> {
        assert!(matches!(write, Write::Real), "nobody is checked as a user here");
        self.call(|storage| {
            let job = storage.job.clone().ok_or(job::MISSING)?;
            if job::uid(&job) != uid || job::revision(&job) != revision {
                return Err(job::CONFLICT);
            }
            let running = progress(Job::new(&job)) == Progress::Working;
            assert!(!running, "a Job that makes progress is not deleted: {job}");
            let overtaken = READER.with(|reader| storage.is_overtaken(*reader));
            assert!(!overtaken, "nothing is deleted for a PUT that will be a conflict: {job}");
            let starting = job["status"].get("active").is_none() && job::parallelism(&job) > 0;
            let waited = storage.stored.is_none_or(|stored| stored.elapsed() >= START);
            assert!(!storage.counts || !starting || waited, "its start is waited for: {job}");
            storage.previous = storage.job.take();
            Ok(())
        })
        .await
        .map_err(error)
    }

    async fn get(&self, _: &str, _: &str) -> Result<Option<Value>, ApiError> {
        self.call(|storage| Ok(storage.job.clone())).await
    }

    /// Those that are not ready hang.
    async fn pods(&self, _: &str, _: &str) -> Result<Vec<Value>, ApiError> {
        self.call(|_| Ok(Vec::new())).await
    }

    async fn list_dormant_jobs(&self) -> Result<Vec<Value>, ApiError> {
        self.call(|_| Ok(Vec::new())).await
    }

    async fn webhook_configuration(
        &self,
        _: &str,
    ) -> Result<Option<MutatingWebhookConfiguration>, ApiError> {
        self.call(|_| Ok(None)).await
    }

    async fn publish_event(&self, _: JobEvent<'_>) -> Result<(), ApiError> {
        self.call(|_| Ok(())).await
    }
}
