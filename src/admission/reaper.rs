//! The reaper: dormant Jobs that nobody came back for are deleted.
//!
//! So a crash between two steps never leaves a Job that silently does not run: the client gets an
//! error, and the Job is absent or untouched. Every replica deletes the dormant Jobs that it has seen
//! for over a minute by its own monotonic clock (a request lives at most 34 s). Clocks of two machines
//! are never compared.
//!
//! A dormant Job stays if a client may have got success for it: without the entry of dormant Jobs the
//! API server lets changes of them through. So nothing is deleted while that entry is missing from the
//! webhook configuration. A Job older than the configuration is kept too, because the configuration
//! was recreated after it. Deploying again starts such a Job.

mod seen;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::decide::is_protected;
use crate::kubernetes::webhook::{self, Entry};
use crate::kubernetes::{Cluster, Write};
use crate::metrics::Metrics;
use crate::policy::PolicySet;
use crate::replacement::ApiError;

pub use seen::{Due, Seen};

/// How often the dormant Jobs are listed.
pub const INTERVAL: Duration = Duration::from_secs(30);
/// How long a dormant Job must have been seen before it is deleted.
pub const GRACE: Duration = Duration::from_mins(1);
/// When a replica that runs has surely deleted it: it is first seen within an interval, and a look
/// at the very end of the grace may be a moment too early.
pub const REAPED: Duration = Duration::from_mins(2);

/// How long one call may take: an API server that hangs must not stop the reaper forever.
const CALL: Duration = Duration::from_secs(30);

/// The settings of a replica's reaper.
#[derive(Debug, Clone)]
pub struct ReaperOptions {
    /// The name of the webhook configuration that guards dormant Jobs.
    pub configuration: String,
    /// The policies of this server.
    pub policies: PolicySet,
    /// The namespace that rejob runs in.
    pub own_namespace: Option<String>,
    /// The pause between two looks.
    pub interval: Duration,
    /// How long a dormant Job must have been seen.
    pub grace: Duration,
}

/// The reaper of a replica.
#[derive(Debug)]
pub struct Reaper<C> {
    cluster: Arc<C>,
    options: ReaperOptions,
    metrics: Metrics,
    seen: Seen,
    /// Why Jobs that are due were kept at the last look; logged when it changes.
    why_kept: Option<String>,
}

impl<C: Cluster> Reaper<C> {
    /// A reaper that has seen nothing yet.
    pub fn new(cluster: Arc<C>, options: ReaperOptions, metrics: Metrics) -> Self {
        let seen = Seen::new(options.grace);
        Self { cluster, options, metrics, seen, why_kept: None }
    }

    /// Looks until it is dropped.
    pub async fn run(mut self) {
        let mut ticks = interval(self.options.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Looks for dormant Jobs that nobody came back for, and deletes them.
    async fn look(&mut self) {
        let jobs = match within(self.cluster.list_dormant_jobs()).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::warn!("cannot list dormant Jobs: {error}");
                return;
            }
        };
        let due = self.seen.look(&jobs, Instant::now());
        let kept = self.reap(&due).await.err();
        if kept != self.why_kept {
            if let Some(why) = &kept {
                tracing::warn!("dormant Jobs are not deleted: {why}");
            }
            self.why_kept = kept;
        }
    }

    /// Deletes these; the error says why some are kept.
    async fn reap(&self, due: &[Due]) -> Result<(), String> {
        if due.is_empty() {
            return Ok(());
        }
        let name = &self.options.configuration;
        let since = match within(self.cluster.webhook_configuration(name)).await {
            Ok(Some(configuration)) => guarded_since(&configuration),
            Ok(None) => Err("it does not exist"),
            Err(error) => return Err(format!("cannot read webhook configuration {name}: {error}")),
        };
        let since = since.map_err(|why| {
            format!("webhook configuration {name} does not guard them: {why}; run helm upgrade")
        })?;
        let (older, due): (Vec<_>, Vec<_>) = due.iter().partition(|due| due.created < since);
        for due in due {
            self.delete(due).await;
        }
        if older.is_empty() {
            return Ok(());
        }
        let names: Vec<_> =
            older.iter().map(|due| format!("{}/{}", due.namespace, due.name)).collect();
        Err(format!(
            "webhook configuration {name} is newer than these Jobs, so their clients may have been \
             told of success: {}; deploy them again to start them",
            names.join(", ")
        ))
    }

    async fn delete(&self, due: &Due) {
        let (namespace, name) = (due.namespace.as_str(), due.name.as_str());
        let ReaperOptions { policies, own_namespace, .. } = &self.options;
        match within(self.cluster.namespace_policy(namespace)).await {
            Ok(label)
                if is_served(namespace, label.as_deref(), policies, own_namespace.as_deref()) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(namespace, name, "cannot read the namespace: {error}");
                return;
            }
        }
        let deleted =
            self.cluster.delete(namespace, name, &due.uid, &due.resource_version, Write::Real);
        match within(deleted).await {
            Ok(()) => {
                self.metrics.dormant_job_reaped();
                tracing::warn!(
                    namespace,
                    name,
                    uid = due.uid,
                    "deleted a dormant Job: the replacement that made it was cut off; send the \
                     request again"
                );
            }
            // Released or deleted meanwhile.
            Err(error) if matches!(error.code, 404 | 409) => {}
            Err(error) => tracing::warn!(namespace, name, "cannot delete a dormant Job: {error}"),
        }
    }
}

/// A call that ends.
async fn within<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let unanswered = || ApiError::unanswered(format!("no answer within {} s", CALL.as_secs()));
    timeout(CALL, call).await.unwrap_or_else(|_| Err(unanswered()))
}

/// Since when the webhook configuration guards dormant Jobs; the error says why it does not.
///
/// It does by an entry of their own that fails closed. Its selectors and conditions are not judged:
/// the doctor does that.
fn guarded_since(configuration: &MutatingWebhookConfiguration) -> Result<Timestamp, &'static str> {
    let entry = webhook::entries(configuration).find(Entry::is_for_dormant);
    let entry = entry.ok_or("it has no entry dormant.rejob.dev")?;
    if entry.webhook.failure_policy.as_deref() != Some("Fail") {
        return Err("the failurePolicy of its entry dormant.rejob.dev is not Fail");
    }
    let created = configuration.metadata.creation_timestamp.as_ref();
    created.map(|time| time.0).ok_or("it has no creationTimestamp")
}

/// Whether rejob serves a namespace with this label value. In any other, nobody takes forged marks
/// out: anyone who may patch a Job could set them, to have it deleted.
fn is_served(
    namespace: &str,
    label: Option<&str>,
    policies: &PolicySet,
    own_namespace: Option<&str>,
) -> bool {
    !is_protected(namespace, own_namespace)
        && label.is_some_and(|label| policies.get(label).is_some())
}

#[cfg(test)]
mod tests;
