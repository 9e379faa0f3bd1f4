//! What rejob decides, without a process, a cluster or a file to write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod decide;
mod hash_changes;
mod hash_laws;
mod hash_rules;
mod knobs_doc;
mod model;
mod reasons_doc;
