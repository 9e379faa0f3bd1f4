//! Facts that only the cluster knows, asked for when a decision lacks them.

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::driver::ProbeResult;
use super::places::{Place, Places};
use crate::decide::{Context, Decision, Fact, Question, stale_view};
use crate::job::{Job, pod_selector};
use crate::kubernetes::{Cluster, Write};
use crate::replacement::{ApiError, Outcome};
use crate::review::Request;
use crate::server::Call;

/// What is known about a request.
pub(super) struct RequestFacts<'a> {
    pub context: Context<'a>,
    pub policy_name: &'a str,
    pub request: &'a Request,
    pub call: Call,
    /// The creation in a dry run, where there was one.
    pub probe: ProbeResult,
    /// Whether the request has waited for the Pods of a Job that was just being started.
    pub waited_for_start: bool,
    place: Option<Place>,
}

impl<'a> RequestFacts<'a> {
    pub fn new(
        context: Context<'a>,
        policy_name: &'a str,
        request: &'a Request,
        call: Call,
    ) -> Self {
        let probe = ProbeResult::default();
        Self { context, policy_name, request, call, probe, waited_for_start: false, place: None }
    }

    /// The stored Job.
    pub fn old(&self) -> Job<'a> {
        Job::new(self.request.old_object.as_ref().unwrap_or(&Value::Null))
    }

    /// Takes a place, which the request keeps to its end.
    ///
    /// # Errors
    /// The answer, when there is none.
    pub fn take_place(&mut self, places: &Places) -> Result<(), Box<Decision>> {
        if self.place.is_none() {
            self.place = Some(places.take(self.request)?);
        }
        Ok(())
    }

    /// Nothing is asked, for this reason.
    pub fn fail(&mut self, why: &str) {
        self.context.creation = Fact::Failed(why.to_owned());
        self.context.pods = Fact::Failed(why.to_owned());
    }

    /// Whether the live Namespace opts in. Nobody waits in one that does not: such a request was
    /// forged, or is about a Job that bears the marks of a dormant one.
    pub async fn opts_in<C: Cluster>(&self, cluster: &C) -> bool {
        timeout_at(self.call.deadline, opts_in(cluster, &self.request.namespace))
            .await
            .unwrap_or(false)
    }

    /// Asks the cluster for a missing fact. Returns a decision if there is no time for an answer.
    pub async fn ask<C: Cluster>(
        &mut self,
        cluster: Option<&C>,
        question: Question,
    ) -> Option<Decision> {
        match (question, cluster) {
            (Question::Creation(plan), Some(cluster)) => {
                let begun = Instant::now();
                let (probe, manager) =
                    (plan.probe(self.policy_name), plan.record.manager.as_deref());
                let created = cluster.create(&plan.namespace, &probe, manager, Write::DryRun);
                let Ok(created) = timeout_at(self.call.deadline, created).await else {
                    return Some(Decision::no_time(&plan));
                };
                self.probe = ProbeResult { took: begun.elapsed(), accepted: created.is_ok() };
                self.context.creation = fact(created);
            }
            (Question::Pods, Some(cluster)) => {
                self.look_at_pods(cluster).await;
                if self.is_gone_meanwhile(cluster).await {
                    return Some(stale_view(self.request));
                }
            }
            (Question::Creation(_), None) => self.context.creation = Fact::Unavailable,
            (Question::Pods, None) => self.context.pods = Fact::Unavailable,
        }
        None
    }

    /// Lists the Pods of the stored Job.
    async fn look_at_pods<C: Cluster>(&mut self, cluster: &C) {
        let selector = pod_selector(self.old());
        let pods = cluster.pods(&self.request.namespace, &selector);
        let pods = timeout_at(self.call.deadline, pods).await;
        let late = |_| Err(ApiError::unanswered("no answer before the deadline"));
        let pods = pods.unwrap_or_else(late);
        self.context.pods = pods.map_or_else(|error| Fact::Failed(error.message), Fact::Known);
    }

    /// Looks at the Pods of a Job that may have begun to work: the decision is to be made again, unless
    /// another request has replaced the Job.
    pub async fn look_again<C: Cluster>(&mut self, cluster: &C) -> Outcome {
        self.look_at_pods(cluster).await;
        if self.is_gone_meanwhile(cluster).await { Outcome::StaleView } else { Outcome::Working }
    }

    /// Whether the Job's Pods are being deleted since another request has replaced it meanwhile.
    async fn is_gone_meanwhile<C: Cluster>(&self, cluster: &C) -> bool {
        let Fact::Known(pods) = &self.context.pods else { return false };
        let is_deleted = |pod: &Value| pod.pointer("/metadata/deletionTimestamp").is_some();
        pods.iter().any(is_deleted) && self.is_replaced(cluster).await
    }

    /// Whether the API server says that the old Job is stored no longer.
    pub async fn is_replaced<C: Cluster>(&self, cluster: &C) -> bool {
        let old = self.old();
        let Some(name) = old.name() else { return false };
        let stored =
            timeout_at(self.call.deadline, cluster.get(&self.request.namespace, name)).await;
        match stored {
            Ok(Ok(stored)) => stored.as_ref().and_then(|job| Job::new(job).uid()) != old.uid(),
            _ => false,
        }
    }
}

/// Whether the live Namespace opts in, as far as it can be read.
pub(super) async fn opts_in<C: Cluster>(cluster: &C, namespace: &str) -> bool {
    matches!(cluster.namespace_policy(namespace).await, Ok(Some(_)))
}

fn fact<T>(answer: Result<T, ApiError>) -> Fact<T> {
    match answer {
        Ok(answer) => Fact::Known(answer),
        Err(error) if error.is_passing() => Fact::Failed(error.message),
        Err(_) => Fact::Unavailable,
    }
}
