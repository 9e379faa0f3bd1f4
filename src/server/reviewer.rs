//! What answers reviews, as the server sees it.

use std::future::Future;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The webhook call that a review answers.
#[derive(Debug, Clone)]
pub struct Call {
    /// When the review must be answered.
    pub deadline: Instant,
    /// Canceled when nobody waits for the answer: the client has hung up, or has got another one.
    pub abandoned: CancellationToken,
}

#[cfg(test)]
impl Call {
    /// A call whose client waits until that deadline.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { deadline, abandoned: CancellationToken::new() }
    }
}

/// What the server hands a request's body to: [`crate::admission::Admission`], or a stub in tests.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers one AdmissionReview for the named policy before the deadline of the call.
    ///
    /// The future is run to its end even when the client has hung up.
    fn review(
        &self,
        policy: &str,
        body: Bytes,
        call: Call,
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
