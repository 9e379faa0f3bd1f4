//! YAML and JSON streams for the command line.
//!
//! A stream is cut into documents by its markers ([`split`]); each document is read by the rules
//! of kubectl ([`yaml`], [`json`]) into a [`Node`] that keeps the order of its keys, and is written
//! back only when something in it changed. A document that did not change is copied byte for byte,
//! comments and all.

pub mod input;
pub mod json;
pub mod kinds;
pub mod node;
pub mod places;
pub mod split;
pub mod yaml;

pub use input::{BOM, Input};
pub use node::{Mapping, Node, Number};
pub use places::Places;
pub use split::Document;

/// What is wrong with a document, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}: document {document}, line {line}: {message}")]
pub struct ManifestError {
    /// The file, `stdin` for the standard input.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// Which line of the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// What is wrong on which line of the text at hand, from 1.
#[derive(Debug)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
