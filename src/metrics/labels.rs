//! The values that labels take: what is exported is a value of one of these types, and the lists of
//! `docs/metrics.md` are made from them.

use crate::job::Client;
use crate::review::Operation;

/// The `certificate` that the server presents.
pub(super) const SERVING: &str = "serving";

/// An enum of label values: each variant with its text, and all of them.
macro_rules! label_values {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text in the exposition.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The texts of all values.
            pub fn labels() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.label()).collect()
            }
        }
    };
}

label_values! {
    /// How a replacement ended.
    ReplacementResult {
        /// The old Job is gone and the new one is there, or comes with the client's apply.
        Replaced = "replaced",
        /// Everything was checked and nothing done: a dry run, or `onChange` is Report.
        DryRun = "dry_run",
        /// The Job had changed in the meantime: nothing was done, and the API server starts over.
        Stale = "stale",
        /// A check failed, before anything was deleted.
        Refused = "refused",
        /// The old Job is gone and the new one could not be created.
        Failed = "failed",
    }
}

label_values! {
    /// What a request to the Kubernetes API does.
    ApiVerb {
        /// Reads one object.
        Get = "get",
        /// Reads a list.
        List = "list",
        /// Creates an object.
        Create = "create",
        /// Asks whether an object could be created.
        DryRunCreate = "dry-run-create",
        /// Deletes an object.
        Delete = "delete",
        /// Asks whether an object would be deleted.
        DryRunDelete = "dry-run-delete",
    }
}

label_values! {
    /// What a request to the Kubernetes API is about.
    ApiResource {
        /// Events.
        Events = "events",
        /// Jobs.
        Jobs = "jobs",
        /// Namespaces.
        Namespaces = "namespaces",
        /// The Pods of a Job.
        Pods = "pods",
        /// Who rejob itself is.
        SelfSubjectReviews = "selfsubjectreviews",
        /// What a user may do.
        SubjectAccessReviews = "subjectaccessreviews",
        /// The configuration that guards dormant Jobs.
        WebhookConfigurations = "mutatingwebhookconfigurations",
        /// The version of the API server, which is no resource of RBAC.
        Version = "version",
    }
}

/// The texts of all operations.
pub(super) fn operations() -> Vec<&'static str> {
    Operation::ALL.map(Operation::label).to_vec()
}

/// The texts of all clients.
pub(super) fn clients() -> Vec<&'static str> {
    Client::ALL.iter().map(|client| client.label()).collect()
}
