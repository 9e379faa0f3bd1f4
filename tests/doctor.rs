//! `rejob doctor` on a real control plane: well when all is well, and one sentence for each thing
//! that is wrong.
//!
//! The doctor looks at the whole cluster, so the tests of this file take turns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

#[path = "doctor/certificates.rs"]
mod certificates;
#[path = "doctor/chart.rs"]
mod chart;
#[path = "doctor/clinic.rs"]
mod clinic;
#[path = "doctor/healthy.rs"]
mod healthy;
#[path = "doctor/rights.rs"]
mod rights;
mod support;
#[path = "doctor/trouble.rs"]
mod trouble;
