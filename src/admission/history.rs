//! What this replica remembers of Jobs and requests. All of it only saves work or spares a client a
//! conflict: another replica does not know, and comes to the same end.
//!
//! A PUT names the revision that its client has seen. While it waits for the old Job to finish,
//! the Job controller writes the status, so the same request comes back with a revision that is no
//! longer the stored one. Where nothing but the status has changed, that is not a conflict. Entries are
//! limited in number and count for an hour. Without them the API server answers 409, as without rejob.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::job::Job;
use crate::review::Request;

/// The longest wait.
const LIFE: Duration = Duration::from_hours(1);
/// How many requests are remembered.
const MOST_REQUESTS: usize = 10_000;
/// How many Jobs are remembered: views are stale by seconds at most.
const MOST_JOBS: usize = 512;

/// Of fixed size, as all that is remembered: a forged review may have a uid of megabytes.
type TextDigest = [u8; 32];

/// What a replica remembers.
#[derive(Debug, Default)]
pub struct History {
    /// By the Job's uid and the revision that a request carries.
    waiting: Mutex<HashMap<TextDigest, (TextDigest, Instant)>>,
    /// The Jobs that this replica has deleted. One may be back: etcd was restored from a snapshot.
    pub deleted: Uids,
    /// Dormant Jobs whose request was refused because it gave another template each time. Any request
    /// for one of them is a new request.
    pub given_up: Uids,
}

impl History {
    /// Remembers a request that was told to wait, and the Job as it is now.
    pub fn remember_wait(&self, request: &Request, now: Instant) {
        let Some((key, stored)) = key(request) else { return };
        let content_digest = content_digest(stored);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_REQUESTS {
            waiting.retain(|_, (_, at)| now.saturating_duration_since(*at) < LIFE);
        }
        // If it is still full, a new one is not remembered: the API server then answers 409, as without rejob.
        if waiting.len() < MOST_REQUESTS {
            waiting.entry(key).or_insert((content_digest, now));
        }
    }

    /// Whether the request was told to wait before, and only the status has changed since.
    pub fn was_told_to_wait(&self, request: &Request, now: Instant) -> bool {
        let revision = |job: &Option<Value>| {
            job.as_ref().and_then(|job| Job::new(job).resource_version()).map(str::to_owned)
        };
        if revision(&request.object) == revision(&request.old_object) {
            return false; // There is nothing to excuse.
        }
        let Some((key, stored)) = key(request) else { return false };
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&key).is_some_and(|(then, at)| {
            now.saturating_duration_since(*at) < LIFE && *then == content_digest(stored)
        })
    }
}

/// The last few uids.
#[derive(Debug, Default)]
pub struct Uids(Mutex<VecDeque<TextDigest>>);

impl Uids {
    /// Whether it is one of them.
    pub fn contains(&self, uid: &str) -> bool {
        let uids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !uids.is_empty() && uids.contains(&digest(uid))
    }

    /// Adds one; the oldest goes.
    pub fn add(&self, uid: &str) {
        let mut uids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uids.len() >= MOST_JOBS {
            uids.pop_front();
        }
        uids.push_back(digest(uid));
    }
}

fn digest(text: impl AsRef<[u8]>) -> TextDigest {
    Sha256::digest(text).into()
}

fn key(request: &Request) -> Option<(TextDigest, &Value)> {
    let stored = request.old_object.as_ref()?;
    let revision = request.object.as_ref().map(Job::new)?.resource_version()?;
    Some((digest(format!("{} {revision}", Job::new(stored).uid()?)), stored))
}

/// Everything of a Job but its status, its revision and who owns which field.
fn content_digest(job: &Value) -> TextDigest {
    let mut job = job.clone();
    if let Some(root) = job.as_object_mut() {
        root.remove("status");
    }
    if let Some(metadata) = job.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    // A JSON value always serializes.
    digest(serde_json::to_vec(&job).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(theirs: &str, stored: &str, ready: u32, label: &str) -> Request {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "r", "operation": "UPDATE",
                "kind": { "group": "batch", "version": "v1", "kind": "Job" },
                "object": { "metadata": { "name": "a", "resourceVersion": theirs } },
                "oldObject": {
                    "metadata": {
                        "name": "a", "uid": "u", "resourceVersion": stored,
                        "labels": { "a": label }, "managedFields": [{ "time": ready }]
                    },
                    "status": { "ready": ready }
                }
            }
        });
        crate::review::parse(review.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_request_that_waited_is_known_again_when_only_the_status_changed() {
        let history = History::default();
        let now = Instant::now();
        assert!(!history.was_told_to_wait(&request("1", "2", 0, "x"), now));
        history.remember_wait(&request("1", "1", 1, "x"), now);
        assert!(history.was_told_to_wait(&request("1", "2", 0, "x"), now));
        assert!(!history.was_told_to_wait(&request("1", "1", 0, "x"), now), "not stale at all");
        assert!(!history.was_told_to_wait(&request("1", "2", 0, "y"), now), "a label changed");
        assert!(!history.was_told_to_wait(&request("0", "2", 0, "x"), now), "another revision");
        assert!(!history.was_told_to_wait(&request("1", "2", 0, "x"), now + LIFE), "too long ago");
    }
}
