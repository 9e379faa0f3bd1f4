//! Golden files, one test each, under the name of the file: `cargo test --test golden update/elastic`.
//!
//! The harness is our own, since the tests are files; the flags are those of any other test binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod hash;
mod reviews;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trials = [hash::trials(), reviews::trials()];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit_code()
}

/// A test that fails by a panic.
fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// What is in a folder, sorted.
fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The folder of the cases.
fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases").canonicalize().unwrap()
}

/// The name of a case: `reviews/update/elastic`.
fn case_name(path: &Path) -> String {
    let name = path.strip_prefix(cases()).unwrap().to_str().unwrap();
    [".yaml", ".json"].iter().fold(name, |name, ending| name.trim_end_matches(ending)).to_owned()
}
