//! The domain, pure: what rejob knows about a Job.
//!
//! Everything here reads the raw JSON of the request (`serde_json::Value`), never a typed
//! round trip, so that fields this build does not know are never dropped.

mod hash;
mod immutable;

pub use hash::TemplateHash;
pub use immutable::{Change, IMMUTABLE_FIELDS, changes, immutable_part};
