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
//! | [`policy`] | the policy file and the annotations: one validated value |
//! | [`job`] | the domain: a view of a Job, its immutable part, template hash, names, owner, progress |
//! | [`decide`] | `decide(request, policy) -> Decision`: the rule list, pure and total |
//! | [`reason`] | every outcome: its metric label, its log value, its sentence |
//! | [`patch`] | the JSON Patch builder and the proof that a patch applies |
//! | [`replace`] | the replacement protocol: plan, dormant record, execution through a trait, reaper |
//! | [`review`] | the wire envelope of an AdmissionReview |
//! | [`admission`] | bytes in, bytes out: review, decision, effects, metrics |
//! | [`server`] | listener, TLS, router, limits, admin port, drain |
//! | [`certs`] | certificates: plan, issue, store, watch, inject |
//! | [`kubernetes`] | the API server: one client, the effects behind the trait, webhook configurations, names |
//! | [`doctor`] | `rejob doctor`: probes collect facts, pure functions judge them |
//! | [`manifest`] | YAML and JSON streams for the command line |
//! | [`cli`], [`commands`] | the command line and one shell per subcommand |
//! | [`telemetry`], [`metrics`] | logs and metrics |

pub mod admission;
pub mod certs;
pub mod cli;
pub mod commands;
pub mod decide;
pub mod doctor;
pub mod duration;
pub mod error;
pub mod job;
pub mod kubernetes;
pub mod manifest;
pub mod metrics;
pub mod patch;
pub mod policy;
pub mod reason;
pub mod replace;
pub mod review;
pub mod server;
pub mod telemetry;
