//! Who is left alone: each for a reason of its own. As many of these rules as possible are also CEL
//! `matchConditions` of the webhook configuration, so that the API server does not even call:
//! `charts/rejob/templates/_conditions.tpl`.

use crate::job::{Job, keys};
use crate::reason::Reason;
use crate::replacement::Record;
use crate::review::{Operation, Request};

use super::context::Context;

/// Users of the control plane itself.
pub const SYSTEM_USERS: [&str; 2] = ["system:kube-controller-manager", "system:apiserver"];

/// Service accounts of kube-system that the built-in controllers run under: those that write
/// Jobs. Not all of kube-system: k3s deploys Helm charts from there.
pub const BUILT_IN_CONTROLLERS: [&str; 10] = [
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "generic-garbage-collector",
    "namespace-controller",
    "pod-garbage-collector",
    "resourcequota-controller",
    "storage-version-migrator-controller",
    "disruption-controller",
    "node-controller",
];

/// The warning of [`Reason::SameUser`], by which `rejob doctor` knows it.
pub const SAME_USER_WARNING: &str = "rejob runs as the user of this request and leaves it alone: \
                                     give rejob a service account of its own";

const CONTROLLER_PREFIX: &str = "system:serviceaccount:kube-system:";

/// What follows from the request alone.
pub(super) fn reason_from_request(request: &Request, context: &Context<'_>) -> Option<Reason> {
    let user = request.user.username.as_str();
    if !request.is_job {
        Some(Reason::NotAJob)
    } else if !matches!(request.operation, Operation::Create | Operation::Update) {
        Some(Reason::OtherOperation)
    } else if request.subresource.is_some() {
        Some(Reason::Subresource)
    } else if context.own_user.is_some_and(|own| own == user) {
        Some(if is_rejobs(request) { Reason::OwnRequest } else { Reason::SameUser })
    } else if is_built_in(user) {
        Some(Reason::SystemController)
    } else if is_protected(&request.namespace, context.own_namespace) {
        Some(Reason::ProtectedNamespace)
    } else {
        None
    }
}

/// Whether a namespace can never opt in: kube-system and the one that rejob runs in.
pub fn is_protected(namespace: &str, own: Option<&str>) -> bool {
    namespace == "kube-system" || Some(namespace) == own
}

/// Whether rejob itself may have sent it: it creates Jobs dormant or in a dry run, and updates none.
fn is_rejobs(request: &Request) -> bool {
    request.operation == Operation::Create && (request.dry_run || creates_dormant(request))
}

fn creates_dormant(request: &Request) -> bool {
    request.object.as_ref().is_some_and(|object| Record::of(Job::new(object)).is_some())
}

/// Said to a user that rejob runs as, about all that is left alone for it. A dry run of rejob's own
/// looks the same as the user's, and rejob reads no warnings.
pub(super) fn warning(reason: Reason, request: &Request) -> Option<&'static str> {
    let own = matches!(reason, Reason::OwnRequest | Reason::SameUser);
    (own && !creates_dormant(request)).then_some(SAME_USER_WARNING)
}

fn is_built_in(user: &str) -> bool {
    SYSTEM_USERS.contains(&user)
        || user
            .strip_prefix(CONTROLLER_PREFIX)
            .is_some_and(|account| BUILT_IN_CONTROLLERS.contains(&account))
}

/// What follows from the Job itself. Its owner is read from the stored Job as well, since a request can
/// drop an owner reference; what the user asks for is read from the request.
///
/// A hook is one only when it is created: Helm and Argo CD delete and create their hooks, so
/// whatever updates such a Job is another tool, or the Job of a chart that was a hook once.
pub(super) fn reason_from_job(job: Job<'_>, old: Option<Job<'_>>) -> Option<Reason> {
    let stored = old.unwrap_or(job);
    if job.annotation(keys::SKIP) == Some("true") {
        Some(Reason::Skipped)
    } else if job.controller().or_else(|| stored.controller()).is_some() {
        Some(Reason::ControllerOwned)
    } else if old.is_none() && job.annotation("helm.sh/hook").is_some() {
        Some(Reason::HelmHook)
    } else if old.is_none() && job.annotation("argocd.argoproj.io/hook").is_some() {
        Some(Reason::ArgoCdHook)
    } else if stored.foreign_manager().is_some() {
        Some(Reason::ForeignManagedBy)
    } else {
        None
    }
}
