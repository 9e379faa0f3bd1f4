//! What this replica made a Job for: the template hash that was asked for, by the new Job's uid.
//!
//! Where another hook rewrites templates on CREATE only and runs before rejob, an apply's Job is
//! re-created with the rewritten hash recorded. When the same Job is then asked for the hash that
//! it was made for, the difference is not the caller's: see `decide`. Bounded, for an hour.
//!
//! The API server gives an apply's new Job its uid after the answer: until it is seen, in a look-up
//! or in the next request about it, whichever comes first, it is expected. Another apply of the same
//! manager could make the Job in its stead, and would be remembered as what the first one asked for:
//! whoever is not the expected one waits a moment, and with several nothing is remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::job::{Job, TemplateHash, asked_for, entry_index};
use crate::replace::Plan;
use crate::review::{Operation, Request};

/// How long a replacement is remembered.
const LIFE: Duration = Duration::from_hours(1);
/// Longer than a request and the look-ups after it.
const LONGEST_EXPECTATION: Duration = Duration::from_mins(1);
/// How much is remembered, in bytes: some 500 replacements of the largest templates that are kept,
/// tens of thousands of plain ones.
const BUDGET: usize = 8 * 1024 * 1024;
/// What an entry takes beside its texts.
const OVERHEAD: usize = 192;

/// The replacements of the last hour.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// By uid.
    made: HashMap<String, (Kept, Instant)>,
    /// What the entries of `made` take.
    bytes: usize,
    /// By namespace and name; as many as there are look-ups under way.
    expected: HashMap<(String, String), Expected>,
}

/// [`Made`] as it is kept: a parsed template takes many times the room of its text.
#[derive(Debug)]
struct Kept {
    hash: TemplateHash,
    /// The hash that was recorded on the Job when it was first seen: another one where a hook has
    /// rewritten what was to be created.
    recorded: Option<TemplateHash>,
    asked: Option<Box<str>>,
}

impl Kept {
    fn of(made: &Made) -> Self {
        let text = |asked: &Value| asked.to_string().into_boxed_str();
        Self {
            hash: made.hash.clone(),
            recorded: Some(made.hash.clone()),
            asked: made.asked.as_ref().map(text),
        }
    }

    fn made(&self) -> Made {
        let asked = self.asked.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Made { hash: self.hash.clone(), asked }
    }

    fn size(&self) -> usize {
        OVERHEAD + self.asked.as_ref().map_or(0, |text| text.len())
    }
}

/// A Job that an apply is about to make, and whose uid is not known yet.
#[derive(Debug)]
struct Expected {
    replaced_uid: String,
    manager: String,
    kept: Kept,
    /// What else the same manager was about to create under the name meanwhile. One is what a hook
    /// has made of it; with more, nobody can tell whose Job it is that will be there. And whether it
    /// was let through: before, another replica's must have made a Job of that hash.
    others: BTreeMap<TemplateHash, bool>,
    /// Whether the same manager has asked for something else of the Job meanwhile.
    contended: bool,
    since: Instant,
}

impl Expected {
    /// A request that was given up leaves its expectation behind.
    fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < LONGEST_EXPECTATION
    }

    /// Whether a Job with this recorded hash comes from a creation that was seen here: a Job that
    /// another replica made dormant has the owners of the one before, this manager among them.
    fn made(&self, recorded: &TemplateHash) -> bool {
        self.kept.hash == *recorded || self.others.get(recorded) == Some(&true)
    }
}

/// What a Job was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The hash of what was asked for.
    pub hash: TemplateHash,
    /// What was asked for, where it is not too large.
    pub asked: Option<Value>,
}

impl Made {
    /// What a plan's new Job is made for.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self { hash: plan.hash.clone(), asked: asked_for(&plan.job) }
    }
}

impl Memory {
    /// What a stored Job was made for; `None` as well where a change that the API server allows has
    /// had another hash recorded since, on whichever replica.
    #[must_use]
    pub fn of(&self, job: Job<'_>, now: Instant) -> Option<Made> {
        let recorded = job.recorded_hash();
        let entries = self.entries();
        let (kept, at) = entries.made.get(job.uid()?)?;
        let stands = recorded.as_ref() == Some(&kept.hash) || recorded == kept.recorded;
        (stands && now.saturating_duration_since(*at) < LIFE).then(|| kept.made())
    }

    /// Remembers what a Job was made for. When full, the oldest go.
    pub fn keep(&self, uid: String, made: &Made, now: Instant) {
        self.entries().keep(uid, Kept::of(made), now);
    }

    /// Expects the Job that the API server is about to make for an apply.
    pub fn expect(&self, plan: &Plan, now: Instant) {
        let expected = Expected {
            replaced_uid: plan.uid.clone(),
            manager: plan.field_manager.clone().unwrap_or_default(),
            kept: Kept::of(&Made::of(plan)),
            others: BTreeMap::new(),
            contended: false,
            since: now,
        };
        let mut entries = self.entries();
        entries.expected.retain(|_, expected| expected.is_current(now));
        let waiting: usize = entries.expected.values().map(|expected| expected.kept.size()).sum();
        if waiting < BUDGET {
            entries.expected.insert((plan.namespace.clone(), plan.name.clone()), expected);
        }
    }

    /// Whether a creation is not the one that is expected, as far as its hash tells: another one of
    /// the same manager, or that one after a hook has rewritten it. An update is taken notice of.
    #[must_use]
    pub fn is_another_creation(&self, request: &Request, now: Instant) -> bool {
        let Some(object) = &request.object else { return false };
        let mut entries = self.entries();
        let Some(expected) = entries.expected.get_mut(&key(request)) else { return false };
        let hash = TemplateHash::of(object);
        let manager = request.field_manager.as_deref().unwrap_or_default();
        if request.dry_run
            || !expected.is_current(now)
            || expected.manager != manager
            || expected.kept.hash == hash
        {
            return false;
        }
        if request.operation != Operation::Create {
            expected.contended = true;
            return false;
        }
        expected.others.entry(hash).or_insert(false);
        true
    }

    /// Whether a Job of the request's name is expected.
    #[must_use]
    pub fn expects(&self, request: &Request) -> bool {
        self.entries().expected.contains_key(&key(request))
    }

    /// Another creation goes on, and no Job is there yet: it may make the expected one.
    pub fn let_through(&self, request: &Request) {
        let Some(object) = &request.object else { return };
        if let Some(expected) = self.entries().expected.get_mut(&key(request))
            && let Some(let_through) = expected.others.get_mut(&TemplateHash::of(object))
        {
            *let_through = true;
        }
    }

    /// A stored Job is seen: if it is an expected one, it is known by its uid from now on. Another
    /// client may have been faster: only a Job that the same manager's apply made is the one, of the
    /// hash that was expected or of the one creation that was seen.
    pub fn meet(&self, namespace: &str, job: Job<'_>, now: Instant) {
        let (Some(name), Some(uid)) = (job.name(), job.uid()) else { return };
        let mut entries = self.entries();
        if entries.expected.is_empty() {
            return;
        }
        let key = (namespace.to_owned(), name.to_owned());
        // A stale view shows the replaced Job.
        if entries.expected.get(&key).is_none_or(|expected| expected.replaced_uid == uid) {
            return;
        }
        let recorded = job.recorded_hash();
        if let Some(expected) = entries.expected.remove(&key)
            && recorded.as_ref().is_some_and(|recorded| expected.made(recorded))
            && entry_index(job, &expected.manager).is_some()
            && expected.is_current(now)
            && !expected.contended
            && expected.others.len() <= 1
        {
            let kept = Kept { recorded, ..expected.kept };
            entries.keep(uid.to_owned(), kept, now);
        }
    }

    /// Stops expecting a plan's Job, unless a later plan's is expected.
    pub fn no_longer_expect(&self, plan: &Plan) {
        let key = (plan.namespace.clone(), plan.name.clone());
        let mut entries = self.entries();
        if entries.expected.get(&key).is_some_and(|expected| expected.replaced_uid == plan.uid) {
            entries.expected.remove(&key);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the Job of a request is expected.
fn key(request: &Request) -> (String, String) {
    let name = request.object.as_ref().and_then(|object| Job::new(object).name());
    (request.namespace.clone(), name.unwrap_or(&request.name).to_owned())
}

impl Entries {
    fn keep(&mut self, uid: String, kept: Kept, now: Instant) {
        self.forget(&uid);
        while self.bytes + kept.size() > BUDGET {
            let oldest = self.made.iter().min_by_key(|(_, (_, at))| *at);
            let Some(oldest) = oldest.map(|(uid, _)| uid.clone()) else { break };
            self.forget(&oldest);
        }
        self.bytes += kept.size();
        self.made.insert(uid, (kept, now));
    }

    fn forget(&mut self, uid: &str) {
        if let Some((kept, _)) = self.made.remove(uid) {
            self.bytes -= kept.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::keys;

    fn made(asked: Option<Value>) -> Made {
        Made { hash: TemplateHash::of(&json!({})), asked }
    }

    fn stored(uid: &str) -> Value {
        let hash = made(None).hash;
        json!({ "metadata": { "uid": uid, "annotations": { keys::TEMPLATE_HASH: hash.as_str() } } })
    }

    #[test]
    fn a_job_that_has_another_hash_recorded_since_is_not_what_it_was_made_for() {
        let memory = Memory::default();
        let now = Instant::now();
        memory.keep("u".into(), &made(None), now);
        let mut job = stored("u");
        assert!(memory.of(Job::new(&job), now).is_some());
        let other = TemplateHash::of(&json!({ "spec": { "completions": 5 } }));
        job["metadata"]["annotations"][keys::TEMPLATE_HASH] = json!(other.as_str());
        assert_eq!(memory.of(Job::new(&job), now), None);
    }

    #[test]
    fn a_replacement_is_remembered_for_an_hour() {
        let memory = Memory::default();
        let now = Instant::now();
        let made = made(Some(json!({ "spec": { "parallelism": 2 } })));
        memory.keep("u".into(), &made, now);
        assert_eq!(memory.of(Job::new(&stored("u")), now), Some(made));
        assert_eq!(memory.of(Job::new(&stored("other")), now), None);
        assert_eq!(memory.of(Job::new(&stored("u")), now + LIFE), None);
    }

    #[test]
    fn an_expectation_that_was_left_behind_ends() {
        let now = Instant::now();
        let mut job = stored("new");
        job["metadata"]["name"] = json!("a");
        job["metadata"]["managedFields"] = json!([{ "manager": "m", "operation": "Apply" }]);
        for (later, kept) in [(Duration::ZERO, true), (LONGEST_EXPECTATION, false)] {
            let memory = Memory::default();
            let expected = Expected {
                replaced_uid: "old".into(),
                manager: "m".into(),
                kept: Kept::of(&made(None)),
                others: BTreeMap::new(),
                contended: false,
                since: now,
            };
            memory.entries().expected.insert(("team".into(), "a".into()), expected);
            memory.meet("team", Job::new(&job), now + later);
            assert_eq!(
                memory.of(Job::new(&stored("new")), now + later).is_some(),
                kept,
                "after {later:?}"
            );
        }
    }

    #[test]
    fn the_memory_is_bounded_in_bytes_and_the_oldest_goes_first() {
        let now = Instant::now();
        for size in [0, 100, 16 * 1024] {
            let memory = Memory::default();
            let made = made(Some(json!("x".repeat(size))));
            let fits = BUDGET / Kept::of(&made).size();
            for n in 0..=fits {
                memory.keep(n.to_string(), &made, now + Duration::from_millis(n as u64));
                // The same Job again takes no more.
                memory.keep(n.to_string(), &made, now + Duration::from_millis(n as u64));
            }
            let entries = memory.entries();
            assert_eq!(entries.made.len(), fits, "{size}");
            let bytes: usize = entries.made.values().map(|(kept, _)| kept.size()).sum();
            assert_eq!(entries.bytes, bytes, "{size}");
            assert!(bytes <= BUDGET, "{size}: {bytes}");
            drop(entries);
            assert_eq!(memory.of(Job::new(&stored("0")), now), None, "{size}");
            assert_eq!(memory.of(Job::new(&stored("1")), now), Some(made), "{size}");
        }
    }
}
