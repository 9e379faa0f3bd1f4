//! Bytes in, bytes out: review, decision, effects, log line, metrics.
//!
//! The one place where a decision meets the world. `decide` stays pure; what a replacement needs
//! from the cluster goes through [`Cluster`], and what comes after the answer (the Event) runs in a
//! task of its own.

mod driver;
mod events;
mod facts;
mod fail_point;
mod history;
mod locks;
mod log;
mod places;
mod policies;
pub mod reaper;
mod wait;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::answer::answer;
use crate::decide::{
    Context, Decision, Fact, FollowUp, Verdict, applied_just_now, decide_or_ask, is_being_started,
    may_be_released, only_reports, stale_view,
};
use crate::job::Job;
use crate::kubernetes::Cluster;
use crate::kubernetes::ServerVersion;
use crate::metrics::Metrics;
use crate::policy::{Policy, PolicySet};
use crate::replacement::{Outcome, Plan};
use crate::review::{self, Request};
use crate::server::{Call, ReviewError, Reviewer};

use driver::run;
use facts::RequestFacts;
pub use history::History;
pub use locks::JobLocks;
use log::{log, message};
use places::Places;
use policies::{Named, Policies};

/// Facts about this server that decisions depend on.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The name that rejob's own requests carry.
    pub user: Option<String>,
    /// The namespace that it runs in.
    pub namespace: Option<String>,
    /// The version of the API server.
    pub server: Option<ServerVersion>,
}

/// The webhook's service: policies, a cluster perhaps, metrics.
pub struct Admission<C> {
    policies: Policies,
    cluster: Option<Arc<C>>,
    environment: Environment,
    history: History,
    locks: JobLocks,
    places: Places,
    metrics: Metrics,
    /// What is still sent after the answers.
    events: TaskTracker,
}

impl<C: Cluster> Admission<C> {
    /// A service for these policies; without a cluster it replaces nothing and says so. No Job and no
    /// namespace takes more than its share of the reviews that are worked on at once.
    pub fn new(
        policies: &PolicySet,
        cluster: Option<Arc<C>>,
        environment: Environment,
        reviews_at_once: usize,
        metrics: Metrics,
    ) -> Self {
        Self {
            policies: Policies::new(policies, &metrics),
            cluster,
            environment,
            history: History::default(),
            locks: JobLocks::default(),
            places: Places::new(reviews_at_once),
            metrics,
            events: TaskTracker::default(),
        }
    }

    /// Waits for the Events of the reviews that have been answered, when no more come.
    pub async fn last_events(&self) {
        self.events.close();
        self.events.wait().await;
    }

    /// Decides one request and carries out what the decision says.
    async fn decide(
        &self,
        policy_name: &str,
        policy: &Policy,
        request: &Request,
        call: Call,
    ) -> Decision {
        let mut facts = RequestFacts::new(self.context(request), policy_name, request, call);
        let decision = loop {
            let decision = self.decided(policy, &mut facts).await;
            let Verdict::Replace(plan) = &decision.verdict else { break decision };
            let begun = Instant::now();
            let Some(cluster) = &self.cluster else {
                let refusal = Decision::without_cluster(plan);
                break decision.judged(refusal);
            };
            if let Err(crowded) = facts.take_place(&self.places) {
                break decision.judged(*crowded);
            }
            let outcome = self.under_lock(cluster.as_ref(), &mut facts, plan).await;
            if outcome == Outcome::Working {
                continue;
            }
            self.metrics.replacement(plan.client, (&outcome).into(), begun.elapsed());
            break decision.concluded(outcome);
        };
        self.follow_up(decision, &mut facts).await
    }

    fn context(&self, request: &Request) -> Context<'_> {
        let old = request.old_object.as_ref().map(Job::new);
        let has_cluster = self.cluster.is_some();
        Context {
            own_user: self.environment.user.as_deref(),
            own_namespace: self.environment.namespace.as_deref(),
            server_minor: self.environment.server.map(|server| server.minor),
            given_up: old.and_then(Job::uid).is_some_and(|uid| self.history.given_up.contains(uid)),
            applied_just_now: applied_just_now(request, jiff::Timestamp::now()),
            was_told_to_wait: self.history.was_told_to_wait(request, Instant::now()),
            // Where no policy replaces or reports, rejob may not create Jobs.
            creation: Fact::of(has_cluster && self.policies.check),
            pods: Fact::of(has_cluster),
        }
    }

    /// Decides, with every fact that the decision depends on.
    async fn decided(&self, policy: &Policy, facts: &mut RequestFacts<'_>) -> Decision {
        loop {
            let question = match decide_or_ask(facts.request, policy, &facts.context) {
                Ok(decision) => return decision,
                Err(question) => question,
            };
            let unasked = match facts.take_place(&self.places) {
                Ok(()) => facts.ask(self.cluster.as_deref(), question).await,
                Err(crowded) => Some(*crowded),
            };
            match unasked {
                Some(decision) if only_reports(facts.request, policy) => {
                    facts.fail(&message(&decision));
                }
                Some(decision) => return decision,
                None => {}
            }
        }
    }

    /// What is done beside the answer.
    async fn follow_up(&self, decision: Decision, facts: &mut RequestFacts<'_>) -> Decision {
        let (request, policy_name) = (facts.request, facts.policy_name);
        let deadline = facts.call.deadline;
        match &decision.follow_up {
            FollowUp::None => {}
            FollowUp::RememberWait => self.history.remember_wait(request, Instant::now()),
            FollowUp::AwaitRelease { give_up } => {
                let Some(cluster) = &self.cluster else { return decision };
                if facts.take_place(&self.places).is_err() {
                    return decision;
                }
                if may_be_released(request, jiff::Timestamp::now())
                    && facts.opts_in(cluster.as_ref()).await
                    && wait::until_changed(cluster.as_ref(), request, wait::LONGEST, deadline).await
                {
                    return stale_view(request);
                }
                let old = request.old_object.as_ref().map(Job::new);
                if let Some(uid) = old.and_then(Job::uid).filter(|_| *give_up) {
                    self.history.given_up.add(uid);
                }
            }
            FollowUp::Report(report) => {
                self.metrics.would_replace(policy_name, report.why_not);
                // An Event is a side effect, which a dry run has none of.
                if let Some(cluster) = self.cluster.clone().filter(|_| !request.dry_run) {
                    let requester = events::Requester {
                        namespace: request.namespace.clone(),
                        policy: policy_name.to_owned(),
                        user: request.user.clone(),
                        manager: request.field_manager.clone(),
                    };
                    self.events.spawn(events::reported(cluster, (**report).clone(), requester));
                }
            }
            FollowUp::Replaced { plan, uid } => {
                if let Some(cluster) = self.cluster.clone() {
                    self.events.spawn(events::replaced(cluster, plan.clone(), uid.clone()));
                }
            }
            FollowUp::Lost { plan, why } => {
                if let Some(cluster) = self.cluster.clone() {
                    self.events.spawn(events::lost(cluster, plan.clone(), why.clone()));
                }
            }
        }
        decision
    }

    /// Carries a plan out when no other plan for the same Job is running in this replica. Requests that
    /// wait for the Job's start queue here too: first come, first served. If the Job may have started to
    /// work meanwhile, its Pods are looked at again.
    async fn under_lock(&self, cluster: &C, facts: &mut RequestFacts<'_>, plan: &Plan) -> Outcome {
        let deadline = facts.call.deadline;
        if plan.only_checks {
            return run(cluster, plan, facts.policy_name, &facts.call, facts.probe).await;
        }
        let abandoned = facts.call.abandoned.clone();
        let lock = self.locks.wait(plan, deadline, facts.opts_in(cluster));
        let Some(_lock) = abandoned.run_until_cancelled(lock).await else {
            return Outcome::hung_up(plan);
        };
        if self.history.deleted.contains(&plan.record.uid) && facts.is_replaced(cluster).await {
            return Outcome::StaleView;
        }
        if wait::must_count_pods(self.environment.server)
            && is_being_started(facts.old(), jiff::Timestamp::now())
            && !facts.waited_for_start
            && facts.opts_in(cluster).await
        {
            facts.waited_for_start = true;
            // A PUT that names its revision: what changes meanwhile is the status.
            self.history.remember_wait(facts.request, Instant::now());
            let longest = wait::for_a_start(deadline);
            let changed = wait::until_changed(cluster, facts.request, longest, deadline);
            match abandoned.run_until_cancelled(changed).await {
                None => return Outcome::hung_up(plan),
                Some(true) => return Outcome::StaleView,
                Some(false) => {}
            }
            return facts.look_again(cluster).await;
        }
        let outcome = run(cluster, plan, facts.policy_name, &facts.call, facts.probe).await;
        match outcome {
            Outcome::Replaced(_) | Outcome::Overtaken => self.history.deleted.add(&plan.record.uid),
            Outcome::Working => return facts.look_again(cluster).await,
            _ => {}
        }
        outcome
    }
}

impl<C: Cluster> Reviewer for Admission<C> {
    async fn review(&self, policy: &str, body: Bytes, call: Call) -> Result<Bytes, ReviewError> {
        let begun = Instant::now();
        let named = self.policies.named(policy)?;
        let request =
            review::parse(&body).map_err(|error| ReviewError::NotAReview(error.to_string()))?;
        drop(body);
        let (known, decided) = match named {
            Named::Policy(known) => (known, None),
            Named::Dormant => (self.policies.of_dormant(&request), None),
            Named::Rerun => {
                self.policies.of_rerun(self.cluster.as_deref(), &request, call.deadline).await
            }
        };
        let decision = match decided {
            Some(decision) => decision,
            None => self.decide(&known.name, &known.policy, &request, call).await,
        };
        fail_point::answers(decision.reason);
        let answer = answer(&request.uid, &decision);
        let took = begun.elapsed();
        known.metrics.reviewed(request.operation, decision.reason, took);
        log(&known.name, &request, &decision, took);
        Ok(Bytes::from(answer))
    }
}

#[cfg(test)]
mod tests;
