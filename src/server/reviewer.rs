//! What answers reviews, as the server sees it.

use std::future::Future;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

/// What the server hands a request's body to: [`crate::admission::Admission`], or a stub in tests.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers one AdmissionReview for the named policy before `deadline`.
    ///
    /// The future is run to its end even when the client is gone.
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

impl ReviewError {
    /// The HTTP status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAReview(_) => StatusCode::BAD_REQUEST,
            Self::UnknownPolicy { .. } => StatusCode::NOT_FOUND,
        }
    }
}
