//! Requests that were told to wait, and what the Job was then.
//!
//! A PUT names the revision that its client has seen. While it waits for the old Job to finish,
//! the Job controller writes the status, so the same request comes back with a revision that is no
//! longer the stored one. Where nothing but the status has changed, that is no conflict. Bounded,
//! for an hour; another replica does not know, and the API server then answers 409 as ever.

use std::collections::HashMap;
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
const MOST: usize = 10_000;

type Key = (String, String);
type Fingerprint = [u8; 32];

/// The requests that wait: by the Job's uid and the revision that they carry.
#[derive(Debug, Default)]
pub struct Held(Mutex<HashMap<Key, (Fingerprint, Instant)>>);

impl Held {
    /// Remembers a request that is told to wait, with what the Job is now.
    pub fn keep(&self, request: &Request, now: Instant) {
        let Some((key, stored)) = key(request) else { return };
        let fingerprint = fingerprint(stored);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.retain(|_, (_, at)| now.saturating_duration_since(*at) < LIFE);
        }
        // When still full, a new one is not remembered: the API server then answers 409 as ever.
        if entries.len() < MOST {
            entries.entry(key).or_insert((fingerprint, now));
        }
    }

    /// Whether the request was told to wait before, and only the status has changed since.
    #[must_use]
    pub fn is_the_same(&self, request: &Request, now: Instant) -> bool {
        let revision = |job: &Option<Value>| {
            job.as_ref().and_then(|job| Job::new(job).resource_version()).map(str::to_owned)
        };
        if revision(&request.object) == revision(&request.old_object) {
            return false; // There is nothing to excuse.
        }
        let Some((key, stored)) = key(request) else { return false };
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key).is_some_and(|(then, at)| {
            now.saturating_duration_since(*at) < LIFE && *then == fingerprint(stored)
        })
    }
}

fn key(request: &Request) -> Option<(Key, &Value)> {
    let stored = request.old_object.as_ref()?;
    let revision = request.object.as_ref().map(Job::new)?.resource_version()?;
    Some(((Job::new(stored).uid()?.to_owned(), revision.to_owned()), stored))
}

/// Everything of a Job but its status, its revision and who owns which field.
fn fingerprint(job: &Value) -> Fingerprint {
    let mut job = job.clone();
    if let Some(root) = job.as_object_mut() {
        root.remove("status");
    }
    if let Some(metadata) = job.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    // A JSON value always serializes.
    Sha256::digest(serde_json::to_vec(&job).unwrap_or_default()).into()
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
        let held = Held::default();
        let now = Instant::now();
        assert!(!held.is_the_same(&request("1", "2", 0, "x"), now));
        held.keep(&request("1", "1", 1, "x"), now);
        assert!(held.is_the_same(&request("1", "2", 0, "x"), now));
        assert!(!held.is_the_same(&request("1", "1", 0, "x"), now), "not stale at all");
        assert!(!held.is_the_same(&request("1", "2", 0, "y"), now), "a label changed");
        assert!(!held.is_the_same(&request("0", "2", 0, "x"), now), "another revision");
        assert!(!held.is_the_same(&request("1", "2", 0, "x"), now + LIFE), "too long ago");
    }
}
