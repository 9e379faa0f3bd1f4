//! rejob on a real control plane, with real clients.
//!
//! The groups share one control plane, because that is what takes seconds to start. Every test has
//! namespaces and a rejob of its own; a test that looks at the whole cluster, or needs other flags,
//! has a control plane of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod certs;
mod chaos;
mod controlplane;
mod doctor;
mod e2e;
mod harness;
mod hash_matches_the_api_server;
mod matrix;
mod plugin;
mod replace;
