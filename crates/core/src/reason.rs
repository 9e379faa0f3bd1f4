//! Every outcome of a review: its label in metrics and logs, its sentence, the step of the decision.
//!
//! One list, walked by tests; the table in `docs/reasons.md` is made from it.

use crate::labeled;

labeled! {
    /// Which rule decided, with the step of the decision and the sentence, in the order of the design.
    pub enum Reason [3];
    NotAJob = "not_a_job", "left alone", "The request is not about a batch/v1 Job.";
    NoObject = "no_object", "left alone", "The review carries no object to decide on.";
    OtherOperation = "other_operation", "left alone", "The operation is neither CREATE nor UPDATE.";
    Subresource = "subresource", "left alone", "The request is about a subresource, such as the status.";
    OwnRequest = "own_request", "left alone", "The request is rejob's own.";
    SameUser = "same_user", "left alone", "The request comes from the user that rejob itself runs as, and is not rejob's: give rejob a service account of its own.";
    SystemController = "system_controller", "left alone", "The request comes from the API server or a built-in controller.";
    ProtectedNamespace = "protected_namespace", "left alone", "kube-system and rejob's own namespace can never opt in.";
    Skipped = "skipped", "left alone", "The annotation rejob.dev/skip asks to leave the Job alone.";
    ControllerOwned = "controller_owned", "left alone", "A controller (CronJob, JobSet, an operator) owns the Job.";
    HelmHook = "helm_hook", "left alone", "The Job is created as a Helm hook; Helm deletes and creates its hooks itself.";
    ArgoCdHook = "argocd_hook", "left alone", "The Job is created as an Argo CD hook; Argo CD deletes and creates its hooks itself.";
    ForeignManagedBy = "foreign_managed_by", "left alone", "spec.managedBy names another controller.";
    BeingDeleted = "being_deleted", "left alone", "The Job is being deleted, and its immutable part does not change.";
    InvalidAnnotation = "invalid_annotation", "annotations", "The request introduces an annotation with a value that is not allowed.";
    Renamed = "renamed", "create", "The Job is stored under its name with the template hash.";
    AlreadyNamed = "already_named", "create", "The Job already has the name with its template hash.";
    NameKept = "name_kept", "create", "The Job keeps its name, since its client would look it up by that name.";
    GenerateName = "generate_name", "create", "The API server makes the name from generateName.";
    Created = "created", "create", "The Job is created as it is, its template hash recorded.";
    TtlInjected = "ttl_injected", "create", "The Job is created with the policy's ttlSecondsAfterFinished.";
    TtlWithheld = "ttl_withheld", "create", "The Job is created without the policy's ttlSecondsAfterFinished: its GitOps tool would run it again after each deletion.";
    Unchanged = "unchanged", "update", "Nothing changes in the immutable part.";
    Released = "released", "update", "The dormant Job starts: the API server came back for the replacement.";
    MeetsDormant = "meets_dormant", "update", "Another request is replacing the Job at this moment; the client tries again.";
    Restored = "restored", "update", "The client asks for what it asked for last time; the difference is another admission hook's.";
    AllowedChange = "allowed_change", "update", "The API server accepts this change without rejob.";
    Reported = "reported", "onChange", "The policy reports what would be replaced, or why not, and leaves the change to the API server.";
    Ignored = "ignored", "onChange", "The policy leaves changes to the API server.";
    Denied = "denied", "onChange", "The policy refuses changes of the immutable part.";
    Kept = "kept", "onChange", "The policy keeps the old Job and accepts the rest of the request.";
    Replaced = "replaced", "replacement", "The Job is replaced inside the client's own request.";
    WouldReplace = "would_replace", "replacement", "A dry run: the Job would be replaced.";
    StaleView = "stale_view", "replacement", "The Job changed meanwhile; the API server comes back with the fresh state.";
    BeingDeletedWait = "being_deleted_wait", "replacement", "The old Job is being deleted; the client waits.";
    BeingDeletedDenied = "being_deleted_denied", "replacement", "The old Job is being deleted.";
    FinalizersDenied = "finalizers_denied", "replacement", "The old Job has finalizers, so it would not vanish at once.";
    UidDenied = "uid_denied", "replacement", "The request names the uid of the old Job, and its client does not read the Job again, so it could not succeed.";
    RunningWait = "running_wait", "replacement", "The old Job is running; the client waits.";
    RunningDenied = "running_denied", "replacement", "The old Job is running.";
    RightsDenied = "rights_denied", "replacement", "The user may not delete and create Jobs here.";
    InvalidDenied = "invalid_denied", "replacement", "The API server would refuse the new Job, or, in the name of the user, the deletion of the old one.";
    NotOptedIn = "not_opted_in", "replacement", "The namespace opts in to no policy, to another one, or to one that this rejob does not have.";
    UnclearWriter = "unclear_writer", "replacement", "In the same second as the last apply, rejob cannot see whether this is an apply too; the client tries again.";
    NeverSettles = "never_settles", "replacement", "Each turn of the request gives another template, so the new Job never starts.";
    NoCluster = "no_cluster", "replacement", "This rejob has no connection to the cluster, so it cannot replace.";
    TooManyRequests = "too_many_requests", "replacement", "The limit on concurrent requests for this Job, or in its namespace, is reached; the client tries again.";
    HungUp = "hung_up", "replacement", "The client hung up before the old Job was deleted, so nothing was done.";
    NoTime = "no_time", "replacement", "The deadline is too near to replace the Job safely.";
    ClusterError = "cluster_error", "replacement", "The API server failed to answer a call of rejob's.";
    PatchFailed = "patch_failed", "defect", "The patch would not apply, so the request is refused.";
}

impl Reason {
    /// The step of the decision that it belongs to.
    pub fn step(self) -> &'static str {
        let [_, step, _] = self.words();
        step
    }

    /// What happened, in one sentence.
    pub fn sentence(self) -> &'static str {
        let [_, _, sentence] = self.words();
        sentence
    }

    /// The reason of that label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.label() == label)
    }

    /// Whether rejob had nothing to do with the request.
    pub fn is_left_alone(self) -> bool {
        self.step() == "left alone"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_unique_snake_case_and_lead_back() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            let label = reason.label();
            assert!(seen.insert(label), "{label} twice");
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
            assert_eq!(Reason::from_label(label), Some(*reason));
        }
    }

    #[test]
    fn sentences_never_say_the_words_that_flux_takes_as_leave_to_delete() {
        for reason in Reason::ALL {
            let sentence = reason.sentence().to_lowercase();
            assert!(sentence.ends_with('.'), "{sentence}");
            assert!(!sentence.contains("is immutable") && !sentence.contains("immutable field"));
        }
    }
}
