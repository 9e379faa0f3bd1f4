//! The cluster that `serve` acts on: its flags, the connection, the reaper's loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::cluster::{self, Facts, KubeCluster};
use crate::metrics::Metrics;
use crate::policy::PolicySet;
use crate::replace::reaper::is_guarded;
use crate::replace::{Cluster, Reaper, reaper};

/// How often the API server is asked at start before rejob gives up, and the pause between.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_secs(2);

/// The flags about the cluster.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// How to reach the cluster; without it the Pod's service account, and without that nothing
    /// that needs the cluster is done.
    #[arg(long, env = "REJOB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespaces in which left-over dormant Jobs are looked for, where rejob may not list
    /// Jobs in all of them.
    #[arg(long, env = "REJOB_NAMESPACES", value_name = "NAME", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Seconds between two looks for left-over dormant Jobs.
    #[arg(long, env = "REJOB_REAPER_INTERVAL_SECONDS", hide = true,
          default_value_t = reaper::INTERVAL.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    pub reaper_interval_seconds: u64,
    /// Seconds for which a dormant Job must have been seen before it is deleted.
    #[arg(long, env = "REJOB_REAPER_GRACE_SECONDS", hide = true,
          default_value_t = reaper::GRACE.as_secs())]
    pub reaper_grace_seconds: u64,
}

/// A connection, and what the API server told about itself and about rejob.
pub struct Connection {
    /// The effects.
    pub cluster: Arc<KubeCluster>,
    /// Who rejob is there.
    pub facts: Facts,
}

impl Args {
    /// Connects; `None` when there is nothing to connect to.
    ///
    /// # Errors
    /// When there is a kubeconfig or service account and it cannot be used, or the API server does
    /// not answer for half a minute.
    pub async fn connect(&self, metrics: &Metrics) -> anyhow::Result<Option<Connection>> {
        let Some(config) = cluster::config(self.kubeconfig.as_deref()).await? else {
            return Ok(None);
        };
        let server = config.cluster_url.to_string();
        let cluster = KubeCluster::new(config, self.namespaces.clone(), metrics.clone())?;
        let mut tries = 0;
        let facts = loop {
            match cluster.facts().await {
                Ok(facts) => break facts,
                Err(error) => {
                    tries += 1;
                    if tries >= TRIES {
                        return Err(error).with_context(|| {
                            format!(
                                "the API server at {server} does not answer; check that it can be \
                                 reached from here"
                            )
                        });
                    }
                    tracing::warn!(server, "the API server does not answer, trying again: {error}");
                    sleep(PAUSE).await;
                }
            }
        };
        let kubernetes = facts.server.map(|version| version.to_string()).unwrap_or_default();
        tracing::info!(server, user = facts.own_user, kubernetes, "connected");
        Ok(Some(Connection { cluster: Arc::new(cluster), facts }))
    }

    /// Looks for dormant Jobs that nobody came back for, and deletes them; never ends.
    pub async fn reap(
        &self,
        cluster: Arc<KubeCluster>,
        metrics: Metrics,
        policies: PolicySet,
        own_namespace: Option<String>,
    ) {
        let mut reaper = Reaper::new(Duration::from_secs(self.reaper_grace_seconds));
        let mut ticks = interval(Duration::from_secs(self.reaper_interval_seconds));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let jobs = match cluster.dormant().await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::warn!("cannot list dormant Jobs: {error}");
                    continue;
                }
            };
            for due in reaper.look(&jobs, Instant::now()) {
                let (namespace, name) = (due.namespace.as_str(), due.name.as_str());
                match cluster.opted_in(namespace).await {
                    Ok(label)
                        if is_guarded(
                            namespace,
                            label.as_deref(),
                            &policies,
                            own_namespace.as_deref(),
                        ) => {}
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(namespace, name, "cannot read the namespace: {error}");
                        continue;
                    }
                }
                match cluster.delete(namespace, name, &due.uid, &due.resource_version).await {
                    Ok(()) => {
                        metrics.dormant_job_reaped();
                        tracing::warn!(
                            namespace,
                            name,
                            uid = due.uid,
                            "deleted a dormant Job: the replacement that made it was cut off; send \
                             the request again"
                        );
                    }
                    // Released or deleted meanwhile.
                    Err(error) if matches!(error.code, 404 | 409) => {}
                    Err(error) => {
                        tracing::warn!(namespace, name, "cannot delete a dormant Job: {error}");
                    }
                }
            }
        }
    }
}
