//! YAML and JSON streams for the command line.
//!
//! A stream is cut into documents by its markers ([`split`]); each document is read by the rules
//! of kubectl ([`yaml`], [`json`]) into a [`Node`] that keeps the order of its keys, and is written
//! back only when something in it changed. A document that did not change is copied byte for byte,
//! comments and all.

pub mod input;
pub mod json;
pub mod kinds;
pub mod lines;
pub mod node;
mod problem;
pub mod split;
pub mod yaml;

pub use input::Input;
pub use lines::LineNumbers;
pub use node::{Mapping, Node, Number};
pub use problem::{ManifestError, Problem};
pub use split::{BOM, Document};
