//! The HTTPS server: listener, TLS, router, limits, admin port, drain.

use std::future::Future;

use bytes::Bytes;
use tokio::time::Instant;

/// What the server hands a request's body to: [`crate::admission::Admission`], or a stub in tests.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers one AdmissionReview for the named policy before `deadline`.
    fn review(
        &self,
        policy: &str,
        body: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = Result<Bytes, ReviewError>> + Send;
}

/// Why a body got no AdmissionReview answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The body is not an AdmissionReview of admission.k8s.io/v1 (400).
    #[error("{0}")]
    NotAReview(String),
    /// No policy of that name (404).
    #[error("no policy named {name:?}; there are: {known}")]
    UnknownPolicy {
        /// The name asked for.
        name: String,
        /// The names there are, joined.
        known: String,
    },
}
