//! A real cluster, through the one client.
//!
//! Every call is counted by verb, resource and code.

use std::time::Instant;

use http::{HeaderMap, Method};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};
use kube::Config;
use serde_json::{Value, json};

use super::{
    ApiClient, ApiRequest, Cluster, ConnectError, FIELD_MANAGER, JobEvent, Right, ServerVersion,
    Write, encode, impersonation, items, job_path, jobs_path, namespace_path, opted_in_json,
    webhook,
};
use crate::job::keys;
use crate::metrics::{ApiResource, ApiVerb, Metrics};
use crate::replacement::ApiError;
use crate::review::UserInfo;

/// A cluster, as far as rejob acts on it.
#[derive(Clone)]
pub struct KubeCluster {
    client: ApiClient,
    metrics: Metrics,
    namespaces: Vec<String>,
    check_as_user: bool,
}

/// What rejob needs to know about the cluster and itself before it serves.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The user that rejob's own requests carry.
    pub own_user: String,
    /// The version of the API server.
    pub server: Option<ServerVersion>,
}

impl KubeCluster {
    /// A connection; `namespaces` are those it looks after, all when empty; `check_as_user`: whether
    /// the checks of a replacement are made in the user's name.
    ///
    /// # Errors
    /// When the configuration makes no client.
    pub fn new(
        config: Config,
        namespaces: Vec<String>,
        check_as_user: bool,
        metrics: Metrics,
    ) -> Result<Self, ConnectError> {
        Ok(Self { client: ApiClient::new(config)?, metrics, namespaces, check_as_user })
    }

    /// The client behind it.
    pub fn client(&self) -> ApiClient {
        self.client.clone()
    }

    /// Asks the API server for its version and for the name that rejob's requests carry.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn introduce(&self) -> Result<Introduction, ApiError> {
        let version = self.get_object(ApiResource::Version, "/version").await?;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"
        });
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let resource = ApiResource::SelfSubjectReviews;
        let who = self.post(resource, path, &review).await?;
        let own_user = who
            .pointer("/status/userInfo/username")
            .and_then(Value::as_str)
            .ok_or_else(|| ApiError::unanswered("the SelfSubjectReview names no user"))?;
        Ok(Introduction { own_user: own_user.to_owned(), server: ServerVersion::of(&version) })
    }

    async fn get_object(&self, resource: ApiResource, path: &str) -> Result<Value, ApiError> {
        self.send(ApiVerb::Get, resource, ApiRequest::get(path)).await
    }

    /// An object, or `None` where there is none.
    async fn find(&self, resource: ApiResource, path: &str) -> Result<Option<Value>, ApiError> {
        match self.get_object(resource, path).await {
            Err(error) if error.code == 404 => Ok(None),
            found => found.map(Some),
        }
    }

    /// The items of a list.
    async fn list(&self, resource: ApiResource, path: &str) -> Result<Vec<Value>, ApiError> {
        self.send(ApiVerb::List, resource, ApiRequest::get(path)).await.map(items)
    }

    async fn post(
        &self,
        resource: ApiResource,
        path: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let request = ApiRequest::new(Method::POST, path, Some(body));
        self.send(ApiVerb::Create, resource, request).await
    }

    async fn send(
        &self,
        verb: ApiVerb,
        resource: ApiResource,
        request: ApiRequest<'_>,
    ) -> Result<Value, ApiError> {
        let begun = Instant::now();
        let answer = self.client.send(request).await.map_err(ApiError::unanswered);
        let code = answer.as_ref().ok().map(|answer| answer.code);
        self.metrics.api_request(verb, resource, code, begun.elapsed());
        answer?.object()
    }
}

/// The headers that say in whose name something is asked.
fn headers(write: Write<'_>) -> Result<HeaderMap, ApiError> {
    match write {
        Write::Real | Write::DryRun => Ok(HeaderMap::new()),
        Write::DryRunAs(user) => impersonation::headers(user).map_err(ApiError::not_impersonated),
    }
}

impl Cluster for KubeCluster {
    async fn namespace_policy(&self, namespace: &str) -> Result<Option<String>, ApiError> {
        let path = namespace_path(namespace);
        let found = self.get_object(ApiResource::Namespaces, &path).await?;
        Ok(opted_in_json(&found).map(str::to_owned))
    }

    async fn can_user(
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
        let resource = ApiResource::SubjectAccessReviews;
        let answer = self.post(resource, path, &review).await?;
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
        write: Write<'_>,
    ) -> Result<Value, ApiError> {
        let (verb, dry_run) = match write {
            Write::Real => (ApiVerb::Create, ""),
            Write::DryRun | Write::DryRunAs(_) => (ApiVerb::DryRunCreate, "&dryRun=All"),
        };
        let manager = encode(field_manager.unwrap_or(FIELD_MANAGER));
        let path = format!("{}?fieldManager={manager}{dry_run}", jobs_path(namespace));
        let request = ApiRequest::new(Method::POST, &path, Some(job));
        let request = ApiRequest { headers: headers(write)?, ..request };
        self.send(verb, ApiResource::Jobs, request).await
    }

    fn checks_as_user(&self) -> bool {
        self.check_as_user
    }

    async fn delete(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        write: Write<'_>,
    ) -> Result<(), ApiError> {
        let (verb, dry_run) = match write {
            Write::Real => (ApiVerb::Delete, None),
            Write::DryRun | Write::DryRunAs(_) => (ApiVerb::DryRunDelete, Some(vec!["All".into()])),
        };
        let options = json!(DeleteOptions {
            api_version: Some("v1".into()),
            kind: Some("DeleteOptions".into()),
            propagation_policy: Some("Background".into()),
            preconditions: Some(Preconditions {
                uid: Some(uid.into()),
                resource_version: Some(resource_version.into()),
            }),
            dry_run,
            ..DeleteOptions::default()
        });
        let path = job_path(namespace, name);
        let request = ApiRequest::new(Method::DELETE, &path, Some(&options));
        let request = ApiRequest { headers: headers(write)?, ..request };
        self.send(verb, ApiResource::Jobs, request).await.map(drop)
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let path = job_path(namespace, name);
        self.find(ApiResource::Jobs, &path).await
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Value>, ApiError> {
        let pods = format!("{}/pods", namespace_path(namespace));
        let path = format!("{pods}?labelSelector={}", encode(selector));
        self.list(ApiResource::Pods, &path).await
    }

    async fn list_dormant_jobs(&self) -> Result<Vec<Value>, ApiError> {
        let paths = if self.namespaces.is_empty() {
            vec!["/apis/batch/v1/jobs".to_owned()]
        } else {
            self.namespaces.iter().map(|namespace| jobs_path(namespace)).collect()
        };
        let mut found = Vec::new();
        for path in paths {
            let path = format!("{path}?labelSelector={}", encode(keys::DORMANT));
            found.extend(self.list(ApiResource::Jobs, &path).await?);
        }
        Ok(found)
    }

    async fn webhook_configuration(
        &self,
        name: &str,
    ) -> Result<Option<MutatingWebhookConfiguration>, ApiError> {
        let path = webhook::configuration_path(name);
        let found = self.find(ApiResource::WebhookConfigurations, &path).await?;
        found
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| ApiError::unanswered(format!("the answer is not understood: {error}")))
    }

    async fn publish_event(&self, event: JobEvent<'_>) -> Result<(), ApiError> {
        let JobEvent { namespace, job, uid, reason, message, once, annotations } = event;
        let now = jiff::Timestamp::now();
        let stem = job.trim_end_matches('.');
        let (field, name) = match once {
            Some(end) => ("name", format!("{stem}.{end}")),
            None => ("generateName", format!("{stem}.")),
        };
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { field: name, "namespace": namespace, "annotations": annotations },
            "involvedObject": {
                "apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": job,
                "uid": uid
            },
            "reason": reason,
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
        let path = format!("{}/events", namespace_path(namespace));
        match self.post(ApiResource::Events, &path, &event).await {
            Err(error) if once.is_some() && error.is_already_exists() => Ok(()),
            published => published.map(drop),
        }
    }
}

#[cfg(test)]
mod tests;
