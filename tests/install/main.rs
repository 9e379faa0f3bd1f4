//! The chart as users get it: installed by real Helm into a real control plane, with the built
//! `rejob serve` as its Pods and with the rights of the chart's own ServiceAccount.
//!
//! What is missing here is played by the test: the kubelet (it starts and stops the processes that
//! the Deployment describes, see `replica`) and kube-proxy (it forwards the Service's address to
//! the ready ones, see `service`). The webhook configuration refers to the Service, unchanged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod as_user;
mod audit;
mod clients;
mod demo;
mod helm_test;
mod lifecycle;
mod load;
mod opt_out;
mod paused;
mod rights;
mod rolling;
mod self_guard;
mod token;
