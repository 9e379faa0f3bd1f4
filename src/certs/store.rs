//! The two objects that replicas share, behind a trait: the Secret and the webhook configuration.
//!
//! Each write names the version it is based on and fails with [`StoreError::Conflict`] when the
//! object has changed since: that is all the coordination replicas need.

use std::collections::BTreeMap;
use std::future::Future;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::configuration::WebhookConfiguration;
use super::state::{SECRET_TYPE, SecretData};
use crate::kubernetes::webhook::configuration_path;
use crate::kubernetes::{ApiAnswer, ApiClient, ApiRequest, FIELD_MANAGER, encode, namespace_path};
use crate::replacement::ApiError;

/// An object and its resourceVersion.
#[derive(Clone)]
pub struct Versioned<T> {
    /// The resourceVersion.
    pub version: String,
    /// The object.
    pub object: T,
}

/// Data of a Secret to be written; `None` removes a key.
pub type SecretPatch = BTreeMap<String, Option<Vec<u8>>>;

/// Reads and writes the Secret and the webhook configuration.
pub trait Store: Send + Sync {
    /// The Secret's data; `None` when there is none.
    fn secret(
        &self,
    ) -> impl Future<Output = Result<Option<Versioned<SecretData>>, StoreError>> + Send;

    /// Creates the Secret.
    fn create_secret(
        &self,
        data: SecretPatch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Changes the Secret, if it still has `version`.
    fn update_secret(
        &self,
        version: &str,
        data: SecretPatch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The webhook configuration; `None` when there is none.
    fn configuration(
        &self,
    ) -> impl Future<Output = Result<Option<Versioned<WebhookConfiguration>>, StoreError>> + Send;

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
    #[error("rejob may not {verb} {object}: {message}; grant it to its service account")]
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

/// The objects in a cluster. Needs `get`, `create` and `patch` on the Secret, `get` and `patch` on
/// the webhook configuration.
#[derive(Clone)]
pub struct ClusterStore {
    client: ApiClient,
    place: StorePlace,
}

/// Where the two objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`'s name.
    pub configuration: String,
}

impl ClusterStore {
    /// A store for one Secret and one `MutatingWebhookConfiguration`.
    pub fn new(client: ApiClient, place: StorePlace) -> Self {
        Self { client, place }
    }

    fn secrets_path(&self) -> String {
        format!("{}/secrets", namespace_path(&self.place.namespace))
    }

    fn secret_path(&self) -> String {
        format!("{}/{}", self.secrets_path(), encode(&self.place.secret))
    }

    /// An object and its version; `None` when there is none.
    async fn find(
        &self,
        kind: StoredObject,
        path: &str,
    ) -> Result<Option<(String, Value)>, StoreError> {
        let answer = self.client.send(ApiRequest::get(path)).await;
        if answer.as_ref().is_ok_and(|answer| answer.code == 404) {
            return Ok(None);
        }
        let object = self.outcome("get", kind, answer)?;
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        Ok(Some((version.unwrap_or_default().to_owned(), object)))
    }

    fn typed<T: DeserializeOwned>(
        &self,
        kind: StoredObject,
        object: Value,
    ) -> Result<T, StoreError> {
        serde_json::from_value(object).map_err(|error| StoreError::Failed {
            verb: "get",
            object: self.name(kind),
            message: format!("the answer is not understood: {error}"),
        })
    }

    fn name(&self, kind: StoredObject) -> String {
        match kind {
            StoredObject::Secret => {
                format!("Secret {}/{}", self.place.namespace, self.place.secret)
            }
            StoredObject::Configuration => {
                format!("MutatingWebhookConfiguration {}", self.place.configuration)
            }
        }
    }

    fn outcome(
        &self,
        verb: &'static str,
        kind: StoredObject,
        answer: Result<ApiAnswer, String>,
    ) -> Result<Value, StoreError> {
        let answer = answer.map_err(ApiError::unanswered).and_then(ApiAnswer::object);
        answer.map_err(|ApiError { code, message, .. }| match code {
            409 => StoreError::Conflict,
            403 => StoreError::Forbidden { verb, object: self.name(kind), message },
            _ => StoreError::Failed { verb, object: self.name(kind), message },
        })
    }

    async fn patch(&self, kind: StoredObject, request: ApiRequest<'_>) -> Result<(), StoreError> {
        match self.client.send(request).await {
            // What was to be changed is gone.
            Ok(answer) if answer.code == 404 => Err(StoreError::Conflict),
            answer => self.outcome("patch", kind, answer).map(drop),
        }
    }
}

/// Which of the two objects.
#[derive(Clone, Copy)]
enum StoredObject {
    Secret,
    Configuration,
}

impl Store for ClusterStore {
    async fn secret(&self) -> Result<Option<Versioned<SecretData>>, StoreError> {
        let Some((version, object)) = self.find(StoredObject::Secret, &self.secret_path()).await?
        else {
            return Ok(None);
        };
        let secret: Secret = self.typed(StoredObject::Secret, object)?;
        let data = secret.data.unwrap_or_default();
        let object = data.into_iter().map(|(key, value)| (key, value.0)).collect();
        Ok(Some(Versioned { version, object }))
    }

    async fn create_secret(&self, data: SecretPatch) -> Result<(), StoreError> {
        let data: BTreeMap<_, _> =
            encoded(data).into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let secret_type = if data.contains_key("tls.crt") { SECRET_TYPE } else { "Opaque" };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": secret_type,
            "metadata": {
                "name": self.place.secret,
                "labels": { "app.kubernetes.io/managed-by": FIELD_MANAGER },
            },
            "data": data,
        });
        let path = as_manager(&self.secrets_path());
        let request = ApiRequest::new(Method::POST, &path, Some(&secret));
        let answer = self.client.send(request).await;
        self.outcome("create", StoredObject::Secret, answer).map(drop)
    }

    async fn update_secret(&self, version: &str, data: SecretPatch) -> Result<(), StoreError> {
        let patch = json!({ "metadata": { "resourceVersion": version }, "data": encoded(data) });
        let path = as_manager(&self.secret_path());
        self.patch(StoredObject::Secret, ApiRequest::merge_patch(&path, &patch)).await
    }

    async fn configuration(&self) -> Result<Option<Versioned<WebhookConfiguration>>, StoreError> {
        let path = configuration_path(&self.place.configuration);
        let Some((version, object)) = self.find(StoredObject::Configuration, &path).await? else {
            return Ok(None);
        };
        let object = WebhookConfiguration::new(self.typed(StoredObject::Configuration, object)?);
        Ok(Some(Versioned { version, object }))
    }

    async fn patch_configuration(&self, version: &str, mut patch: Value) -> Result<(), StoreError> {
        if let Value::Object(patch) = &mut patch {
            patch.insert("metadata".to_owned(), json!({ "resourceVersion": version }));
        }
        let path = as_manager(&configuration_path(&self.place.configuration));
        let media = "application/strategic-merge-patch+json";
        let request = ApiRequest::new(Method::PATCH, &path, Some(&patch));
        self.patch(StoredObject::Configuration, ApiRequest { media, ..request }).await
    }
}

/// A path whose write is rejob's.
fn as_manager(path: &str) -> String {
    format!("{path}?fieldManager={FIELD_MANAGER}")
}

/// Data of a Secret as the API has it.
fn encoded(data: SecretPatch) -> BTreeMap<String, Option<String>> {
    data.into_iter().map(|(key, value)| (key, value.map(|v| STANDARD.encode(v)))).collect()
}
