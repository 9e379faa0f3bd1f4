//! Places for requests that need the cluster, so that no Job and no namespace can keep others from
//! being served.
//!
//! Such a request holds one of the server's reviews for as long as the API server takes, or another
//! request of its Job. It holds a place of its Job and of its namespace for that time. If all are taken,
//! it gets a 429.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decide::Decision;
use crate::job::Job;
use crate::replacement::Record;
use crate::review::Request;

/// What one Job and one namespace may take of the reviews at once: a sixteenth, and a quarter.
const OF_A_JOB: usize = 16;
const OF_A_NAMESPACE: usize = 4;

/// A namespace; with a name, a Job of it. The last field: whether it is for a second turn.
type PlaceKey = (String, Option<String>, bool);
type Taken = Arc<Mutex<HashMap<PlaceKey, usize>>>;

/// The places of one server.
#[derive(Debug)]
pub(super) struct Places {
    a_job: usize,
    a_namespace: usize,
    taken: Taken,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    keys: [PlaceKey; 2],
    taken: Taken,
}

impl Places {
    /// The places of a server that works on so many reviews at once.
    pub fn new(reviews_at_once: usize) -> Self {
        let share = |part: usize| (reviews_at_once / part).max(1);
        Self { a_job: share(OF_A_JOB), a_namespace: share(OF_A_NAMESPACE), taken: Taken::default() }
    }

    /// Takes a place. A request that comes back to its own dormant Job has deleted one, so its places
    /// are others than those of the requests that crowd around the Job.
    ///
    /// # Errors
    /// The answer, when all places of the Job or of the namespace are taken.
    pub fn take(&self, request: &Request) -> Result<Place, Box<Decision>> {
        let record = request.old_object.as_ref().and_then(|old| Record::of(Job::new(old)));
        let returns = record.is_some_and(|record| record.is_for(request));
        let namespace = (request.namespace.clone(), None, returns);
        let job = (request.namespace.clone(), Some(request.name.clone()), returns);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |key| taken.get(key).copied().unwrap_or_default();
        if count(&job) >= self.a_job {
            return Err(Box::new(Decision::crowded(request, self.a_job, "for this Job")));
        }
        if count(&namespace) >= self.a_namespace {
            return Err(Box::new(Decision::crowded(request, self.a_namespace, "in its namespace")));
        }
        let keys = [job, namespace];
        for key in &keys {
            *taken.entry(key.clone()).or_default() += 1;
        }
        Ok(Place { keys, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = taken.get_mut(key) {
                *count -= 1;
            }
        }
        taken.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::fake::{make_dormant, recorded};
    use crate::reason::Reason;

    fn request(name: &str, old: &Value) -> Request {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "r", "operation": "UPDATE", "namespace": "team", "name": name,
                "kind": { "group": "batch", "version": "v1", "kind": "Job" },
                "userInfo": { "username": "ada" }, "options": { "fieldManager": "kubectl" },
                "object": {}, "oldObject": old
            }
        });
        crate::review::parse(review.to_string().as_bytes()).unwrap()
    }

    fn of(name: &str) -> Request {
        request(name, &json!({}))
    }

    #[test]
    fn a_job_and_a_namespace_have_their_share_and_what_is_given_back_can_be_taken() {
        let places = Places::new(32);
        let mut held: Vec<_> = (0..2).map(|_| places.take(&of("a")).unwrap()).collect();
        let told = |told: Box<Decision>| {
            assert_eq!(told.reason, Reason::TooManyRequests);
            crate::admission::message(&told).into_owned()
        };
        let of_the_job = told(places.take(&of("a")).unwrap_err());
        assert!(of_the_job.contains("2 requests for this Job"), "{of_the_job}");
        for name in ["b", "c", "d"] {
            held.extend((0..2).map(|_| places.take(&of(name)).unwrap()));
        }
        let of_the_namespace = told(places.take(&of("e")).unwrap_err());
        assert!(of_the_namespace.contains("8 requests in its namespace"), "{of_the_namespace}");
        let elsewhere = Request { namespace: "other".to_owned(), ..of("e") };
        drop(places.take(&elsewhere).unwrap());

        drop(held.remove(0));
        held.push(places.take(&of("a")).unwrap());
        drop(held);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is kept of Jobs that are quiet");
    }

    /// It has deleted the old Job: to refuse it then would leave a Job that does not run.
    #[test]
    fn who_comes_back_to_the_own_dormant_job_has_a_place_in_any_crowd() {
        let places = Places::new(1);
        let _crowd = places.take(&of("a")).unwrap();
        for (user, expected) in [("ada", true), ("bob", false)] {
            let mut dormant = json!({ "metadata": {}, "spec": {} });
            make_dormant(&mut dormant, &recorded(user, Some("kubectl")));
            assert_eq!(places.take(&request("a", &dormant)).is_ok(), expected, "{user}");
        }
    }

    #[test]
    fn the_smallest_server_has_places_too() {
        assert!(Places::new(1).take(&of("a")).is_ok());
    }
}
