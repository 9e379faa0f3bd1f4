//! Everything that knows Kubernetes from outside the core: how to reach an API server, the one
//! client that calls it, the effects of the replacement protocol through that client, the model of a
//! webhook configuration, names and versions.

mod client;
mod cluster;
mod connect;
pub mod names;
mod version;
pub mod webhook;

pub use client::{ApiAnswer, ApiClient, encode};
pub use cluster::{Introduction, KubeCluster};
pub use connect::{ConnectError, config};
pub use version::ServerVersion;

/// The label by which a namespace opts in.
pub const POLICY_LABEL: &str = "rejob.dev/policy";

/// Who rejob is in what it writes when no client named a field manager.
pub const FIELD_MANAGER: &str = "rejob";
