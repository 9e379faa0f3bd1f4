//! The effects of a replacement, and what comes of them.

use super::ApiError;

/// One effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read the live Namespace's opt-in label.
    OptIn,
    /// Ask whether the user may delete the Job.
    CanDelete,
    /// Ask whether the user may create Jobs.
    CanCreate,
    /// Ask whether the new Job would be accepted as it is to run.
    DryRunCreate,
    /// Ask whether the new Job would be accepted as it is made, dormant.
    DryRunDormant,
    /// Ask in the user's name whether the new Job would be accepted as it is to run.
    DryRunCreateAsUser,
    /// Ask in the user's name whether the old Job would be deleted.
    DryRunDeleteAsUser,
    /// Look once more whether the old Job works: its status does not change as soon as a container runs.
    Look,
    /// Delete the old Job.
    Delete,
    /// Create the new Job, dormant.
    Create,
}

impl Effect {
    /// Whether it asks if the new Job would be accepted.
    pub fn is_dry_run_creation(self) -> bool {
        matches!(self, Self::DryRunCreate | Self::DryRunDormant | Self::DryRunCreateAsUser)
    }
}

/// What came of an effect.
pub type Reply = Result<Success, ApiError>;

/// What the API server says where it does what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Success {
    /// The opt-in label of the Namespace.
    OptIn(Option<String>),
    /// Whether the user may.
    Can(bool),
    /// The uid of the Job that a creation stored or would store.
    Created(String),
    /// Whether some Pod of the old Job works.
    Works(bool),
    /// The deletion is done, or would be.
    Deleted,
}
