//! `kubectl rejob`: the built program, found by real kubectl as `kubectl-rejob`, on a real control
//! plane.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod explain;
mod kubelet;
mod plugin;
mod rerun;
mod status;
