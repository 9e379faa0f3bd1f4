//! The cluster as a command of a user's sees it: kubectl's flags, and calls whose failures are
//! sentences.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use http::Method;
use kube::Config;
use kube::config::{KubeConfigOptions, KubeconfigError};
use serde_json::Value;

use crate::doctor::probe::{Probe, RealWorld};
use crate::kubernetes::{self, ApiAnswer, encode, names};

/// Which cluster a command looks at.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArg {
    /// How to reach the cluster; without it the Pod's service account, and without that the usual
    /// KUBECONFIG or ~/.kube/config.
    #[arg(long, env = "REJOB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; without it the current one.
    #[arg(long, env = "REJOB_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

/// Which namespace a command acts in.
#[derive(Debug, Clone, clap::Args)]
pub struct NamespaceArg {
    /// The namespace; without it that of the context.
    #[arg(short, long, env = "REJOB_NAMESPACE", value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
}

/// A namespace's name, which becomes part of paths.
pub(super) fn namespace(name: &str) -> Result<String, String> {
    if names::is_label(name) {
        Ok(name.to_owned())
    } else {
        Err("a namespace's name is at most 63 lower-case letters, digits and -, beginning and ending \
             with a letter or digit"
            .to_owned())
    }
}

impl ClusterArg {
    /// A connection; `None` when nothing names a cluster.
    ///
    /// # Errors
    /// When the kubeconfig or the service account cannot be used.
    pub async fn connect(&self) -> anyhow::Result<Option<UserConnection>> {
        let Some(config) = self.config().await? else { return Ok(None) };
        let world = RealWorld::new(config.clone())
            .context("cannot use the kubeconfig; check --kubeconfig")?;
        Ok(Some(UserConnection { world, config }))
    }

    /// A connection, for what makes no sense without one.
    ///
    /// # Errors
    /// As [`Self::connect`], and when nothing names a cluster.
    pub async fn expect(&self) -> anyhow::Result<UserConnection> {
        let connection = self.connect().await?;
        connection.context("no cluster to look at: give --kubeconfig, or set KUBECONFIG")
    }

    async fn config(&self) -> anyhow::Result<Option<Config>> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // A Pod's service account is in no context.
        if (self.kubeconfig.is_some() || self.context.is_none())
            && let Some(config) = kubernetes::config(self.kubeconfig.as_deref(), &options).await?
        {
            return Ok(Some(config));
        }
        match Config::from_kubeconfig(&options).await {
            Ok(config) => Ok(Some(config)),
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(anyhow!(error))
                .context("cannot use the kubeconfig; check KUBECONFIG, --context and --kubeconfig"),
        }
    }
}

/// A connection to an API server. Nothing is sent twice.
pub struct UserConnection {
    /// Sends the requests.
    pub world: RealWorld,
    /// Where to, and as whom.
    pub config: Config,
}

impl UserConnection {
    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// The namespace that was asked for, else that of the context.
    #[must_use]
    pub fn namespace(&self, arg: &NamespaceArg) -> String {
        arg.namespace.as_ref().unwrap_or(&self.config.default_namespace).clone()
    }

    /// One request; a PATCH is a merge patch.
    ///
    /// # Errors
    /// When no answer comes, or the API server does not know the caller.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<ApiAnswer> {
        let server = self.server();
        let answer = self.world.call(method, path, body).await;
        match answer {
            Ok(answer) if answer.code == 401 => {
                bail!("the API server at {server} does not accept these credentials: log in again")
            }
            Ok(answer) => Ok(answer),
            Err(why) => bail!(
                "cannot ask the API server at {server}: {why}; check --kubeconfig and the network"
            ),
        }
    }

    /// A GET of something that may not exist.
    ///
    /// # Errors
    /// As [`Self::call`], and the API server's own sentence when it refuses.
    pub async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.call(Method::GET, path, None).await?;
        match answer.code {
            404 => Ok(None),
            200 => Ok(Some(answer.body)),
            _ => bail!("{}", answer.message()),
        }
    }

    /// The items of a list.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.get(path).await?;
        let items = list.and_then(|mut list| list.get_mut("items").map(Value::take));
        Ok(match items {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        })
    }
}

/// The path of the Jobs of a namespace; of one of them with its name.
pub(super) fn jobs_path(namespace: &str, name: Option<&str>) -> String {
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", encode(namespace));
    name.map_or_else(|| jobs.clone(), |name| format!("{jobs}/{}", encode(name)))
}

/// The path of a namespace.
pub(super) fn namespace_path(name: &str) -> String {
    format!("/api/v1/namespaces/{}", encode(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_cannot_leave_its_place_in_a_path() {
        assert_eq!(namespace("rejob-system").as_deref(), Ok("rejob-system"));
        for name in ["", "a/b", "..", "A", "a?b"] {
            assert!(namespace(name).is_err(), "{name}");
        }
    }
}
