//! A stand-in for the decision: every review is admitted untouched.

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use crate::metrics::{Metrics, Operation, PolicyMetrics};
use crate::policy::PolicySet;
use crate::server::{ReviewError, Reviewer};

pub(super) struct Untouched(Vec<(String, PolicyMetrics)>);

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
    operation: &'a str,
}

impl Untouched {
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(policies: PolicySet, metrics: Metrics) -> Self {
        Self(policies.names().map(|name| (name.to_owned(), metrics.policy(name))).collect())
    }
}

impl Reviewer for Untouched {
    async fn review(&self, policy: &str, body: Bytes, _: Instant) -> Result<Bytes, ReviewError> {
        let start = Instant::now();
        let Some((_, metrics)) = self.0.iter().find(|(name, _)| name == policy) else {
            let known = self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            let (name, known) = (policy.to_owned(), known.join(", "));
            return Err(ReviewError::UnknownPolicy { name, known });
        };
        let review: Review = serde_json::from_slice(&body)
            .map_err(|error| ReviewError::NotAReview(format!("not an AdmissionReview: {error}")))?;
        let answer = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": { "uid": review.request.uid, "allowed": true },
        });
        metrics.reviewed(Operation::of(review.request.operation), "untouched", start.elapsed());
        Ok(answer.to_string().into())
    }
}
