//! The replacement protocol: plan (pure), dormant record, execution through a trait, reaper.
//!
//! A replacement happens inside the client's own request. In turn 1 the old Job is deleted and,
//! unless the request is a server-side apply, the new one is made dormant (`parallelism: 0` and a
//! record of what it is to become); the answer puts every immutable field back, so that the API
//! server's write fails and it starts over. In turn 2 it creates the Job from the client's own
//! apply, or updates the dormant Job, which `decide` then releases.

mod plan;
mod record;

pub use plan::{Mode, Plan, new_job};
pub use record::Record;
