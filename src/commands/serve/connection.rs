//! The cluster that `serve` acts on: its flags and the connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::config::KubeConfigOptions;
use tokio::time::sleep;

use crate::duration;
use crate::kubernetes::{self, Introduction, KubeCluster};
use crate::metrics::Metrics;

/// How often the API server is asked at start before rejob gives up, and the pause between.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_secs(2);

/// The flags about the cluster.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct ConnectionArgs {
    /// Kubeconfig file. Default: the Pod's service account. Without either, rejob does nothing that
    /// needs the cluster.
    #[arg(long, env = "REJOB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespaces in which to look for left-over dormant Jobs, if rejob may not list Jobs in all
    /// namespaces.
    #[arg(long, env = "REJOB_NAMESPACES", value_name = "NAME", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Check a replacement as the requesting user (Kubernetes 1.36 and later), so that policies about
    /// users can refuse it before anything is deleted.
    #[arg(long, env = "REJOB_CHECK_AS_USER")]
    pub check_as_user: bool,
    /// Time between two looks for left-over dormant Jobs.
    #[arg(
        long,
        env = "REJOB_REAPER_INTERVAL",
        hide = true,
        value_name = "DURATION",
        value_parser = duration::parse_positive
    )]
    pub reaper_interval: Option<Duration>,
    /// How long a dormant Job must have been seen before it is deleted.
    #[arg(
        long,
        env = "REJOB_REAPER_GRACE",
        hide = true,
        value_name = "DURATION",
        value_parser = duration::parse
    )]
    pub reaper_grace: Option<Duration>,
}

/// A connection, and what the API server said about itself and about rejob.
pub struct Connection {
    /// The effects.
    pub cluster: Arc<KubeCluster>,
    /// What the API server said.
    pub introduction: Introduction,
}

impl Connection {
    /// Connects; `None` when there is nothing to connect to.
    ///
    /// # Errors
    /// When there is a kubeconfig or service account and it cannot be used, or the API server does
    /// not answer for half a minute.
    pub async fn open(args: &ConnectionArgs, metrics: &Metrics) -> anyhow::Result<Option<Self>> {
        let options = KubeConfigOptions::default();
        let Some(config) = kubernetes::config(args.kubeconfig.as_deref(), &options).await? else {
            return Ok(None);
        };
        let server = config.cluster_url.to_string();
        let namespaces = args.namespaces.clone();
        let cluster = KubeCluster::new(config, namespaces, args.check_as_user, metrics.clone())?;
        let mut tries = 0;
        let introduction = loop {
            match cluster.introduce().await {
                Ok(introduction) => break introduction,
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
        if let Some(version) =
            introduction.server.filter(|one| args.check_as_user && !one.can_check_as_user())
        {
            bail!(
                "--check-as-user needs Kubernetes 1.36 or later, and the API server at {server} is \
                 {version}; start rejob without it"
            );
        }
        let kubernetes = introduction.server.map(|version| version.to_string()).unwrap_or_default();
        tracing::info!(server, user = introduction.own_user, kubernetes, "connected");
        Ok(Some(Self { cluster: Arc::new(cluster), introduction }))
    }
}
