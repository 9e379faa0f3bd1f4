//! Everything that knows Kubernetes from outside the core: how to reach an API server, the one
//! client that calls it, the effects of the replacement protocol through that client, the keys of Events,
//! the model of a webhook configuration, names and versions.

mod client;
mod cluster;
mod connect;
pub mod events;
#[cfg(test)]
pub(crate) mod fake;
mod impersonation;
mod kube_cluster;
pub mod names;
mod redact;
mod version;
pub mod webhook;

pub use client::{
    ApiAnswer, ApiClient, ApiRequest, FIELD_MANAGER, encode, items, job_path, jobs_path,
    namespace_path,
};
pub use cluster::{Cluster, JobEvent, Right, Write};
pub use connect::{ConnectError, config};
pub use kube_cluster::{Introduction, KubeCluster};
pub use redact::redact;
pub use version::ServerVersion;
pub use webhook::{POLICY_LABEL, opted_in_json};
