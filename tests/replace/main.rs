//! Replacement on a real control plane, where it is hardest: other hooks, crashes, many clients at
//! once, missing rights, and what is left to see afterwards.
//!
//! `tests/matrix` plays every client in every situation; here each module is one promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests panics where a test would"
)]

#[path = "../support/mod.rs"]
mod support;

mod companions;
mod concurrency;
mod deploy;
mod emergency;
mod forged;
mod hashes;
mod hooks;
mod kill;
mod kinds;
mod knobs;
mod mirrors;
mod operators;
mod owners;
mod patches;
mod policies;
mod queues;
mod reaper;
mod recreated;
mod rights;
mod selectors;
mod slow;
mod stored;
mod visible;
mod wish;
mod working;
