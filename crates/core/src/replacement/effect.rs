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

/// What came of an effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The opt-in label of the Namespace.
    OptIn(Result<Option<String>, ApiError>),
    /// Whether the user may.
    Can(Result<bool, ApiError>),
    /// The uid of the Job that a creation stored or would store.
    Created(Result<String, ApiError>),
    /// Whether some Pod of the old Job works.
    Works(Result<bool, ApiError>),
    /// The deletion, or that it would be done.
    Deleted(Result<(), ApiError>),
}

impl Reply {
    /// The reply to an effect that failed.
    pub fn failed(effect: Effect, error: ApiError) -> Self {
        match effect {
            Effect::OptIn => Self::OptIn(Err(error)),
            Effect::CanDelete | Effect::CanCreate => Self::Can(Err(error)),
            Effect::DryRunCreate
            | Effect::DryRunDormant
            | Effect::DryRunCreateAsUser
            | Effect::Create => Self::Created(Err(error)),
            Effect::Look => Self::Works(Err(error)),
            Effect::DryRunDeleteAsUser | Effect::Delete => Self::Deleted(Err(error)),
        }
    }
}
