//! By which policy a request is decided: the one that the path names; for the entries of rejob's own,
//! whose paths name none, the one that the dormant Job was made by, or that the live Namespace opts in to.

use std::collections::HashMap;
use std::sync::OnceLock;

use tokio::time::{Instant, timeout_at};

use crate::decide::{Decision, UnknownPolicy};
use crate::job::{Job, asks_for_a_rerun};
use crate::kubernetes::Cluster;
use crate::metrics::{Metrics, PolicyMetrics};
use crate::policy::{DORMANT, OnChange, Policy, PolicySet, RERUN};
use crate::reason::Reason;
use crate::replacement::{ApiError, Record};
use crate::review::Request;
use crate::server::ReviewError;

/// A policy, and what counts the reviews that are decided by it.
#[derive(Debug, Clone)]
pub(super) struct ServedPolicy {
    pub name: String,
    pub policy: Policy,
    pub metrics: PolicyMetrics,
}

/// What the last segment of a path names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named<'a> {
    Policy(&'a ServedPolicy),
    Dormant,
    Rerun,
}

#[derive(Debug)]
pub(super) struct Policies {
    /// Whether one of them replaces or reports.
    pub check: bool,
    by_name: HashMap<String, ServedPolicy>,
    names: String,
    metrics: Metrics,
    none: OnceLock<ServedPolicy>,
}

impl Policies {
    pub fn new(policies: &PolicySet, metrics: &Metrics) -> Self {
        let known = |name: &str, policy: &Policy| ServedPolicy {
            name: name.to_owned(),
            policy: policy.clone(),
            metrics: metrics.policy(name),
        };
        Self {
            check: policies.checks(),
            by_name: policies
                .iter()
                .map(|(name, policy)| (name.to_owned(), known(name, policy)))
                .collect(),
            names: policies.names().collect::<Vec<_>>().join(", "),
            metrics: metrics.clone(),
            none: OnceLock::new(),
        }
    }

    /// # Errors
    /// When it is neither a policy nor an entry of rejob's own.
    pub fn named(&self, segment: &str) -> Result<Named<'_>, ReviewError> {
        match (self.by_name.get(segment), segment) {
            (Some(known), _) => Ok(Named::Policy(known)),
            (None, DORMANT) => Ok(Named::Dormant),
            (None, RERUN) => Ok(Named::Rerun),
            (None, name) => {
                Err(ReviewError::UnknownPolicy { name: name.to_owned(), known: self.names.clone() })
            }
        }
    }

    /// Where no policy of this server's is meant: a dormant Job is started, and everything else is left
    /// to the API server.
    fn none(&self) -> &ServedPolicy {
        self.none.get_or_init(|| ServedPolicy {
            name: String::new(),
            policy: Policy { on_change: OnChange::Ignore, ..Policy::default() },
            metrics: self.metrics.policy(""),
        })
    }

    /// The policy by which a dormant Job was made: the namespace may have changed its label meanwhile.
    pub fn of_dormant(&self, request: &Request) -> &ServedPolicy {
        let old = request.old_object.as_ref().map(Job::new);
        let record = old.and_then(Record::of);
        record.and_then(|record| self.by_name.get(&record.policy)).unwrap_or_else(|| self.none())
    }

    /// The policy of a request that asks for a new run, from the live Namespace; or the decision, where
    /// there is none: the value must not be stored where rejob may be meant to run the Job.
    pub async fn of_rerun<C: Cluster>(
        &self,
        cluster: Option<&C>,
        request: &Request,
        deadline: Instant,
    ) -> (&ServedPolicy, Option<Decision>) {
        let jobs = (request.old_object.as_ref(), request.object.as_ref());
        let (Some(old), Some(object)) = jobs else { return (self.none(), None) };
        if !asks_for_a_rerun(Job::new(old), Job::new(object)) {
            return (self.none(), None);
        }
        match self.of_namespace(cluster, request, deadline).await {
            Ok(Some(known)) => (known, None),
            Ok(None) => (self.none(), Some(Decision::admit(Reason::NotOptedIn))),
            Err(unknown) => (self.none(), Some(Decision::rerun_without_policy(request, unknown))),
        }
    }

    /// The policy that the live Namespace opts in to, if it does.
    async fn of_namespace<C: Cluster>(
        &self,
        cluster: Option<&C>,
        request: &Request,
        deadline: Instant,
    ) -> Result<Option<&ServedPolicy>, UnknownPolicy> {
        let unknown = |reason, why, is_passing| UnknownPolicy { reason, why, is_passing };
        let Some(cluster) = cluster else {
            let why = "this rejob has no connection to the cluster: run it in the cluster or with \
                       --kubeconfig";
            return Err(unknown(Reason::NoCluster, why.to_owned(), false));
        };
        let label = timeout_at(deadline, cluster.namespace_policy(&request.namespace))
            .await
            .unwrap_or_else(|_| Err(ApiError::unanswered("no answer before the deadline")))
            .map_err(|error| {
                let passing = error.is_passing();
                let remedy = if passing { "try again" } else { "grant rejob get on namespaces" };
                let why =
                    format!("namespace {} cannot be read: {error}; {remedy}", request.namespace);
                unknown(Reason::ClusterError, why, passing)
            })?;
        let Some(label) = label else { return Ok(None) };
        self.by_name.get(&label).map(Some).ok_or_else(|| {
            let why = format!(
                "its namespace opts in to the policy {label:?}, which this rejob does not have; there \
                 are: {}",
                self.names
            );
            // The webhook's entry lists the policies, so another replica may have it by now.
            unknown(Reason::NotOptedIn, why, true)
        })
    }
}
