//! The Go programs around the controllers' libraries, built from tests/controlplane.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use support::gobuild::{self, Build, Program};

/// The program of that module; built when it is not there yet, or its sources have changed.
pub fn program(name: &'static str, title: &str) -> PathBuf {
    let module = gobuild::module(name);
    let mut sources = DefaultHasher::new();
    for file in ["main.go", "go.mod", "../program/program.go"] {
        fs::read(module.join(file)).expect("read a source").hash(&mut sources);
    }
    let into = gobuild::root().join(format!("{name}-{:016x}", sources.finish()));
    Build { go: "go", title, module: &module, into: &into, ldflags: "-s -w" }
        .ensure(&[Program { name, package: "." }])
        .unwrap_or_else(|sentence| panic!("no {title} to test with: {sentence}"));
    into.join(name)
}
