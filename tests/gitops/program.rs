//! The Go programs around the controllers' libraries, built from tests/controlplane.

use std::path::PathBuf;

use support::gobuild::{self, Build, Program};

/// The program of that module; built when it is not there yet, or its sources have changed.
pub fn program(name: &'static str, title: &str) -> PathBuf {
    let module = gobuild::module(name);
    let sources = gobuild::digest(&[&module, &gobuild::module("program")]);
    let into = gobuild::root().join(format!("{name}-{sources}"));
    Build { go: "go", title, module: &module, into: &into, ldflags: "-s -w" }
        .ensure(&[Program { name, package: "." }])
        .unwrap_or_else(|sentence| panic!("no {title} to test with: {sentence}"));
    into.join(name)
}
