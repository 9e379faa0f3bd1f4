//! A cluster that answers as a test says: what, and after how long.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Cluster, JobEvent, Right, Write};
use crate::job::keys;
use crate::replacement::{ApiError, Record, identity};
use crate::review::UserInfo;

/// An answer, and how long it takes.
pub(crate) type ScriptedAnswer = (Duration, Result<Value, ApiError>);

/// Longer than any deadline.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

type Script = dyn Fn(&str, usize) -> Option<ScriptedAnswer> + Send + Sync;

pub(crate) struct Fake {
    script: Box<Script>,
    /// Whether checks are made in the user's name.
    pub(crate) as_user: bool,
    begun: Instant,
    counts: Mutex<HashMap<String, usize>>,
    /// What was called, and when, counted from the start.
    pub(crate) calls: Mutex<Vec<(String, Duration)>>,
    /// What was sent with it.
    pub(crate) sent: Mutex<Vec<Value>>,
}

impl Fake {
    /// `script` says how the nth call (from 0) of a kind is answered; by `None` as in a cluster
    /// where all is well.
    pub(crate) fn new(
        script: impl Fn(&str, usize) -> Option<ScriptedAnswer> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Box::new(script),
            as_user: false,
            begun: Instant::now(),
            counts: Mutex::default(),
            calls: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.names().iter().filter(|called| *called == name).count()
    }

    async fn call(&self, name: &str, sent: Value, well: Value) -> Result<Value, ApiError> {
        let nth = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(name.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        self.calls.lock().unwrap().push((name.to_owned(), self.begun.elapsed()));
        self.sent.lock().unwrap().push(sent);
        let (after, answer) = (self.script)(name, nth).unwrap_or((Duration::ZERO, Ok(well)));
        sleep(after).await;
        answer
    }
}

/// An error of the API server.
pub(crate) fn error(code: u16, reason: &str, message: &str) -> ApiError {
    ApiError { code, reason: reason.to_owned(), message: message.to_owned() }
}

impl Cluster for Fake {
    async fn namespace_policy(&self, namespace: &str) -> Result<Option<String>, ApiError> {
        let label = self.call("opt-in", json!(namespace), json!("replace")).await?;
        Ok(label.as_str().map(str::to_owned))
    }

    async fn can_user(&self, user: &UserInfo, _: &str, right: Right<'_>) -> Result<bool, ApiError> {
        let name = match right {
            Right::Delete(_) => "can-delete",
            Right::Create(_) => "can-create",
        };
        let sent = json!([user.username, format!("{right:?}")]);
        Ok(self.call(name, sent, json!(true)).await? == json!(true))
    }

    async fn create(
        &self,
        _: &str,
        job: &Value,
        _: Option<&str>,
        write: Write<'_>,
    ) -> Result<Value, ApiError> {
        let dormant = job.pointer("/spec/parallelism") == Some(&json!(0));
        let (name, sent) = match write {
            Write::Real => {
                let mut stored = job.clone();
                stored["metadata"]["uid"] = json!("new");
                return self.call("create", job.clone(), stored).await;
            }
            Write::DryRunAs(user) => ("create-as-user", json!([user.username, job])),
            Write::DryRun if job.pointer("/metadata/generateName").is_some() => {
                return self.call("probe", job.clone(), job.clone()).await;
            }
            Write::DryRun if dormant => ("dry-run-dormant", job.clone()),
            Write::DryRun => ("dry-run", job.clone()),
        };
        self.call(name, sent, Value::Null).await.and_then(|answer| match answer {
            Value::Null => {
                Err(error(409, "AlreadyExists", "jobs.batch \"nightly\" already exists"))
            }
            job => Ok(job),
        })
    }

    fn checks_as_user(&self) -> bool {
        self.as_user
    }

    async fn delete(
        &self,
        _: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        write: Write<'_>,
    ) -> Result<(), ApiError> {
        let (called, sent) = match write {
            Write::DryRunAs(user) => {
                ("delete-as-user", json!([user.username, name, uid, resource_version]))
            }
            _ => ("delete", json!([name, uid, resource_version])),
        };
        self.call(called, sent, Value::Null).await.map(drop)
    }

    async fn get(&self, _: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let job = self.call("get", json!(name), Value::Null).await?;
        Ok(Some(job).filter(|job| !job.is_null()))
    }

    async fn pods(&self, _: &str, selector: &str) -> Result<Vec<Value>, ApiError> {
        let pods = self.call("pods", json!(selector), json!([])).await?;
        Ok(pods.as_array().cloned().unwrap_or_default())
    }

    async fn list_dormant_jobs(&self) -> Result<Vec<Value>, ApiError> {
        Ok(self.call("list", Value::Null, json!([])).await?.as_array().cloned().unwrap_or_default())
    }

    async fn webhook_configuration(
        &self,
        name: &str,
    ) -> Result<Option<MutatingWebhookConfiguration>, ApiError> {
        let guarding = json!({
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "webhooks": [{ "name": "dormant.rejob.dev", "failurePolicy": "Fail" }],
        });
        let configuration = self.call("configuration", json!(name), guarding).await?;
        Ok(serde_json::from_value(configuration).unwrap())
    }

    async fn publish_event(&self, event: JobEvent<'_>) -> Result<(), ApiError> {
        let JobEvent { job, uid, reason, message, once, annotations, .. } = event;
        let sent = json!([job, uid, message, reason, once, annotations]);
        self.call("tell", sent, Value::Null).await.map(drop)
    }
}

/// A record as the tests take it: of a Job of `parallelism` 1 that this user and manager asked for.
pub(crate) fn recorded(user: &str, manager: Option<&str>) -> Record {
    Record {
        parallelism: Some(1),
        uid: "old".into(),
        resource_version: "1".into(),
        user: identity(&UserInfo { username: user.into(), ..UserInfo::default() }),
        manager: manager.map(str::to_owned),
        policy: "replace".into(),
        replacements: 1,
        sent: None,
        suspended: false,
        labels: None,
        changed: "it".into(),
        owners: None,
    }
}

/// Makes a Job dormant, with that record.
pub(crate) fn make_dormant(job: &mut Value, record: &Record) {
    job["spec"]["parallelism"] = 0.into();
    job["metadata"]["labels"][keys::DORMANT] = "true".into();
    job["metadata"]["annotations"][keys::DORMANT] = record.to_text().into();
}
