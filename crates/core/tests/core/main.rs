//! What rejob decides: laws, tables, and the pages that are made from tables of the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

use std::path::{Path, PathBuf};

mod decide;
mod execution;
mod hash_changes;
mod hash_laws;
mod hash_rules;
mod knobs_doc;
mod plan;
mod questions;
mod reasons_doc;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
