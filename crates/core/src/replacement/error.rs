//! What comes of a call of the API server that fails.

/// A call that the API server did not answer with success.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status; 0 where there was no answer (connection, timeout).
    pub code: u16,
    /// The API server's own word for it (`AlreadyExists`, `Conflict`, …); empty without an answer.
    pub reason: String,
    /// The API server's own message, or what failed.
    pub message: String,
}

impl ApiError {
    /// No answer.
    #[must_use]
    pub fn unanswered(message: impl Into<String>) -> Self {
        Self { code: 0, reason: String::new(), message: message.into() }
    }

    /// The name is taken. Not every 409 says so: quota and webhooks answer with 409 as well.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists" && !self.is_by_a_webhook()
    }

    /// A deletion found another Job than its preconditions name, or none.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.code, 404 | 409) && !self.is_by_a_webhook()
    }

    /// Some admission webhook refused, with whatever code and reason it chose
    /// (`ToStatusErr` in `k8s.io/apiserver/pkg/admission/plugin/webhook/errors`).
    #[must_use]
    pub fn is_by_a_webhook(&self) -> bool {
        self.message.starts_with("admission webhook ")
    }

    /// Whether a quota has no room: the deleted Job is not counted down yet, or another came first.
    #[must_use]
    pub fn is_exceeded_quota(&self) -> bool {
        self.code == 403 && self.message.contains("exceeded quota")
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self.code, 0 | 429 | 500..=599)
    }
}
