//! Everything that knows Kubernetes from outside the core: how to reach an API server, the one
//! client that calls it, the effects of the replacement protocol through that client, the model of a
//! webhook configuration, names and versions.

mod client;
mod cluster;
mod connect;
mod effects;
pub mod events;
#[cfg(test)]
pub(crate) mod fake;
mod impersonation;
pub mod names;
mod redact;
mod version;
pub mod webhook;

pub use client::{
    ApiAnswer, ApiClient, ApiRequest, FIELD_MANAGER, encode, items, job_path, jobs_path,
    namespace_path,
};
pub use cluster::{Introduction, KubeCluster};
pub use connect::{ConnectError, config};
pub use effects::{Cluster, JobEvent, Right, Write};
pub use redact::redact;
pub use version::ServerVersion;
pub use webhook::{POLICY_LABEL, opted_in_json};
