//! The values that labels take: what is exported is a value of one of these types, and the lists of
//! `docs/metrics.md` are made from them.

use rejob_core::labeled;
use rejob_core::replacement::Outcome;

/// The `certificate` that the server presents.
pub(super) const SERVING: &str = "serving";

labeled! {
    /// How a replacement ended.
    pub enum ReplacementResult [1];
    /// The old Job is gone and the new one is there, or comes with the client's apply.
    Replaced = "replaced";
    /// Everything was checked and nothing done: a dry run, or `onChange` is Report.
    DryRun = "dry_run";
    /// The Job had changed in the meantime: nothing was done, and the API server starts over.
    Stale = "stale";
    /// A check failed, before anything was deleted.
    Refused = "refused";
    /// The old Job is gone and the new one could not be created.
    Failed = "failed";
}

impl From<&Outcome> for ReplacementResult {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Replaced(_) => Self::Replaced,
            Outcome::WouldReplace => Self::DryRun,
            Outcome::StaleView | Outcome::Overtaken | Outcome::Working => Self::Stale,
            Outcome::Busy(_) | Outcome::Refused(..) | Outcome::NoTime => Self::Refused,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

labeled! {
    /// What a request to the Kubernetes API does.
    pub enum ApiVerb [1];
    /// Reads one object.
    Get = "get";
    /// Reads a list.
    List = "list";
    /// Creates an object.
    Create = "create";
    /// Asks whether an object could be created.
    DryRunCreate = "dry-run-create";
    /// Deletes an object.
    Delete = "delete";
    /// Asks whether an object would be deleted.
    DryRunDelete = "dry-run-delete";
}

labeled! {
    /// What a request to the Kubernetes API is about.
    pub enum ApiResource [1];
    /// Events.
    Events = "events";
    /// Jobs.
    Jobs = "jobs";
    /// Namespaces.
    Namespaces = "namespaces";
    /// The Pods of a Job.
    Pods = "pods";
    /// Who rejob itself is.
    SelfSubjectReviews = "selfsubjectreviews";
    /// What a user may do.
    SubjectAccessReviews = "subjectaccessreviews";
    /// The configuration that guards dormant Jobs.
    WebhookConfigurations = "mutatingwebhookconfigurations";
    /// The version of the API server, which is not a resource of RBAC.
    Version = "version";
}
