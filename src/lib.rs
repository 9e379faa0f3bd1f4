//! rejob redeploys Kubernetes Jobs the way Deployments are redeployed.
//!
//! A Job's pod template is immutable, so every tool that applies manifests fails as soon as a Job
//! that already exists changes. rejob is a mutating admission webhook that a namespace opts in to
//! by label; it answers Job reviews with JSON patches.
//!
//! The crate is a functional core in thin shells:
//!
//! | module | what it holds |
//! |---|---|
//! | the crate `rejob-core` | what is decided, pure and total: policies, the view of a Job, the rules, the protocol |
//! | [`admission`] | bytes in, bytes out: review, decision, effects, reaper, metrics |
//! | [`policy_file`] | the policy file |
//! | [`server`] | listener, TLS, router, limits, admin port, drain |
//! | [`certs`] | certificates: plan, issue, store, watch |
//! | [`kubernetes`] | the API server: one client, the cluster behind a trait, webhook configurations, names |
//! | [`doctor`] | `rejob doctor`: probes collect facts, pure functions judge them |
//! | [`reported`] | what `onChange: Report` has reported, read back and summed up |
//! | [`manifest`] | YAML and JSON streams for the command line |
//! | [`cli`], [`commands`] | the command line and one shell per subcommand |
//! | [`telemetry`], [`metrics`] | logs and metrics |

pub mod admission;
pub mod certs;
pub mod cli;
pub mod commands;
pub mod doctor;
pub mod duration;
pub mod error;
pub mod kubernetes;
pub mod manifest;
pub mod metrics;
pub mod policy_file;
pub mod reported;
pub mod server;
pub mod telemetry;
pub mod words;

pub use rejob_core::{answer, decide, job, patch, policy, reason, replacement, review};
