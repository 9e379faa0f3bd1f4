//! The log line of a decision.

use std::borrow::Cow;
use std::time::Duration;

use crate::decide::{Decision, FollowUp, Verdict};
use crate::reason::Reason;
use crate::review::Request;

/// One line per decision: at debug where rejob had nothing to do, else at info.
pub(super) fn log(policy: &str, request: &Request, decision: &Decision, took: Duration) {
    let told = |key| decision.audit.get(key).map(String::as_str);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                uid = request.uid,
                policy,
                operation = request.operation.label(),
                namespace = request.namespace,
                name = request.name,
                user = request.user.username,
                manager = request.field_manager.as_deref().unwrap_or_default(),
                dry_run = request.dry_run,
                allowed = decision.is_allowed(),
                reason = decision.reason.label(),
                changed = decision.audit.get("changed").map_or("", String::as_str),
                why_not = told("why-not"),
                replaced_uid = told("replaced-uid"),
                replaced_run = told("replaced-run"),
                template_hash = told("template-hash"),
                took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "{}",
                message(decision)
            )
        };
    }
    match decision.reason {
        Reason::PatchFailed | Reason::ClusterError | Reason::SameUser => line!(warn),
        reason if reason.is_left_alone() || reason == Reason::Unchanged => line!(debug),
        _ => line!(info),
    }
}

pub(super) fn message(decision: &Decision) -> Cow<'_, str> {
    match (&decision.verdict, &decision.follow_up) {
        (Verdict::Deny(denial), _) => Cow::from(&denial.message),
        (_, FollowUp::Report(report)) => Cow::from(report.sentence()),
        _ => Cow::from(decision.reason.sentence()),
    }
}
