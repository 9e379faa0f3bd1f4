//! The neighbors that rejob meets in a cluster, as they are: other controllers and webhooks, other
//! storage, several API servers; and Terraform.
//!
//! Run by `just ecosystem`, and not by `cargo test`: the programs are built from the Go module proxy,
//! which takes minutes each. Every test plays the same without rejob and with it, and what came out
//! is its part of docs/ecosystem.md, which it compares, or writes with `UPDATE_DOCS=1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod cert_manager;
mod flux;
mod gatekeeper;
mod kueue;
mod kyverno;
mod neighbor;
mod play;
mod situations;
mod storage;
mod table;
mod terraform;
