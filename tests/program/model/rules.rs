//! The rules of the protocol, each of which the harness can break to show that it is needed.

/// A rule that is broken between the real code and the model; `src` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Turn 1 puts the immutable fields back.
    PutBack,
    /// Turn 1 sets the marker.
    Marker,
    /// The deletion names uid and revision.
    Preconditions,
    /// The new Job is tried in a dry run before the old one is deleted.
    DryRunCheck,
    /// So is the dormant form in which it is made.
    DormantDryRunCheck,
    /// The user's own rights are asked for.
    RightsCheck,
    /// The new Job is made dormant.
    Dormant,
    /// Only the recorded user releases it, or changes it further.
    ReleaseByItsUser,
    /// A change of a dormant Job takes the intended parallelism from its record.
    IntendedParallelism,
    /// Dormant Jobs that nobody comes back for are reaped.
    Reaper,
    /// The reaper names uid and revision.
    ReaperPreconditions,
    /// For an apply the old Job is only deleted.
    DeleteOnlyForApply,
    /// A PUT at the replaced Job's revision gets the dormant Job's.
    RevisionRewrite,
    /// An unanswered deletion is not taken for one that found a stale view.
    UnansweredIsNotStale,
    /// A dormant Job looks changed to kubectl.
    LooksChanged,
    /// A Job that makes progress is waited for.
    WaitsForProgress,
    /// No replacement begins for a client that was told an error meanwhile.
    BeginsForItsClient,
    /// Whatever the failurePolicy is, a change of a dormant Job that no rejob answers is refused.
    DormantFailsClosed,
}

impl Rule {
    pub const ALL: [Self; 18] = [
        Self::PutBack,
        Self::Marker,
        Self::Preconditions,
        Self::DryRunCheck,
        Self::DormantDryRunCheck,
        Self::RightsCheck,
        Self::Dormant,
        Self::ReleaseByItsUser,
        Self::IntendedParallelism,
        Self::Reaper,
        Self::ReaperPreconditions,
        Self::DeleteOnlyForApply,
        Self::RevisionRewrite,
        Self::UnansweredIsNotStale,
        Self::LooksChanged,
        Self::WaitsForProgress,
        Self::BeginsForItsClient,
        Self::DormantFailsClosed,
    ];
}
