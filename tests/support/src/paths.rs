//! Where things are: the sources, cargo's target folder and the program that cargo built.

use std::path::{Path, PathBuf};

/// The root of the sources.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The target folder: this process is `target/debug/deps/cluster-…`, or `target/debug/examples/demo`.
pub fn target() -> PathBuf {
    above_this_program(3)
}

/// Cargo's folder for what tests write.
pub fn tmp() -> PathBuf {
    target().join("tmp")
}

/// The built `rejob`. Cargo builds it before it runs a test or a bench, not before an example.
pub fn rejob() -> PathBuf {
    above_this_program(2).join("rejob")
}

fn above_this_program(levels: usize) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this program");
    this.ancestors().nth(levels).expect("cargo's folders").to_owned()
}
