//! Clients of all kinds, each of which sends one command after the other and records what came.

use std::sync::Mutex;

use serde_json::{Value, json};

use support::manifest::{annotated, job, labeled};
use support::namespace::{Namespace, name_of};
use support::output::Output;
use support::user::Answer;
use support::wait;

use super::history::{Event, JobHistory, Seen, Wish};
use super::random::Random;

/// The name of the Job in each namespace.
pub const JOB: &str = "nightly";

/// The client that comes when all trouble has ended.
pub const LAST: &str = "last";

/// Tries of a command on a shared Job; another client may stand in its way for long.
const TRIES_WHEN_SHARED: usize = 8;

/// How a command is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    KubectlApply,
    KubectlServerSide,
    KubectlMetadata,
    Put,
    MergePatch,
    StrategicMergePatch,
    JsonPatch,
    ForcedApply,
}

/// The ways in which a template is deployed.
pub const DEPLOYS: [Way; 7] = [
    Way::KubectlApply,
    Way::KubectlServerSide,
    Way::Put,
    Way::MergePatch,
    Way::StrategicMergePatch,
    Way::JsonPatch,
    Way::ForcedApply,
];

/// A Job, seen through each API server, and what happened to it.
pub struct Target {
    pub seen: Vec<Namespace>,
    pub history: Mutex<JobHistory>,
}

/// One client.
pub struct Writer<'t> {
    pub target: &'t Target,
    pub seed: u64,
    /// No other client of the run has it.
    pub name: String,
    /// Called after each answer.
    pub answered: &'t (dyn Fn() + Sync),
}

/// What a client sends until it succeeds or is given up.
struct Command {
    wish: Wish,
    way: Way,
    /// What distinguishes a rerun from the last one.
    value: u64,
    /// After the first error.
    gives_up: bool,
    /// Waits for a Pod after a success.
    waits: bool,
    /// At which API server each try and look is made. How many there are is not in the seed's hand, so this
    /// is a source of its own.
    servers: Random,
}

impl Writer<'_> {
    /// Sends so many commands, and gives some of them up after an error, the last one always: what it
    /// leaves is nobody's then.
    pub fn work(&self, commands: u64) {
        for number in 1..=commands {
            let mut command = self.command(number);
            command.gives_up |= number == commands;
            self.send(command);
        }
    }

    /// The command of that number, from a source of its own: what became of the others does not matter.
    fn command(&self, number: u64) -> Command {
        let part = format!("{} {number}", self.name);
        let mut random = Random::part(self.seed, &part);
        let (gives_up, waits) = (random.below(4) == 0, random.below(4) == 0);
        let value = random.below(1 << 32);
        let wish = self.choose(number, &mut random);
        let way = match wish {
            Wish::Image(_) => random.pick(&DEPLOYS),
            Wish::Parallelism(_) => random.pick(&[Way::MergePatch, Way::JsonPatch]),
            Wish::Rerun | Wish::Label(_) => random.pick(&[Way::KubectlMetadata, Way::MergePatch]),
        };
        let servers = Random::part(self.seed, &format!("{part} servers"));
        Command { wish, way, value, gives_up, waits, servers }
    }

    /// A new template, most of the time; the Job may not be there yet.
    fn choose(&self, number: u64, random: &mut Random) -> Wish {
        let shared = self.is_shared();
        let images = self.images();
        if images.is_empty() || shared {
            return self.new_image(number);
        }
        let kind = random.below(10);
        // There may be no Job to label, or another template than the last.
        let kind = if self.is_unsure() { kind % 6 } else { kind };
        match kind {
            0..=2 => Wish::Image(images[images.len() - 1].clone()),
            3 => Wish::Image(random.pick(&images.iter().collect::<Vec<_>>()).clone()),
            6 => Wish::Rerun,
            7 => Wish::Label(format!("l{}", random.below(1000))),
            8 => Wish::Parallelism(i64::from(random.below(2) == 0) + 1),
            _ => self.new_image(number),
        }
    }

    /// An image that nobody has asked for.
    fn new_image(&self, number: u64) -> Wish {
        Wish::Image(format!("app:{}-{number}", self.name))
    }

    fn is_shared(&self) -> bool {
        self.target.history.lock().unwrap().shared
    }

    /// Whether it does not know what is there.
    fn is_unsure(&self) -> bool {
        self.target.history.lock().unwrap().is_unsure()
    }

    /// The templates asked for so far.
    fn images(&self) -> Vec<String> {
        let history = self.target.history.lock().unwrap();
        let asked = history.events.iter().filter_map(|event| match event {
            Event::Asked(Wish::Image(image), _) => Some(image.clone()),
            _ => None,
        });
        asked.collect()
    }

    fn record(&self, event: Event) {
        self.target.history.lock().unwrap().events.push(event);
    }

    /// Deploys a new template until that succeeds, and waits until the Job has started a Pod. Looks at the
    /// Job first, where it must be there.
    pub fn deploy_until_done(&self, is_there: bool) {
        let mut servers = Random::part(self.seed, &self.name);
        let (wish, way) = (self.new_image(1), servers.pick(&DEPLOYS));
        if is_there {
            self.read(&mut servers);
        }
        self.send(Command { wish, way, value: 0, gives_up: false, waits: true, servers });
    }

    /// Sends a command until it succeeds or is given up.
    fn send(&self, command: Command) {
        let Command { wish, way, value, gives_up, waits, mut servers } = command;
        let shared = self.is_shared();
        if !shared && !self.is_unsure() {
            self.read(&mut servers);
        }
        self.record(Event::Asked(wish.clone(), format!("{way:?}")));
        let value = value.to_string();
        let mut tries = 0;
        let success = wait::poll(wait::DEADLINE, || {
            let server = &self.target.seen[servers.pick(&[0, 1])];
            let answer = self.try_once(server, &wish, way, &value);
            let success = answer.is_ok();
            // A rerun that deleted the Job and then failed: it cannot create the Job by itself.
            let is_gone = wish == Wish::Rerun
                && tries > 0
                && answer.as_ref().is_err_and(|error| error.contains("not found"));
            let shows_nothing = answer == Ok(None);
            let mut events = vec![Event::Answered(wish.clone(), answer)];
            if shared && shows_nothing {
                events.push(Event::Read(self.look(&mut servers)));
            }
            self.target.history.lock().unwrap().events.extend(events);
            (self.answered)();
            tries += 1;
            let ends = success || gives_up || is_gone || (shared && tries == TRIES_WHEN_SHARED);
            ends.then_some(success)
        });
        if success == Some(false) {
            self.record(Event::GaveUp);
        }
        if shared || success == Some(false) {
            return;
        }
        let stored = self.read(&mut servers);
        if let (Some(stored), Some(true), true) = (stored, success, waits) {
            self.wait_for_a_pod(stored.uid);
        }
    }

    /// Looks at the Job while nobody writes to it.
    fn read(&self, servers: &mut Random) -> Option<Seen> {
        let seen = self.look(servers);
        self.record(Event::Read(seen.clone()));
        seen
    }

    fn look(&self, servers: &mut Random) -> Option<Seen> {
        let namespace = &self.target.seen[servers.pick(&[0, 1])];
        // Not in a moment in which etcd does not answer.
        let answer = wait::until("the Job can be read", || {
            let answer = namespace.user().get(&namespace.job_path(JOB));
            matches!(answer.status, 200 | 404).then_some(answer)
        });
        (answer.status == 200).then(|| Seen::of(&answer.body))
    }

    /// A success is about a Job that starts.
    fn wait_for_a_pod(&self, uid: String) {
        let namespace = &self.target.seen[0];
        let path = format!("/api/v1/namespaces/{}/events", namespace.name());
        let path =
            format!("{path}?fieldSelector=reason%3DSuccessfulCreate,involvedObject.uid%3D{uid}");
        // The Pod itself may have ended and gone.
        let started = wait::poll(wait::DEADLINE, || {
            let told = namespace.user().get(&path).body;
            told["items"].as_array().is_some_and(|events| !events.is_empty()).then_some(())
        });
        if started.is_none() {
            self.record(Event::NeverStarted(uid));
        }
    }

    /// One try; a success shows the Job where the client is shown it.
    fn try_once(
        &self,
        namespace: &Namespace,
        wish: &Wish,
        way: Way,
        value: &str,
    ) -> Result<Option<Seen>, String> {
        let kubectl = |args: &[&str], manifest: &Value| {
            said(&namespace.kubectl_with(&manifest.to_string(), args))
        };
        match (wish, way) {
            (Wish::Image(image), Way::KubectlApply) => {
                kubectl(&["apply", "-f", "-"], &manifest(image))
            }
            (Wish::Image(image), Way::KubectlServerSide) => kubectl(
                &["apply", "--server-side", "--force-conflicts", "-f", "-"],
                &manifest(image),
            ),
            (Wish::Rerun, Way::KubectlMetadata) => {
                let value = format!("rejob.dev/rerun={value}");
                kubectl(&["annotate", "job", JOB, "--overwrite", &value], &Value::Null)
            }
            (Wish::Label(label), Way::KubectlMetadata) => {
                let label = format!("chaos={label}");
                kubectl(&["label", "job", JOB, "--overwrite", &label], &Value::Null)
            }
            _ => shown(self.request(namespace, wish, way, value)),
        }
    }

    fn request(&self, namespace: &Namespace, wish: &Wish, way: Way, value: &str) -> Answer {
        let user = namespace.user();
        let manager = format!("?fieldManager={}", self.name);
        let path = format!("{}{manager}", namespace.job_path(JOB));
        let image = match wish {
            Wish::Image(image) => image,
            Wish::Rerun => {
                let change = annotated(json!({}), "rejob.dev/rerun", value);
                return user.patch("merge", &path, &change);
            }
            Wish::Label(label) => {
                return user.patch("merge", &path, &labeled(json!({}), "chaos", label));
            }
            Wish::Parallelism(parallelism) if way == Way::JsonPatch => {
                let set =
                    json!([{ "op": "add", "path": "/spec/parallelism", "value": parallelism }]);
                return user.patch("json", &path, &set);
            }
            Wish::Parallelism(parallelism) => {
                let change = json!({ "spec": { "parallelism": parallelism } });
                return user.patch("merge", &path, &change);
            }
        };
        let whole = manifest(image);
        let template = json!({ "spec": { "template": whole["spec"]["template"] } });
        let answer = match way {
            Way::ForcedApply => return user.apply(&format!("{path}&force=true"), &whole),
            Way::MergePatch => user.patch("merge", &path, &template),
            Way::StrategicMergePatch => user.patch("strategic-merge", &path, &template),
            Way::JsonPatch => {
                let at = "/spec/template/spec/containers/0/image";
                user.patch("json", &path, &json!([{ "op": "replace", "path": at, "value": image }]))
            }
            _ => user.put(&path, &whole),
        };
        if answer.status == 404 {
            self.record(Event::Answered(wish.clone(), shown(answer)));
            return user.post(&format!("{}{manager}", namespace.jobs_path()), &whole);
        }
        answer
    }
}

/// The Job of that image. It has no second try, so that a run is a run, and a field that another webhook
/// changes. It names its completions: where another command has scaled the Job, a server-side apply without
/// them takes the default away, and the API server takes that for a change.
fn manifest(image: &str) -> Value {
    let mut job = job(JOB, image);
    job["spec"]["backoffLimit"] = json!(0);
    job["spec"]["completions"] = json!(1);
    job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(10);
    job
}

fn said(output: &Output) -> Result<Option<Seen>, String> {
    if output.code == 0 { Ok(None) } else { Err(output.stderr.trim().to_owned()) }
}

fn shown(answer: Answer) -> Result<Option<Seen>, String> {
    if (200..300).contains(&answer.status) {
        assert_eq!(name_of(&answer.body), JOB);
        return Ok(Some(Seen::of(&answer.body)));
    }
    Err(format!("{} {} {:?}", answer.status, answer.message(), answer.warnings))
}
