//! The two objects of the self-managed way, behind a trait: the Secret and the webhook
//! configuration.
//!
//! Each write names the version it is based on and fails with [`StoreError::Conflict`] when the
//! object has changed since: that is all the coordination replicas need.

use std::collections::BTreeMap;
use std::future::Future;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::inject::{Entry, Published, Target};
use super::state::{SECRET_TYPE, SecretData};

/// The field manager of every write.
const MANAGER: &str = "rejob";

/// An object and its resourceVersion.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The resourceVersion.
    pub version: String,
    /// The object.
    pub object: T,
}

/// Data of a Secret to be written; `None` removes a key.
pub type SecretChange = BTreeMap<String, Option<Vec<u8>>>;

/// Reads and writes the Secret and the webhook configuration.
pub trait Store: Send + Sync {
    /// The Secret's data; `None` when there is none.
    fn secret(
        &self,
    ) -> impl Future<Output = Result<Option<Versioned<SecretData>>, StoreError>> + Send;

    /// Creates the Secret.
    fn create_secret(
        &self,
        data: SecretChange,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Changes the Secret, if it still has `version`.
    fn update_secret(
        &self,
        version: &str,
        data: SecretChange,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The webhook configuration; `None` when there is none.
    fn configuration(
        &self,
    ) -> impl Future<Output = Result<Option<Versioned<Published>>, StoreError>> + Send;

    /// Applies a strategic merge patch to the webhook configuration, if it still has `version`.
    fn patch_configuration(
        &self,
        version: &str,
        patch: Value,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why the API server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster: read again.
    #[error("the object changed in between")]
    Conflict,
    /// A right is missing.
    #[error("rejob may not {verb} {object}: {message}; grant it, or use --tls-cert and --tls-key")]
    Forbidden {
        /// The verb.
        verb: &'static str,
        /// Kind and name.
        object: String,
        /// The API server's words.
        message: String,
    },
    /// Anything else.
    #[error("cannot {verb} {object}: {message}")]
    Failed {
        /// The verb.
        verb: &'static str,
        /// Kind and name.
        object: String,
        /// The API server's or the connection's words.
        message: String,
    },
}

/// The objects in a cluster. Needs `get`, `create` and `update` on the Secret, `get` and `patch` on
/// the webhook configuration.
#[derive(Clone)]
pub struct ClusterStore {
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    namespace: String,
    secret: String,
    configuration: String,
}

impl ClusterStore {
    /// A store for one Secret and one `MutatingWebhookConfiguration`.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, secret: &str, configuration: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            configurations: Api::all(client),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            configuration: configuration.to_owned(),
        }
    }

    fn secret_error(&self, verb: &'static str) -> impl FnOnce(kube::Error) -> StoreError + use<> {
        let object = format!("Secret {}/{}", self.namespace, self.secret);
        move |error| store_error(verb, object, &error)
    }

    fn configuration_error(
        &self,
        verb: &'static str,
    ) -> impl FnOnce(kube::Error) -> StoreError + use<> {
        let object = format!("MutatingWebhookConfiguration {}", self.configuration);
        move |error| store_error(verb, object, &error)
    }
}

impl Store for ClusterStore {
    async fn secret(&self) -> Result<Option<Versioned<SecretData>>, StoreError> {
        let secret = self.secrets.get_opt(&self.secret).await.map_err(self.secret_error("get"))?;
        Ok(secret.map(|secret| Versioned {
            version: secret.metadata.resource_version.unwrap_or_default(),
            object: secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect(),
        }))
    }

    async fn create_secret(&self, data: SecretChange) -> Result<(), StoreError> {
        let data = data.into_iter().filter_map(|(key, value)| Some((key, ByteString(value?))));
        let labels = [("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        };
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let created = self.secrets.create(&params, &secret).await;
        created.map(drop).map_err(self.secret_error("create"))
    }

    async fn update_secret(&self, version: &str, data: SecretChange) -> Result<(), StoreError> {
        let found = self.secrets.get_opt(&self.secret).await.map_err(self.secret_error("get"))?;
        let Some(mut secret) = found else { return Err(StoreError::Conflict) };
        // Written on top of what was decided about, or not at all.
        secret.metadata.resource_version = Some(version.to_owned());
        let kept = secret.data.get_or_insert_default();
        for (key, value) in data {
            match value {
                Some(value) => kept.insert(key, ByteString(value)),
                None => kept.remove(&key),
            };
        }
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let replaced = self.secrets.replace(&self.secret, &params, &secret).await;
        replaced.map(drop).map_err(self.secret_error("update"))
    }

    async fn configuration(&self) -> Result<Option<Versioned<Published>>, StoreError> {
        let found = self.configurations.get_opt(&self.configuration).await;
        let configuration = found.map_err(self.configuration_error("get"))?;
        Ok(configuration.map(|configuration| Versioned {
            version: configuration.metadata.resource_version.unwrap_or_default(),
            object: Published {
                entries: configuration.webhooks.into_iter().flatten().filter_map(entry).collect(),
            },
        }))
    }

    async fn patch_configuration(&self, version: &str, mut patch: Value) -> Result<(), StoreError> {
        if let Value::Object(patch) = &mut patch {
            patch.insert("metadata".to_owned(), json!({ "resourceVersion": version }));
        }
        let patch = Patch::Strategic(patch);
        let patched = self.configurations.patch(&self.configuration, &manager(), &patch).await;
        patched.map(drop).map_err(self.configuration_error("patch"))
    }
}

fn manager() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn entry(webhook: MutatingWebhook) -> Option<Entry> {
    let config = webhook.client_config;
    let target = match (config.service, config.url) {
        (Some(service), _) => Target::Service {
            host: format!("{}.{}.svc", service.name, service.namespace),
            path: service.path,
        },
        (None, Some(url)) => Target::Url(url),
        (None, None) => return None,
    };
    Entry::new(&webhook.name, config.ca_bundle.unwrap_or_default().0, target)
}

fn store_error(verb: &'static str, object: String, error: &kube::Error) -> StoreError {
    match error {
        kube::Error::Api(status) if status.code == 409 => StoreError::Conflict,
        // What was to be changed is gone; a create meets 404 only when the namespace is.
        kube::Error::Api(status) if status.code == 404 && verb != "create" => StoreError::Conflict,
        kube::Error::Api(status) if status.code == 403 => {
            StoreError::Forbidden { verb, object, message: status.message.clone() }
        }
        kube::Error::Api(status) => {
            StoreError::Failed { verb, object, message: status.message.clone() }
        }
        other => StoreError::Failed { verb, object, message: chain(other) },
    }
}

/// An error with its causes: connection errors say nothing themselves.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}
