//! The built rejob on a real control plane, with real clients, behind a real webhook configuration.
//!
//! One module per subject. Every test has namespaces and a rejob of its own; all share one control
//! plane, because that is what takes seconds to start.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of tests panic where a test would"
)]

mod atomic;
mod down;
mod hash_name;
mod helm;
mod hooks;
mod kept_name;
mod left_alone;
mod on_change;
mod owners;
#[path = "../support/mod.rs"]
mod support;
mod ttl;
