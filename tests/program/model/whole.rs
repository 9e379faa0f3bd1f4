//! The whole service, bytes in and bytes out, with its turns, waits and memories, which the checker
//! does not explore: clients in fixed random schedules on a clock that is not the wall's.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rejob::admission::{Admission, Environment};
use rejob::kubernetes::ServerVersion;
use rejob::metrics::Metrics;
use rejob::server::{Call, Reviewer};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::{self, ARG, Update, change};
use super::job::{self, Refusal};
use super::scenario::{Kind, Sender};
use super::simulated::{Hook, READER, Simulated, created, unpinned};

/// A short wait, so that requests come back while the Job controller is at work.
const POLICIES: &str = "policies: {replace: {waitSeconds: 1}}";
/// How many schedules.
const SCHEDULES: u64 = 150;
/// How often a client asks anew before it counts as one that does not get through.
const ATTEMPTS: usize = 40;
const KINDS: [Kind; 5] = [Kind::Patch, Kind::Put, Kind::PutAtRevision, Kind::Kubectl, Kind::Apply];
const IMAGES: [&str; 3] = ["a:1", "a:2", "a:3"];
const HOOKS: [Hook; 3] = [Hook::None, Hook::After, Hook::BeforeOnCreate];
/// Whether the Job controller is one that must have counted a Job's Pods before the Job is replaced.
const SERVERS: [Option<ServerVersion>; 3] = [
    None,
    Some(ServerVersion { minor: 30, patch: 14 }),
    Some(ServerVersion { minor: 37, patch: 2 }),
];

/// A client, and which one it is.
#[derive(Debug, Clone)]
struct Caller {
    id: usize,
    sender: Sender,
}

/// A refusal, and whether the request was told to wait before.
type Answer = Result<Value, (Refusal, bool)>;

struct Service {
    cluster: Simulated,
    replicas: Vec<Admission<Simulated>>,
    seed: u64,
}

impl Service {
    fn new(seed: u64, replicas: usize) -> Arc<Self> {
        let one_of = |count: u64| usize::try_from(seed / count % 3).unwrap();
        let server = SERVERS[one_of(3)];
        let counts = server.is_none_or(|server| server.minor < 37);
        let cluster = Simulated::new(seed, HOOKS[one_of(1)], counts);
        let replica = || {
            let cluster = Some(Arc::new(cluster.clone()));
            let policies = rejob::policy_file::parse(POLICIES, "policies").unwrap();
            let environment = Environment { server, ..Environment::default() };
            Admission::new(&policies, cluster, environment, 256, Metrics::new())
        };
        let replicas = (0..replicas).map(|_| replica()).collect();
        tokio::spawn(cluster.clone().job_controller());
        Arc::new(Self { cluster, replicas, seed })
    }

    /// Runs admission: the object as it is to be written.
    async fn admit(
        &self,
        sender: &Sender,
        old: Option<&Value>,
        mut object: Value,
    ) -> Result<Value, (Refusal, u64)> {
        let hook = self.cluster.storage().hook;
        if hook == Hook::BeforeOnCreate && old.is_none() {
            Hook::pin(&mut object);
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "r", "kind": { "group": "batch", "version": "v1", "kind": "Job" },
                "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
                "namespace": job::NAMESPACE, "name": job::NAME, "dryRun": false,
                "userInfo": { "username": sender.user },
                "options": { "fieldManager": sender.manager },
                "object": object, "oldObject": old
            }
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let call = Call { deadline, abandoned: CancellationToken::new() };
        let which = self.cluster.storage().random(self.replicas.len() as u64);
        let replica = &self.replicas[usize::try_from(which).unwrap()];
        let answer = replica.review("replace", Bytes::from(review.to_string()), call).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        let response = &answer["response"];
        if response["allowed"] == false {
            let code = u16::try_from(response["status"]["code"].as_u64().unwrap()).unwrap();
            let pause = response["status"]["details"]["retryAfterSeconds"].as_u64();
            // Another one's dormant Job is a matter of milliseconds.
            let expected = (code, &response["auditAnnotations"]["reason"]);
            assert_eq!(expected, (429, &json!("running_wait")), "seed {}: {response}", self.seed);
            return Err((Refusal { code, reason: "denied" }, pause.unwrap()));
        }
        if let Some(patch) = response["patch"].as_str() {
            let patch = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
            let patch: json_patch::Patch = patch;
            json_patch::patch(&mut object, &patch).unwrap();
        }
        if hook == Hook::After {
            Hook::pin(&mut object);
        }
        Ok(object)
    }

    /// One request, sent again as long as it is told to wait.
    async fn request(&self, caller: &Caller, image: &str, body: Option<&Value>) -> Answer {
        let mut waited = false;
        loop {
            match self.turns(caller, image, body).await {
                Err((refusal, pause)) if refusal.code == 429 => {
                    waited = true;
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
                other => return other.map_err(|(refusal, _)| (refusal, waited)),
            }
        }
    }

    /// The API server's loop.
    async fn turns(
        &self,
        caller: &Caller,
        image: &str,
        body: Option<&Value>,
    ) -> Result<Value, (Refusal, u64)> {
        let sender = &caller.sender;
        let read = body.filter(|_| sender.kind == Kind::PutAtRevision);
        let reader = (caller.id, read.map_or(0, revision_of));
        let (mut old, mut current) = {
            let mut storage = self.cluster.storage();
            match storage.random(3) {
                0 if storage.previous.is_some() => (storage.previous.clone(), false),
                1 => (storage.job.clone(), storage.job.is_none()),
                _ => (storage.job.clone(), true),
            }
        };
        loop {
            let admitted = match change(sender, image, old.as_ref(), body) {
                Ok(object) => READER.scope(reader, self.admit(sender, old.as_ref(), object)).await,
                Err(refusal) => Err((refusal, 0)),
            };
            self.cluster.pause(5).await;
            let mut storage = self.cluster.storage();
            let revision = |job: &Option<Value>| job.as_ref().map(|j| job::revision(j).to_owned());
            let is_stale = revision(&old) != revision(&storage.job);
            let refused = match (admitted, &old) {
                (Err(refused), _) => Some(refused),
                (Ok(object), None) => match created(&mut storage, object, sender.manager) {
                    Ok(job) => {
                        storage.wrote(caller.id);
                        return Ok(job);
                    }
                    Err(refusal) if refusal == job::EXISTS => None,
                    Err(refusal) => Some((refusal, 0)),
                },
                (Ok(object), Some(was)) => {
                    match api::update(was, object, current, storage.job.as_ref()) {
                        Update::Same => return Ok(was.clone()),
                        Update::Stored(new) => {
                            let overtaken = storage.is_overtaken(reader);
                            assert!(!overtaken, "seed {}: {caller:?} overwrites {was}", self.seed);
                            let only_owners = is_the_same_but_for_owners(was, &new);
                            let job = storage.store(new);
                            if !only_owners {
                                storage.wrote(caller.id);
                            }
                            return Ok(job);
                        }
                        Update::Refused(refusal) => Some((refusal, 0)),
                        Update::Stale => None,
                    }
                }
            };
            // An error is final where what was read is what is stored.
            if let Some(refused) = refused.filter(|_| current || !is_stale) {
                return Err(refused);
            }
            (old, current) = (storage.job.clone(), true);
        }
    }

    /// POST.
    async fn post(&self, caller: &Caller, image: &str) -> Answer {
        let sender = &caller.sender;
        let mut object = job::manifest(image, ARG);
        if sender.kind == Kind::Kubectl {
            job::set_last_applied(&mut object, image);
        }
        let object = self.admit(sender, None, object).await.map_err(|(told, _)| (told, false))?;
        self.cluster.pause(5).await;
        let mut storage = self.cluster.storage();
        let job = created(&mut storage, object, sender.manager).map_err(|told| (told, false))?;
        storage.wrote(caller.id);
        Ok(job)
    }

    /// One command: some clients read first.
    async fn command(&self, caller: &Caller, image: &str) -> Answer {
        let sender = &caller.sender;
        self.cluster.pause(100).await;
        let stored = self.cluster.storage().job.clone();
        self.cluster.pause(20).await;
        match (sender.kind, stored) {
            (Kind::Apply, _) | (Kind::Patch, Some(_)) => self.request(caller, image, None).await,
            (kind @ (Kind::Kubectl | Kind::Helm), Some(job))
                if api::finds_it_done(kind, &job, image) =>
            {
                Ok(job)
            }
            (Kind::PutAtRevision | Kind::Kubectl, Some(job)) => {
                self.request(caller, image, Some(&job)).await
            }
            (_, Some(_)) => self.request(caller, image, None).await,
            (_, None) => self.post(caller, image).await,
        }
    }

    /// An image may run once more: where nobody else deploys, only if it is another one than there is.
    fn asks(&self, image: &str, alone: bool) {
        let mut storage = self.cluster.storage();
        if !alone || storage.job.as_ref().is_none_or(|job| unpinned(job) != image) {
            *storage.asked.entry(image.to_owned()).or_default() += 1;
        }
    }

    /// A client that deploys one image after the other, each until it is told success.
    async fn deploys(self: Arc<Self>, caller: Caller, alone: bool) {
        let (seed, sender) = (self.seed, &caller.sender);
        for image in &sender.images {
            self.asks(image, alone);
            let mut attempts = 0;
            loop {
                attempts += 1;
                let told = match self.command(&caller, image).await {
                    Ok(job) => {
                        assert_eq!(unpinned(&job), *image, "seed {seed}: {sender:?}: {job}");
                        assert!(!job::is_dormant(&job), "seed {seed}: {sender:?}: {job}");
                        break;
                    }
                    Err(told) => told,
                };
                // A PUT at a revision that the Job controller has written over is a conflict, as
                // without rejob; not when it was rejob that let it wait.
                let as_ever = sender.kind == Kind::PutAtRevision && told == (job::CONFLICT, false);
                assert!(!alone || as_ever, "seed {seed}: {sender:?} alone: {told:?}");
                let expected = [job::CONFLICT, job::MISSING, job::EXISTS].contains(&told.0);
                assert!(expected, "seed {seed}: {sender:?}: {told:?}");
                // What another manager owns it is not given without force.
                if sender.kind == Kind::Apply && told.0 == job::CONFLICT {
                    break;
                }
                assert!(attempts < ATTEMPTS, "seed {seed}: {sender:?} does not get through");
            }
        }
    }
}

/// What rejob, too, takes for no change: who owns which field.
fn is_the_same_but_for_owners(was: &Value, new: &Value) -> bool {
    let mut new = new.clone();
    new["metadata"]["managedFields"] = was["metadata"]["managedFields"].clone();
    new == *was
}

fn revision_of(job: &Value) -> u64 {
    job::revision(job).parse().unwrap()
}

fn random_sender(service: &Service, client: usize) -> Sender {
    let mut storage = service.cluster.storage();
    let mut one_of = |count: usize| usize::try_from(storage.random(count as u64)).unwrap();
    // Every fourth time only such ones meet as nobody but their hashes tells apart.
    let alike = service.seed.is_multiple_of(4);
    let kind = if alike { Kind::Apply } else { KINDS[one_of(KINDS.len())] };
    let images: Vec<_> = (0..=one_of(4)).map(|_| IMAGES[one_of(IMAGES.len())]).collect();
    let manager = if alike { "tool" } else { ["tool", "other"][one_of(2)] };
    Sender::new(kind, ["ada", "bob"][client % 2], &images).with_manager(manager)
}

/// Clients at the same time, then one alone: it gets what it asks for, and that runs.
async fn schedule(seed: u64, clients: usize, replicas: usize) {
    let service = Service::new(seed, replicas);
    let senders: Vec<_> = (0..clients).map(|client| random_sender(&service, client)).collect();
    let first = Sender { images: vec!["a:0"; 3], ..senders[0].clone() };
    Arc::clone(&service).deploys(Caller { id: 0, sender: first }, true).await;
    let tasks: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(id, sender)| Caller { id, sender })
        .map(|caller| tokio::spawn(Arc::clone(&service).deploys(caller, clients == 1)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let left = service.cluster.storage().job.clone();
    assert!(left.as_ref().is_some_and(|job| !job::is_dormant(job)), "seed {seed}: {left:?}");
    let last = Sender::new(Kind::Patch, "ada", &["a:9"]);
    Arc::clone(&service).deploys(Caller { id: clients, sender: last }, true).await;
    while !has_run(&service, "a:9") {
        service.cluster.pause(100).await;
    }
}

/// Whether an image has run; none has run more often than it was asked for.
fn has_run(service: &Service, image: &str) -> bool {
    let storage = service.cluster.storage();
    for (image, runs) in &storage.runs {
        let asked = storage.asked.get(image).copied().unwrap_or(0);
        assert!(*runs <= asked, "seed {}: {image} ran {runs} times", service.seed);
    }
    storage.runs.contains_key(image)
}

/// `REJOB_MODEL_SEED` begins elsewhere.
fn play(clients: impl Fn(u64) -> usize, replicas: usize) {
    let begin: u64 =
        std::env::var("REJOB_MODEL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in begin..begin + SCHEDULES {
        println!("seed {seed}");
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(schedule(seed, clients(seed), replicas));
    }
}

#[test]
fn a_client_alone_gets_through_whatever_the_job_controller_writes() {
    play(|_| 1, 1);
}

#[test]
fn several_clients_get_through_and_each_success_is_one() {
    play(|seed| 2 + usize::try_from(seed % 3).unwrap(), 1);
}

#[test]
fn so_they_do_through_two_replicas_that_know_nothing_of_each_other() {
    play(|seed| 2 + usize::try_from(seed % 3).unwrap(), 2);
}
