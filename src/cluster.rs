//! The Kubernetes client behind the effect trait.
//!
//! Jobs go through as raw JSON: a typed round trip would drop fields that this build does not
//! know. Every call is counted by verb, resource and code.

mod version;

use std::path::Path;
use std::time::Instant;

use http::{Method, Request, StatusCode};
use k8s_openapi::api::core::v1::Event;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Serialize;
use serde_json::{Value, json};

use crate::job::keys;
use crate::metrics::{ApiResource, ApiVerb, Metrics};
use crate::replace::{ApiError, Cluster, Right};
use crate::review::UserInfo;

pub use version::ServerVersion;

/// The label by which a namespace opts in.
pub const POLICY_LABEL: &str = "rejob.dev/policy";

/// Who rejob is when it creates a Job itself and the client named no field manager.
const FIELD_MANAGER: &str = "rejob";

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
    /// The API server does not answer.
    #[error("the API server at {server} does not answer: {message}; check that it can be reached")]
    Unreachable {
        /// Its address.
        server: String,
        /// What failed.
        message: String,
    },
}

/// A connection to an API server.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    metrics: Metrics,
    namespaces: Vec<String>,
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeCluster").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

/// Where the kubelet puts the service account's token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What rejob needs to know about the cluster and itself before it serves.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The user that rejob's own requests carry.
    pub own_user: String,
    /// The version of the API server.
    pub server: Option<ServerVersion>,
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
    // A Pod without a token (automountServiceAccountToken: false) is told the address all the same.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() || !Path::new(TOKEN).exists() {
        return Ok(None);
    }
    Config::incluster().map(Some).map_err(|error| ConnectError::InCluster(error.to_string()))
}

impl KubeCluster {
    /// A connection; `namespaces` are those it looks after, all when empty.
    ///
    /// # Errors
    /// When the configuration makes no client.
    pub fn new(
        mut config: Config,
        namespaces: Vec<String>,
        metrics: Metrics,
    ) -> Result<Self, ConnectError> {
        // The protocol knows what may be sent again: a deletion whose answer was lost and that is
        // sent again would be answered with 404, as if somebody else had deleted the Job.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)
            .map_err(|error| ConnectError::Unreachable { server, message: error.to_string() })?;
        Ok(Self { client, metrics, namespaces })
    }

    /// The client behind it.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks the API server for its version and for the name that rejob's requests carry.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn facts(&self) -> Result<Facts, ApiError> {
        let version: Value = self
            .send(ApiVerb::Get, ApiResource::Version, Method::GET, "/version", None::<&()>)
            .await?;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"
        });
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let who: Value = self
            .send(
                ApiVerb::Create,
                ApiResource::SelfSubjectReviews,
                Method::POST,
                path,
                Some(&review),
            )
            .await?;
        let own_user = who
            .pointer("/status/userInfo/username")
            .and_then(Value::as_str)
            .ok_or_else(|| ApiError::unanswered("the SelfSubjectReview names no user"))?;
        Ok(Facts { own_user: own_user.to_owned(), server: ServerVersion::of(&version) })
    }

    /// One call: JSON out, JSON in.
    async fn send<T: Serialize>(
        &self,
        verb: ApiVerb,
        resource: ApiResource,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<Value, ApiError> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| ApiError::unanswered(format!("cannot write the body: {error}")))?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(bytes)
            .map_err(|error| ApiError::unanswered(format!("cannot make the request: {error}")))?;
        let begun = Instant::now();
        let result = self.client.request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => {
                let (reason, message) = (status.reason.clone(), status.message.clone());
                ApiError { code: status.code, reason, message }
            }
            other => ApiError::unanswered(other.to_string()),
        });
        let code = result.as_ref().map_or_else(|error| error.code, |_| StatusCode::OK.as_u16());
        let code = (code > 0).then_some(code);
        self.metrics.api_request(verb, resource, code, begun.elapsed());
        result
    }
}

/// The items of a list.
fn items(mut list: Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn jobs(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs", encode(namespace))
}

/// An object, or `None` where there is none.
fn found(answer: Result<Value, ApiError>) -> Result<Option<Value>, ApiError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// A path segment or query value: everything but unreserved characters escaped.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;

    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

impl Cluster for KubeCluster {
    async fn opted_in(&self, namespace: &str) -> Result<Option<String>, ApiError> {
        let path = format!("/api/v1/namespaces/{}", encode(namespace));
        let found = self
            .send(ApiVerb::Get, ApiResource::Namespaces, Method::GET, &path, None::<&()>)
            .await?;
        let label = found.get("metadata").and_then(|metadata| metadata.get("labels"));
        let label = label.and_then(|labels| labels.get(POLICY_LABEL)).and_then(Value::as_str);
        Ok(label.map(str::to_owned))
    }

    async fn may(
        &self,
        user: &UserInfo,
        namespace: &str,
        right: Right<'_>,
    ) -> Result<bool, ApiError> {
        let (verb, name) = match right {
            Right::Delete(name) => ("delete", Some(name)),
            Right::Create(name) => ("create", name),
        };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra,
                "resourceAttributes": {
                    "namespace": namespace, "verb": verb, "group": "batch", "version": "v1",
                    "resource": "jobs", "name": name.unwrap_or_default()
                }
            }
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = self
            .send(
                ApiVerb::Create,
                ApiResource::SubjectAccessReviews,
                Method::POST,
                path,
                Some(&review),
            )
            .await?;
        let status = |field: &str| {
            answer.get("status").and_then(|status| status.get(field)).and_then(Value::as_bool)
        };
        Ok(status("allowed") == Some(true) && status("denied") != Some(true))
    }

    async fn create(
        &self,
        namespace: &str,
        job: &Value,
        field_manager: Option<&str>,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        let mut path = jobs(namespace);
        path.push_str("?fieldManager=");
        path.push_str(&encode(field_manager.unwrap_or(FIELD_MANAGER)));
        let verb = if dry_run { ApiVerb::DryRunCreate } else { ApiVerb::Create };
        if dry_run {
            path.push_str("&dryRun=All");
        }
        self.send(verb, ApiResource::Jobs, Method::POST, &path, Some(job)).await
    }

    async fn delete(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), ApiError> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid, "resourceVersion": resource_version }
        });
        let path = format!("{}/{}", jobs(namespace), encode(name));
        self.send(ApiVerb::Delete, ApiResource::Jobs, Method::DELETE, &path, Some(&options))
            .await
            .map(drop)
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let path = format!("{}/{}", jobs(namespace), encode(name));
        found(self.send(ApiVerb::Get, ApiResource::Jobs, Method::GET, &path, None::<&()>).await)
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Value>, ApiError> {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector={}",
            encode(namespace),
            encode(selector)
        );
        self.send(ApiVerb::List, ApiResource::Pods, Method::GET, &path, None::<&()>)
            .await
            .map(items)
    }

    async fn dormant(&self) -> Result<Vec<Value>, ApiError> {
        let paths = if self.namespaces.is_empty() {
            vec!["/apis/batch/v1/jobs".to_owned()]
        } else {
            self.namespaces.iter().map(|namespace| jobs(namespace)).collect()
        };
        let mut found = Vec::new();
        for path in paths {
            let path = format!("{path}?labelSelector={}", encode(keys::DORMANT));
            let list = self
                .send(ApiVerb::List, ApiResource::Jobs, Method::GET, &path, None::<&()>)
                .await?;
            found.extend(items(list));
        }
        Ok(found)
    }

    async fn webhook_configuration(&self, name: &str) -> Result<Option<Value>, ApiError> {
        let path = format!(
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}",
            encode(name)
        );
        let resource = ApiResource::WebhookConfigurations;
        found(self.send(ApiVerb::Get, resource, Method::GET, &path, None::<&()>).await)
    }

    async fn tell(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        message: &str,
    ) -> Result<(), ApiError> {
        let now = jiff::Timestamp::now();
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "generateName": format!("{}.", name.trim_end_matches('.')), "namespace": namespace },
            "involvedObject": {
                "apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": name,
                "uid": uid
            },
            "reason": "Replaced",
            "message": message,
            "type": "Normal",
            "source": { "component": "rejob" },
            "reportingComponent": "rejob.dev/webhook",
            "reportingInstance": "",
            "firstTimestamp": format!("{:.0}", now),
            "lastTimestamp": format!("{:.0}", now),
            "count": 1
        });
        // Read once through the type, so that a misspelt field is found by the tests.
        debug_assert!(serde_json::from_value::<Event>(event.clone()).is_ok());
        let path = format!("/api/v1/namespaces/{}/events", encode(namespace));
        self.send(ApiVerb::Create, ApiResource::Events, Method::POST, &path, Some(&event))
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
