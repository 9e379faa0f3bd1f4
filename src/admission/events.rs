//! What comes after the answer, best effort: the Event on the new Job of a replacement, or on the
//! stored one that would be replaced.
//!
//! The new Job of an apply does not exist yet when the answer is sent, so its uid is looked up;
//! an Event without it would not be shown by `kubectl describe`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::facts::opts_in;
use crate::decide::Report;
use crate::job::{Job, entry_index};
use crate::kubernetes::events::{
    CHANGED, MANAGER, POLICY, REFUSAL, REPLACE_FAILED, REPLACED, USER, WHY_NOT, WOULD_REPLACE,
};
use crate::kubernetes::{Cluster, JobEvent};
use crate::reason::Reason;
use crate::replacement::Plan;
use crate::review::{UserInfo, requester};

/// How often the new Job is looked for: the pause doubles, so the last look is after 13 s.
const LOOKS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The longest message, and the longest description of the change in it, in characters.
const LONGEST: usize = 1000;
const LONGEST_CHANGE: usize = 600;

/// Tells about a replacement, once the new Job's uid is known.
pub(super) async fn replaced<C: Cluster>(cluster: Arc<C>, plan: Box<Plan>, uid: Option<String>) {
    let uid = if uid.is_some() { uid } else { look_up(cluster.as_ref(), &plan).await };
    let Some(uid) = uid else { return };
    let message = format!("Replaced {}", old_job(&plan, LONGEST_CHANGE));
    publish(cluster.as_ref(), about(&plan, &uid, REPLACED, message)).await;
}

/// Tells of a Job that was deleted, or may be, and for which the request has made no new one.
pub(super) async fn lost<C: Cluster>(cluster: Arc<C>, plan: Box<Plan>, why: String) {
    let why: String = why.chars().take(LONGEST_CHANGE / 2).collect();
    let message = format!("Deleted {}; {why}", old_job(&plan, LONGEST_CHANGE / 2));
    publish(cluster.as_ref(), about(&plan, &plan.record.uid, REPLACE_FAILED, message)).await;
}

/// The old Job: who had it replaced, for which change, and how its run went.
fn old_job(plan: &Plan, longest: usize) -> String {
    format!(
        "the Job with uid {} for {}: {} (old run: {}; template hash {})",
        plan.record.uid,
        plan.requester(),
        changed(plan, longest),
        plan.old_run,
        plan.hashes()
    )
}

fn about<'a>(plan: &'a Plan, uid: &'a str, reason: &'static str, message: String) -> JobEvent<'a> {
    JobEvent {
        namespace: &plan.namespace,
        job: &plan.name,
        uid,
        reason,
        message,
        once: None,
        annotations: json!({
            USER: plan.user.username,
            MANAGER: plan.record.manager.as_deref().unwrap_or_default(),
            CHANGED: changed(plan, LONGEST_CHANGE),
        }),
    }
}

fn changed(plan: &Plan, longest: usize) -> String {
    plan.described.chars().take(longest).collect()
}

/// Who sent the request that is reported.
#[derive(Debug)]
pub(super) struct Requester {
    pub namespace: String,
    pub policy: String,
    pub user: UserInfo,
    pub manager: Option<String>,
}

/// Reports what would be replaced, or why not, once for each change. Nothing is written if the live
/// Namespace does not opt in: a forged review may name any namespace.
pub(super) async fn reported<C: Cluster>(cluster: Arc<C>, report: Report, by: Requester) {
    let Requester { namespace, policy, user, manager } = by;
    if !opts_in(cluster.as_ref(), &namespace).await {
        return;
    }
    let message = format!(
        "{}; asked for by {}: {}",
        report.sentence(),
        requester(&user.username, manager.as_deref()),
        report.described
    );
    let event = JobEvent {
        namespace: &namespace,
        job: &report.name,
        uid: &report.uid,
        reason: WOULD_REPLACE,
        message,
        once: Some(&report.key()),
        annotations: json!({
            USER: user.username,
            MANAGER: manager.unwrap_or_default(),
            POLICY: policy,
            WHY_NOT: report.why_not.map_or("", Reason::label),
            CHANGED: report.described,
            REFUSAL: report.refusal.as_deref().unwrap_or_default(),
        }),
    };
    publish(cluster.as_ref(), event).await;
}

async fn publish<C: Cluster>(cluster: &C, mut event: JobEvent<'_>) {
    let (namespace, name, reason) = (event.namespace, event.job, event.reason);
    event.message = event.message.chars().take(LONGEST).collect();
    if let Err(error) = cluster.publish_event(event).await {
        tracing::warn!(namespace, name, "cannot create the Event {reason}: {error}");
    }
}

/// The uid of the Job that now stands in the old one's place, if the same manager's apply made it:
/// another client may have been faster.
async fn look_up<C: Cluster>(cluster: &C, plan: &Plan) -> Option<String> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..LOOKS {
        sleep(pause).await;
        pause *= 2;
        let job = cluster.get(&plan.namespace, &plan.name).await.ok().flatten();
        let Some(job) = job.as_ref().map(Job::new) else { continue };
        if let Some(uid) = job.uid().filter(|uid| *uid != plan.record.uid) {
            let manager = plan.record.manager.as_deref().unwrap_or_default();
            return entry_index(job, manager).map(|_| uid.to_owned());
        }
    }
    None
}
