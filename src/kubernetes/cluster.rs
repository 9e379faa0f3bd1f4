//! What rejob asks of a cluster, as a trait: a real API server behind [`super::KubeCluster`], a model of
//! one in the tests.

use std::future::Future;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::Value;

use crate::replacement::ApiError;
use crate::review::UserInfo;

/// Which right is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// To delete the Job of this name.
    Delete(&'a str),
    /// To create a Job: of this name for a server-side apply, of any name otherwise, as the API
    /// server's own authorization asks.
    Create(Option<&'a str>),
}

/// How a Job is written.
#[derive(Debug, Clone, Copy)]
pub enum Write<'a> {
    /// By rejob.
    Real,
    /// Asked by rejob in a dry run.
    DryRun,
    /// Asked in this user's name in a dry run.
    DryRunAs(&'a UserInfo),
}

/// An Event on a Job.
#[derive(Debug, Clone)]
pub struct JobEvent<'a> {
    /// The Job's namespace.
    pub namespace: &'a str,
    /// The Job's name.
    pub job: &'a str,
    /// The Job's uid: `kubectl describe` shows no Event without it.
    pub uid: &'a str,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// What happened; at most 1024 bytes.
    pub message: String,
    /// The end of the Event's name, for an Event that is published once; `None`: a new Event each time.
    pub once: Option<&'a str>,
    /// `metadata.annotations`, for programs.
    pub annotations: Value,
}

/// What rejob asks of a cluster.
pub trait Cluster: Send + Sync + 'static {
    /// The value of the opt-in label of the live Namespace.
    fn namespace_policy(
        &self,
        namespace: &str,
    ) -> impl Future<Output = Result<Option<String>, ApiError>> + Send;

    /// Whether the user has a right on Jobs in the namespace (SubjectAccessReview).
    fn can_user(
        &self,
        user: &UserInfo,
        namespace: &str,
        right: Right<'_>,
    ) -> impl Future<Output = Result<bool, ApiError>> + Send;

    /// Creates a Job, or asks whether it would be accepted; the Job as it is or would be stored.
    fn create(
        &self,
        namespace: &str,
        job: &Value,
        field_manager: Option<&str>,
        write: Write<'_>,
    ) -> impl Future<Output = Result<Value, ApiError>> + Send;

    /// Whether the checks of a replacement are made in the user's name.
    fn checks_as_user(&self) -> bool;

    /// Deletes a Job with `propagationPolicy: Background`, if it still has the uid and revision, or asks
    /// whether that would be done.
    fn delete(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        write: Write<'_>,
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
    fn list_dormant_jobs(&self) -> impl Future<Output = Result<Vec<Value>, ApiError>> + Send;

    /// The `MutatingWebhookConfiguration` of that name; `None` when there is none.
    fn webhook_configuration(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<MutatingWebhookConfiguration>, ApiError>> + Send;

    /// Publishes an Event. If its name is taken, it is published already, which is success.
    fn publish_event(
        &self,
        event: JobEvent<'_>,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}
