//! The replacement protocol: plan (pure), dormant record, execution through a trait, reaper.
//!
//! A replacement happens inside the client's own request. In turn 1 the old Job is deleted and,
//! unless the request is a server-side apply, the new one is made dormant (`parallelism: 0` and a
//! record of what it is to become); the answer puts every immutable field back, so that the API
//! server's write fails and it starts over. In turn 2 it creates the Job from the client's own
//! apply, or updates the dormant Job, which `decide` then releases.

pub mod effects;
pub mod execution;
pub(crate) mod fail_point;
#[cfg(test)]
pub(crate) mod fake;
mod plan;
pub mod reaper;
pub(crate) mod record;
mod run;

pub use effects::{ApiError, Cluster, Right};
pub use execution::{Effect, Execution, Outcome, Reply, Time, no_time};
pub use plan::{LAST_APPLIED, Mode, Plan, new_job};
pub use reaper::Reaper;
pub use record::{Record, identity};
pub use run::{MARKS_ARE_LOST, run};
