//! The replacement protocol: plan, dormant record, and an execution without I/O.
//!
//! A replacement happens inside the client's own request. In turn 1 the old Job is deleted and,
//! unless the request is a server-side apply, the new one is made dormant (`parallelism: 0` and a
//! record of the Job that it will be); the answer puts every immutable field back, so that the API
//! server's write fails and it starts over. In turn 2 it creates the Job from the client's own
//! apply, or updates the dormant Job, which `decide` then releases.

mod as_user;
mod effect;
mod error;
mod execution;
mod outcome;
mod plan;
mod record;

pub use effect::{Effect, Reply, Success};
pub use error::ApiError;
pub use execution::{Execution, Time};
pub use outcome::Outcome;
pub use plan::{LAST_APPLIED, Mode, Plan, new_job};
pub use record::{Record, identity};

/// Why a Job is not replaced if its dormant form is not stored as rejob sends it.
pub const MARKS_ARE_LOST: &str = "another hook or policy changes the label or annotation \
    rejob.dev/dormant or the parallelism of a new Job, which would then never start, or start too \
    early; let Jobs with that label pass unchanged";
