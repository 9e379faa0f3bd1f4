//! The plan of a replacement: everything that its execution needs, decided from the request.

use serde_json::{Map, Value, json};

use crate::job::{Client, Job, LAST_APPLIED_CONFIGURATION, TemplateHash, keys, take_generated};
use crate::json::{put, put_in, take};
use crate::review::{UserInfo, requester};

use super::Record;

/// What clients compare their manifest with, to send nothing when they find it applied already:
/// kubectl's record of the last manifest, and the annotation that Helm sets on every object. In a
/// dormant Job they have a space in front, so that whoever is left with one after a crash and
/// sends the same manifest again does send it, and starts the Job by it.
pub const LAST_APPLIED: [&str; 2] = [LAST_APPLIED_CONFIGURATION, "meta.helm.sh/release-name"];

/// How the new Job comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Server-side apply: the API server creates the Job from the client's own apply, with the
    /// right field owners and the user's own `create` right.
    Apply,
    /// Everything else: rejob creates it dormant, and turn 2 releases it.
    Recreate,
}

/// One replacement.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The namespace.
    pub namespace: String,
    /// The Job's name.
    pub name: String,
    /// The old Job's resourceVersion, a precondition of the deletion, as its uid is.
    pub resource_version: String,
    /// Who asks for it.
    pub user: UserInfo,
    /// What turn 2 needs to know, less the policy's name.
    pub record: Record,
    /// The run that is replaced, in words.
    pub old_run: String,
    /// The hash of what was asked for last time.
    pub old_hash: TemplateHash,
    /// How the new Job comes to be.
    pub mode: Mode,
    /// Whether only the checks are made: for a dry run or a report.
    pub only_checks: bool,
    /// The selector of the old Job's Pods, where only they tell that it does not work.
    pub pods: Option<String>,
    /// What the client applies, for [`Mode::Apply`]: the API server creates the Job from that alone.
    pub applied: Option<Value>,
    /// Whether the client applies what it has read of the old Job, with what was generated for that.
    pub was_read_back: bool,
    /// The new Job as it is to run.
    pub job: Value,
    /// `metadata.annotations` of the old Job, which the new one has while it is dormant.
    pub old_annotations: Map<String, Value>,
    /// The hash of what was asked for.
    pub hash: TemplateHash,
    /// What changes, in words.
    pub described: String,
    /// Who asks, for the metrics.
    pub client: Client,
}

impl Plan {
    /// What must be accepted before anything is deleted.
    pub fn accepted(&self) -> &Value {
        self.applied.as_ref().unwrap_or(&self.job)
    }

    /// Who asks, and with which field manager, in words.
    pub fn requester(&self) -> String {
        requester(&self.user.username, self.record.manager.as_deref())
    }

    /// The hashes before and after, in words.
    pub fn hashes(&self) -> String {
        format!("{} -> {}", self.old_hash, self.hash)
    }

    /// The beginning of a refusal before the deletion. A Job that is there by an earlier turn, and not
    /// started, is not the one that the user knows.
    pub fn not_replaced(&self) -> String {
        let name = &self.name;
        if self.record.replacements > 1 {
            format!(
                "job {name} is half replaced (the old one is deleted, the new one is not started), and \
                 was not replaced again"
            )
        } else {
            format!("job {name} was not replaced")
        }
    }

    /// The new Job as it is created by that policy: it starts no Pod and says what it is to become.
    pub fn dormant(&self, policy_name: &str) -> Value {
        let record = Record { policy: policy_name.to_owned(), ..self.record.clone() };
        let mut job = self.job.clone();
        for (key, value) in self.unsettled_annotations() {
            put_in(&mut job, "annotations", &key, value);
        }
        put(&mut job, "spec", "parallelism", json!(0));
        put_in(&mut job, "labels", keys::DORMANT, json!("true"));
        put_in(&mut job, "annotations", keys::DORMANT, json!(record.to_text()));
        job
    }

    /// The annotations that a dormant Job has in another way than the request: whoever reads it, and
    /// compares whichever annotation, must not take it for done. The request brings its own in turn 2.
    fn unsettled_annotations(&self) -> Vec<(String, Value)> {
        let old = self.old_annotations.iter().filter(|(key, _)| {
            !matches!(key.as_str(), keys::RERUN | keys::REPLACING | keys::DORMANT | JOB_TRACKING)
                && *key != keys::TEMPLATE_HASH
        });
        let mut annotations: Vec<_> =
            old.map(|(key, value)| (key.clone(), value.clone())).collect();
        for key in LAST_APPLIED {
            let stored = self.old_annotations.get(key).and_then(Value::as_str);
            if let Some(value) = stored.or_else(|| Job::new(&self.job).annotation(key)) {
                annotations.push((key.to_owned(), json!(format!(" {value}"))));
            }
        }
        annotations
    }

    /// The new Job under another name: in a dry run nothing of it is told under the name that is taken.
    pub fn probe(&self, policy_name: &str) -> Value {
        let mut job = match self.mode {
            // As merged: what other managers own beside the apply is no change of it.
            Mode::Apply => self.job.clone(),
            Mode::Recreate => self.dormant(policy_name),
        };
        if let Some(Value::Object(metadata)) = job.get_mut("metadata") {
            metadata.remove("name");
            metadata.insert("generateName".to_owned(), json!("rejob-probe-"));
        }
        job
    }
}

/// What the Job controller of older versions marked its Jobs with.
const JOB_TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// The new Job: the request's object without what belongs to the old one.
///
/// What was generated for the old Job goes, also from the Job's own labels (with empty labels,
/// defaulting copies the template's, generated ones too).
pub fn new_job(job: Job<'_>, hash: &TemplateHash, parallelism: Option<i64>) -> Value {
    let mut new = job.value().clone();
    if let Some(root) = new.as_object_mut() {
        root.remove("status");
        root.entry("apiVersion").or_insert_with(|| json!("batch/v1"));
        root.entry("kind").or_insert_with(|| json!("Job"));
    }
    for field in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
    ] {
        take(&mut new, "/metadata", field);
    }
    for key in [keys::REPLACING, keys::DORMANT, JOB_TRACKING] {
        take(&mut new, "/metadata/annotations", key);
    }
    take(&mut new, "/metadata/labels", keys::DORMANT);
    take_generated(&mut new);
    put_in(&mut new, "annotations", keys::TEMPLATE_HASH, json!(hash.as_str()));
    match parallelism {
        Some(parallelism) => put(&mut new, "spec", "parallelism", json!(parallelism)),
        None => take(&mut new, "/spec", "parallelism"),
    }
    new
}
