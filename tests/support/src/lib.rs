//! What the test binaries share: a real control plane and what is needed to act on it.
//!
//! A test begins with `let plane = ControlPlane::shared();` and, where it needs the webhook,
//! `let rejob = Rejob::start(&plane, …);`; it works in namespaces of its own through [`user::User`]s
//! that are what their certificate says. Waiting is always for a condition, with a deadline.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "the helpers of tests panic where a test would"
)]

pub mod admission_policy;
pub mod api_proxy;
pub mod binaries;
pub mod client;
pub mod clients;
pub mod clock;
pub mod etcd;
pub mod gobuild;
pub mod guard;
pub mod helm;
pub mod hook;
pub mod kubelet;
pub mod load;
pub mod manifest;
pub mod namespace;
pub mod net;
pub mod outcomes;
pub mod output;
pub mod paths;
pub mod pki;
pub mod plane;
pub mod pod;
pub mod rejob;
pub mod replica;
pub mod service;
pub mod site;
pub mod situation;
mod tls;
pub mod user;
pub mod verify;
pub mod wait;
pub mod webhooks;

/// A number from the environment.
pub fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text}: give a whole number"))
}
