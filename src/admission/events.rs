//! What comes after the answer to a replacement, best effort: the Event on the new Job.
//!
//! The new Job of an apply does not exist yet when the answer is sent, so its uid is looked up;
//! an Event without it would not be shown by `kubectl describe`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::job::{Job, entry_index};
use crate::kubernetes::Cluster;
use crate::replacement::Plan;

/// How often the new Job is looked for: the pause doubles, so the last look is after 13 s.
const LOOKS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Tells about a replacement, once the new Job's uid is known.
pub(super) async fn replaced<C: Cluster>(cluster: Arc<C>, plan: Plan, uid: Option<String>) {
    let uid = if uid.is_some() { uid } else { look_up(cluster.as_ref(), &plan).await };
    let Some(uid) = uid else { return };
    let message = format!(
        "Replaced the Job with uid {} for {}: {}",
        plan.uid, plan.user.username, plan.described
    );
    let message: String = message.chars().take(1000).collect();
    if let Err(error) = cluster.publish_event(&plan.namespace, &plan.name, &uid, &message).await {
        tracing::warn!(
            namespace = plan.namespace,
            name = plan.name,
            "cannot create the Event about a replacement: {error}"
        );
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
        if let Some(uid) = job.uid().filter(|uid| *uid != plan.uid) {
            let manager = plan.field_manager.as_deref().unwrap_or_default();
            return entry_index(job, manager).map(|_| uid.to_owned());
        }
    }
    None
}
