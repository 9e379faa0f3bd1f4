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

mod support;

#[path = "chart/apiserver_metrics.rs"]
mod apiserver_metrics;
#[path = "chart/cluster.rs"]
mod cluster;
#[path = "chart/conditions.rs"]
mod conditions;
#[path = "chart/dashboard_data.rs"]
mod dashboard_data;
#[path = "chart/deployment.rs"]
mod deployment;
#[path = "chart/docs.rs"]
mod docs;
#[path = "chart/doctor_job.rs"]
mod doctor_job;
#[path = "chart/examples.rs"]
mod examples;
#[path = "chart/metadata.rs"]
mod metadata;
#[path = "chart/monitoring.rs"]
mod monitoring;
#[path = "chart/network.rs"]
mod network;
#[path = "chart/notes.rs"]
mod notes;
#[path = "chart/profiles.rs"]
mod profiles;
#[path = "chart/quota.rs"]
mod quota;
#[path = "chart/random.rs"]
mod random;
#[path = "chart/refusals.rs"]
mod refusals;
#[path = "chart/refusals_lists.rs"]
mod refusals_lists;
#[path = "chart/refusals_pod.rs"]
mod refusals_pod;
#[path = "chart/render.rs"]
mod render;
#[path = "chart/rules.rs"]
mod rules;
#[path = "chart/schema.rs"]
mod schema;
#[path = "chart/subchart.rs"]
mod subchart;
#[path = "chart/tools.rs"]
mod tools;
#[path = "chart/values.rs"]
mod values;
