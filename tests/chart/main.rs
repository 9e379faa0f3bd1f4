//! The Helm chart: what it renders, what it refuses, and that a real API server takes it.
//!
//! Helm is built from the Go module proxy on first use, as the control plane is; the tests that
//! need other tools are ignored by default and say which tool they want.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests panic where a test would"
)]

mod apiserver_metrics;
mod as_user;
mod cluster;
mod conditions;
mod dashboard_data;
mod deployment;
mod docs;
mod doctor_job;
mod examples;
mod metadata;
mod monitoring;
mod network;
mod notes;
mod profiles;
mod quota;
mod random;
mod refusals;
mod refusals_callers;
mod refusals_lists;
mod refusals_pod;
mod render;
mod reports;
mod rules;
mod schema;
mod selfguard;
mod subchart;
mod tools;
mod values;
