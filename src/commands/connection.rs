//! The cluster as a command of a user's sees it: kubectl's flags, and calls whose failures are
//! sentences.

use std::env;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::Value;

use super::plain;
use crate::kubernetes::{self, ApiAnswer, ApiClient, ApiRequest, items, names};

/// How long the API server may take to accept a connection, and to answer. A webhook may take 30 s.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(40);

/// Which cluster a command looks at.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArg {
    /// Kubeconfig file. Default: KUBECONFIG, then ~/.kube/config, then the Pod's service account.
    #[arg(long, env = "REJOB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: the current one.
    #[arg(long, env = "REJOB_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
}

/// Which namespace a command acts in.
#[derive(Debug, Clone, clap::Args)]
pub struct NamespaceArg {
    /// The namespace. Default: the namespace of the context.
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
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
        let Some(mut config) = self.config().await? else { return Ok(None) };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        let client = ApiClient::new(config.clone())
            .context("cannot use the kubeconfig; check --kubeconfig")?;
        Ok(Some(UserConnection { client, config }))
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
        if self.kubeconfig.is_some() {
            return Ok(kubernetes::config(self.kubeconfig.as_deref(), &options).await?);
        }
        let unusable = "cannot use the kubeconfig; check KUBECONFIG, --context and --kubeconfig";
        match usual(&env::var_os("KUBECONFIG").unwrap_or_default()).context(unusable)? {
            Some(file) => {
                let config = Config::from_custom_kubeconfig(file, &options).await;
                config.map(Some).context(unusable)
            }
            // A Pod's service account is in no context.
            None if self.context.is_some() => Ok(None),
            None => Ok(kubernetes::config(None, &options).await?),
        }
    }
}

/// What kubectl reads: the files of KUBECONFIG that exist, without it ~/.kube/config; `None` where
/// nothing is in them.
fn usual(variable: &OsStr) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let paths: Vec<_> =
        env::split_paths(variable).filter(|path| !path.as_os_str().is_empty()).collect();
    let mut all = Kubeconfig::default();
    if paths.is_empty() {
        all = if_there(Kubeconfig::read())?;
    }
    for path in paths {
        all = all.merge(if_there(Kubeconfig::read_from(path))?)?;
    }
    Ok((!all.clusters.is_empty()).then_some(all))
}

/// An empty one for a file that does not exist.
fn if_there(read: Result<Kubeconfig, KubeconfigError>) -> Result<Kubeconfig, KubeconfigError> {
    match read {
        Err(KubeconfigError::FindPath) => Ok(Kubeconfig::default()),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => {
            Ok(Kubeconfig::default())
        }
        read => read,
    }
}

/// A connection to an API server. Nothing is sent twice.
pub struct UserConnection {
    /// Sends the requests.
    pub client: ApiClient,
    /// Where to, and as whom.
    pub config: Config,
}

impl UserConnection {
    /// The API server's address.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// The namespace that was asked for, else that of the context.
    pub fn namespace(&self, arg: &NamespaceArg) -> String {
        arg.namespace.as_ref().unwrap_or(&self.config.default_namespace).clone()
    }

    /// One request.
    ///
    /// # Errors
    /// When no answer comes, or the API server does not know the caller.
    pub async fn send(&self, request: ApiRequest<'_>) -> anyhow::Result<ApiAnswer> {
        let server = self.server();
        match self.client.send(request).await {
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
    /// As [`Self::send`], and the API server's own sentence when it refuses.
    pub async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.send(ApiRequest::get(path)).await?;
        answer.found().map_err(|error| anyhow::anyhow!(plain(&error.message)))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        Ok(self.get(path).await?.map(items).unwrap_or_default())
    }
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

    #[test]
    fn the_kubeconfig_is_the_one_that_kubectl_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let cluster = "clusters: [{ name: a, cluster: { server: \"https://127.0.0.1\" } }]\n";
        std::fs::write(&file, cluster).unwrap();
        let missing = folder.path().join("missing");
        let names = |paths: &[&std::path::Path]| {
            let found = usual(&env::join_paths(paths).unwrap()).unwrap()?;
            Some(found.clusters.into_iter().map(|cluster| cluster.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[&missing, &file]), Some(vec!["a".to_owned()]));
        // Then the service account of the Pod is used.
        assert_eq!(names(&[&missing]), None);
        assert_eq!(names(&["/dev/null".as_ref()]), None);
        std::fs::write(&file, "clusters: 1\n").unwrap();
        assert!(usual(file.as_os_str()).is_err());
    }
}
