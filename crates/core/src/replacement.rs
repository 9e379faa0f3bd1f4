//! The replacement protocol: plan, dormant record, and an execution without I/O.
//!
//! A replacement happens inside the client's own request. In turn 1 the old Job is deleted and,
//! unless the request is a server-side apply, the new one is made dormant (`parallelism: 0` and a
//! record of what it is to become); the answer puts every immutable field back, so that the API
//! server's write fails and it starts over. In turn 2 it creates the Job from the client's own
//! apply, or updates the dormant Job, which `decide` then releases.

mod as_user;
mod effect;
mod error;
mod execution;
mod plan;
mod record;

pub use effect::{Effect, Reply};
pub use error::ApiError;
pub use execution::{Execution, Outcome, Time, no_time};
pub use plan::{LAST_APPLIED, Mode, Plan, new_job};
pub use record::{Record, identity};

/// Why a dormant Job that is not stored as it is made cannot be.
pub const MARKS_ARE_LOST: &str = "another hook or policy changes the label or annotation \
    rejob.dev/dormant of a new Job, or its parallelism 0, so that it would never start, or start by \
    itself; let it pass Jobs with that label as they are";
