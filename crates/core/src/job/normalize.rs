//! The normal form of a Job's immutable fields, by their position in the schema.
//!
//! The tables below this module restate the Go types of Kubernetes, their defaults
//! (`pkg/apis/core/v1/defaults.go`, `pkg/apis/batch/v1/defaults.go` and the generated ones) and
//! their merge keys. A field that no table names is kept, so that a newer API server's fields
//! count; a map whose keys the user chose is never looked into.

mod affinity;
mod common;
mod container;
mod hooks;
mod image;
mod normal;
mod pod;
mod projected;
mod shape;
mod spec;
mod volume;

pub(super) use normal::{Fields, Normal};
pub(super) use shape::{Shape, Type, fields};
pub(super) use spec::JOB_SPEC;
