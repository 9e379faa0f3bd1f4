//! The replacement protocol: plan, dormant record, and an execution without I/O.
//!
//! A replacement happens inside the client's own request. In turn 1 the old Job is deleted and,
//! unless the request is a server-side apply, the new one is made dormant (`parallelism: 0` and a
//! record of what it is to become); the answer puts every immutable field back, so that the API
//! server's write fails and it starts over. In turn 2 it creates the Job from the client's own
//! apply, or updates the dormant Job, which `decide` then releases.

mod error;
mod execution;
mod plan;
mod record;

pub use error::ApiError;
pub use execution::{Effect, Execution, MARKS_ARE_LOST, Outcome, Reply, Time, no_time};
pub use plan::{LAST_APPLIED, Mode, Plan, new_job};
pub use record::{Record, identity};
