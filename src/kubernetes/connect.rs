//! Which cluster: a kubeconfig, the Pod's service account, or none.

use std::path::Path;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Where the kubelet puts the service account's token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}: {message}; check --kubeconfig")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The pod's own credentials cannot be used.
    #[error("cannot use the service account of this pod: {0}; give --kubeconfig")]
    InCluster(String),
    /// The configuration makes no client.
    #[error("cannot connect to the API server at {server}: {message}; check --kubeconfig")]
    NoClient {
        /// Its address.
        server: String,
        /// What failed.
        message: String,
    },
}

/// The configuration of a kubeconfig file, else of the pod, else none.
///
/// # Errors
/// When there is a kubeconfig or a service account and it cannot be used.
pub async fn config(
    kubeconfig: Option<&Path>,
    options: &KubeConfigOptions,
) -> Result<Option<Config>, ConnectError> {
    if let Some(path) = kubeconfig {
        let failed = |error: kube::config::KubeconfigError| ConnectError::Kubeconfig {
            path: path.display().to_string(),
            message: error.to_string(),
        };
        let file = Kubeconfig::read_from(path).map_err(failed)?;
        return Config::from_custom_kubeconfig(file, options).await.map(Some).map_err(failed);
    }
    // A Pod without a token (automountServiceAccountToken: false) knows the address all the same.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() || !Path::new(TOKEN).exists() {
        return Ok(None);
    }
    Config::incluster().map(Some).map_err(|error| ConnectError::InCluster(error.to_string()))
}
