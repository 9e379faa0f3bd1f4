//! The effects of rejob on a cluster, as a trait: a real API server behind [`crate::kubernetes`],
//! a model of one in the tests.

use std::future::Future;

use serde_json::Value;

use crate::review::UserInfo;

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

/// Which right is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// To delete the Job of this name.
    Delete(&'a str),
    /// To create a Job: of this name for a server-side apply, of any name otherwise, as the API
    /// server's own authorization asks.
    Create(Option<&'a str>),
}

/// What rejob asks of a cluster.
pub trait Cluster: Send + Sync + 'static {
    /// The value of the opt-in label of the live Namespace.
    fn opted_in(
        &self,
        namespace: &str,
    ) -> impl Future<Output = Result<Option<String>, ApiError>> + Send;

    /// Whether the user has a right on Jobs in the namespace (SubjectAccessReview).
    fn may(
        &self,
        user: &UserInfo,
        namespace: &str,
        right: Right<'_>,
    ) -> impl Future<Output = Result<bool, ApiError>> + Send;

    /// Creates a Job, or with `dry_run` asks whether it would be accepted; the stored Job.
    fn create(
        &self,
        namespace: &str,
        job: &Value,
        field_manager: Option<&str>,
        dry_run: bool,
    ) -> impl Future<Output = Result<Value, ApiError>> + Send;

    /// Deletes a Job with `propagationPolicy: Background`, if it still has the uid and revision.
    fn delete(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// The Job as it is stored; `None` when there is none.
    fn get(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Value>, ApiError>> + Send;

    /// The Pods in the namespace with these labels (a selector, as the API server reads it).
    fn pods(
        &self,
        namespace: &str,
        selector: &str,
    ) -> impl Future<Output = Result<Vec<Value>, ApiError>> + Send;

    /// The Jobs with the dormant label, in all namespaces that this server looks after.
    fn dormant(&self) -> impl Future<Output = Result<Vec<Value>, ApiError>> + Send;

    /// The `MutatingWebhookConfiguration` of that name; `None` when there is none.
    fn webhook_configuration(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Value>, ApiError>> + Send;

    /// Tells about a replacement in an Event on the new Job.
    fn tell(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        message: &str,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}
