//! rejob without a cluster: the built program, its server, its certificates, its pages, and the
//! protocol against a model of the API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_for_each,
    reason = "tests may"
)]

mod certs;
mod cli;
mod cli_docs;
mod cli_shown;
mod model;
mod mutate;
mod serve;
