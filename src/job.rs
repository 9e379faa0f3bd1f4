//! The domain, pure: what rejob knows about a Job.
//!
//! Everything here reads the raw JSON of the request (`serde_json::Value`), never a typed
//! round trip, so that fields this build does not know are never dropped.

mod change;
mod diff;
mod hash;
mod immutable;
mod normalize;
mod quantity;
mod redact;

pub use change::Change;
pub use hash::TemplateHash;
pub use immutable::{IMMUTABLE_FIELDS, changes, immutable_part};
