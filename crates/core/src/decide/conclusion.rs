//! Answers that no rule about the Job gives: how its replacement ended, and what keeps rejob from
//! deciding.

use crate::job::Job;
use crate::reason::Reason;
use crate::replacement::{Outcome, Plan};
use crate::review::Request;

use super::decision::{Decision, FollowUp, Verdict};
use super::messages::{self, as_warnings};

/// Seconds after which a client comes back that found too many others.
const CROWDED: u32 = 2;

impl Decision {
    /// The answer once this decision's plan has been carried out, with that outcome.
    pub fn concluded(self, outcome: Outcome) -> Self {
        let Verdict::Replace(plan) = self.verdict else { return self };
        let pending = Self { verdict: Verdict::Admit, ..self };
        match outcome {
            Outcome::Replaced(uid) => pending.followed_by(FollowUp::Replaced { plan, uid }),
            Outcome::WouldReplace => pending.passed(),
            // The patch alone, so that the write fails and the API server comes back. Nothing was done, so
            // there is nothing to report: the turn that replaces the Job reports it.
            Outcome::StaleView | Outcome::Working => {
                Self { patch: pending.patch, ..Self::admit(Reason::StaleView) }
            }
            Outcome::Overtaken => {
                let why = "another request has made a new Job first".to_owned();
                Self { reason: Reason::StaleView, warnings: Vec::new(), ..pending }
                    .audited()
                    .followed_by(FollowUp::Lost { plan, why })
            }
            Outcome::Refused(reason, message) => pending.judged(Self::deny(reason, message)),
            Outcome::NoTime => pending.judged(Self::no_time(&plan)),
            Outcome::Busy(message) if plan.only_checks => {
                pending.judged(Self::deny(Reason::ClusterError, message))
            }
            Outcome::Busy(message) => pending.judged(Self::retry(Reason::ClusterError, message, 1)),
            // The API server comes back to find the Job gone, and says so in its own words.
            Outcome::Failed(message) => {
                let denied = Self::deny(Reason::ClusterError, &message);
                Self { warnings: as_warnings(&message), audit: pending.audit, ..denied }
                    .audited()
                    .followed_by(FollowUp::Lost { plan, why: message })
            }
        }
    }

    /// The refusal where the admission of this cluster is too slow for what is left of the webhook call.
    /// The advice reaches the client as warnings, too, since the call itself may be given up.
    pub fn no_time(plan: &Plan) -> Self {
        let message = format!(
            "{}: creating it takes longer than the rest of the webhook call; raise timeoutSeconds of \
             rejob's webhook (chart: webhook.timeoutSeconds), make the other admission webhooks faster, \
             or try again",
            plan.not_replaced()
        );
        Self { warnings: as_warnings(&message), ..Self::deny(Reason::NoTime, message) }
    }

    /// Refuses a replacement where there is no cluster to do it in.
    pub fn without_cluster(plan: &Plan) -> Self {
        Self::deny(
            Reason::NoCluster,
            format!(
                "job {} would be replaced ({}), but this rejob has no connection to the cluster: run it \
                 in the cluster or with --kubeconfig, or choose another onChange",
                plan.name, plan.described
            ),
        )
    }

    /// Sends a request away while as many others are worked on as may be at once, for the Job or in
    /// its namespace; a dry run, too, which would be one more.
    pub fn crowded(request: &Request, most: usize, of: &str) -> Self {
        let name = &request.name;
        let message = format!(
            "job {name} was not changed: {most} requests {of} are being worked on, the most allowed at \
             once; try again in {CROWDED} seconds"
        );
        Self::retry(Reason::TooManyRequests, message, CROWDED)
    }

    /// Refuses to store a request for a new run whose policy is not known: rejob may be meant to run
    /// the Job.
    pub fn rerun_without_policy(request: &Request, unknown: UnknownPolicy) -> Self {
        let UnknownPolicy { reason, why, is_passing } = unknown;
        let name = match &request.object {
            Some(object) => messages::name(Job::new(object), &request.name),
            None => &request.name,
        };
        let message = format!("job {name}: rejob.dev/rerun asks for a new run, but {why}");
        if is_passing && !request.dry_run {
            Self::retry(reason, message, 1)
        } else {
            Self::deny(reason, message)
        }
    }
}

/// Why the policy of a namespace is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy {
    /// The rule.
    pub reason: Reason,
    /// The rest of a sentence.
    pub why: String,
    /// Whether to ask again a moment later.
    pub is_passing: bool,
}
