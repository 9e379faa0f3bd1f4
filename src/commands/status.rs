//! `rejob status`: which namespaces opt in, and what became of their Jobs.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::connection::{ClusterArg, NamespaceArg, UserConnection};
use super::job_run::{JobRun, RunState};
use super::text_at;
use super::{Output, json_line, plain, table};
use crate::doctor::{RealWorld, served_policies};
use crate::job::Job;
use crate::kubernetes::{POLICY_LABEL, encode, events, jobs_path, namespace_path, opted_in_json};
use crate::policy::{OnChange, WhileRunning};
use crate::review::requester;
use crate::words::between;

/// The flags of `rejob status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Which cluster to look at.
    #[command(flatten)]
    pub cluster: ClusterArg,
    /// Which namespace to look at.
    #[command(flatten)]
    pub namespace: NamespaceArg,
    /// Look at every namespace that opts in.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Print tables, or JSON whose fields docs/kubectl-rejob.md describes.
    #[arg(short, long, env = "REJOB_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Serialize)]
struct Status {
    namespaces: Vec<Namespace>,
    jobs: Vec<JobStatus>,
    /// What could not be found out, and why.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Namespace {
    name: String,
    /// The policy that its label names.
    policy: Option<String>,
    on_change: Option<OnChange>,
    while_running: Option<WhileRunning>,
}

#[derive(Debug, Serialize)]
struct JobStatus {
    namespace: String,
    name: String,
    run: JobRun,
    /// The replacement by which it came to be, as long as Kubernetes keeps the Event.
    replaced: Option<Replaced>,
}

#[derive(Debug, Clone, Serialize)]
struct Replaced {
    time: Timestamp,
    message: String,
    /// Who asked, and what changed.
    #[serde(skip)]
    why: String,
}

/// Runs `rejob status`.
///
/// # Errors
/// When there is no cluster to look at, or the caller may not list Jobs.
pub async fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let connection = args.cluster.expect().await?;
    let namespace = (!args.all_namespaces).then(|| connection.namespace(&args.namespace));
    let status = look(&connection, namespace.as_deref()).await?;
    let text = match args.output {
        Output::Text => text(&status, Timestamp::now()),
        Output::Json => json_line(&status),
    };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn look(connection: &UserConnection, namespace: Option<&str>) -> anyhow::Result<Status> {
    let mut unknown = Vec::new();
    let mut namespaces = if let Some(name) = namespace {
        vec![one_namespace(connection, name, &mut unknown).await?]
    } else {
        let path = format!("/api/v1/namespaces?labelSelector={}", encode(POLICY_LABEL));
        let found = connection.list(&path).await.context("choose one with --namespace")?;
        found.iter().map(named).collect()
    };
    match served_policies(&RealWorld::new(connection.client.clone())).await {
        Ok(policies) => {
            for namespace in &mut namespaces {
                let policy = namespace.policy.as_deref().and_then(|name| policies.get(name));
                namespace.on_change = policy.map(|policy| policy.on_change);
                namespace.while_running = policy.map(|policy| policy.while_running);
            }
        }
        Err(why) => unknown.push(format!("what the policies say: {why}")),
    }
    let jobs = namespace.map_or_else(|| "/apis/batch/v1/jobs".to_owned(), jobs_path);
    let jobs = connection.list(&jobs).await?;
    let replaced = match replacements(connection, namespace).await {
        Ok(replaced) => replaced,
        Err(why) => {
            unknown.push(format!("the last replacements: {why:#}"));
            HashMap::new()
        }
    };
    let is_shown = |job: &Job<'_>, namespace: &str| {
        namespaces.iter().any(|one| one.name == namespace) && job.controller().is_none()
    };
    let mut rows = Vec::new();
    for value in &jobs {
        let (job, namespace) =
            (Job::new(value), text_at(value, "/metadata/namespace").unwrap_or_default());
        let run = JobRun::of(value);
        // One that was left behind is shown wherever it is.
        if is_shown(&job, namespace) || run.state == RunState::Dormant {
            rows.push(JobStatus {
                namespace: namespace.to_owned(),
                name: job.name().unwrap_or_default().to_owned(),
                run,
                replaced: job.uid().and_then(|uid| replaced.get(uid)).cloned(),
            });
        }
    }
    Ok(Status { namespaces, jobs: rows, unknown })
}

async fn one_namespace(
    connection: &UserConnection,
    name: &str,
    unknown: &mut Vec<String>,
) -> anyhow::Result<Namespace> {
    match connection.get(&namespace_path(name)).await {
        Ok(Some(found)) => Ok(named(&found)),
        Ok(None) => bail!("there is no namespace {name}: kubectl get namespaces"),
        Err(why) => {
            unknown.push(format!("the policy of the namespace {name}: {why:#}"));
            Ok(Namespace {
                name: name.to_owned(),
                policy: None,
                on_change: None,
                while_running: None,
            })
        }
    }
}

fn named(namespace: &Value) -> Namespace {
    Namespace {
        name: text_at(namespace, "/metadata/name").unwrap_or_default().to_owned(),
        policy: opted_in_json(namespace).map(str::to_owned),
        on_change: None,
        while_running: None,
    }
}

/// The last replacement of each Job, by the uid of the Job that it made.
async fn replacements(
    connection: &UserConnection,
    namespace: Option<&str>,
) -> anyhow::Result<HashMap<String, Replaced>> {
    let path = events::path(namespace, events::REPLACED);
    Ok(connection.list(&path).await?.iter().filter_map(replacement).collect())
}

fn replacement(event: &Value) -> Option<(String, Replaced)> {
    let annotation = |key| events::annotation(event, key).unwrap_or_default();
    let by = requester(annotation(events::USER), Some(annotation(events::MANAGER)));
    let message = text_at(event, "/message").unwrap_or_default().to_owned();
    let changed = annotation(events::CHANGED);
    // The server may be older than this program.
    let why = if changed.is_empty() { message.clone() } else { format!("for {by}: {changed}") };
    let replaced = Replaced { time: text_at(event, "/lastTimestamp")?.parse().ok()?, message, why };
    Some((text_at(event, "/involvedObject/uid").unwrap_or_default().to_owned(), replaced))
}

fn text(status: &Status, now: Timestamp) -> String {
    let dash = || "-".to_owned();
    let header = |titles: &[&str]| titles.iter().map(ToString::to_string).collect();
    let mut rows =
        vec![header(&["NAMESPACE", "POLICY", "ON CHANGE", "WHILE RUNNING", "JOBS", "DORMANT"])];
    for namespace in &status.namespaces {
        let here = status.jobs.iter().filter(|job| job.namespace == namespace.name);
        let dormant = here.clone().filter(|job| job.run.state == RunState::Dormant).count();
        rows.push(vec![
            namespace.name.clone(),
            namespace.policy.clone().unwrap_or_else(dash),
            namespace.on_change.map_or_else(dash, |knob| format!("{knob:?}")),
            namespace.while_running.map_or_else(dash, |knob| format!("{knob:?}")),
            here.count().to_string(),
            dormant.to_string(),
        ]);
    }
    let mut text = table(&rows);
    if !status.jobs.is_empty() {
        let mut rows = vec![header(&["NAMESPACE", "JOB", "RUN", "REPLACED", "WHY"])];
        for job in &status.jobs {
            let ago = |replaced: &Replaced| format!("{} ago", between(replaced.time, now));
            rows.push(vec![
                job.namespace.clone(),
                job.name.clone(),
                job.run.summary(now),
                job.replaced.as_ref().map_or_else(dash, ago),
                job.replaced.as_ref().map_or_else(dash, |replaced| replaced.why.clone()),
            ]);
        }
        text.push('\n');
        text.push_str(&table(&rows));
    }
    let mut hints = Vec::new();
    if status.namespaces.is_empty() {
        hints.push(format!(
            "no namespace opts in: kubectl label namespace NAMESPACE {POLICY_LABEL}=replace"
        ));
    }
    if let [Namespace { name, policy: None, .. }] = status.namespaces.as_slice()
        && status.unknown.iter().all(|what| !what.starts_with("the policy of"))
    {
        hints.push(format!("namespace {name} does not opt in: kubectl label namespace {name} {POLICY_LABEL}=replace"));
    }
    if status.jobs.iter().any(|job| job.run.state == RunState::Dormant) {
        hints.push("a dormant Job is being replaced, or was left behind: rejob doctor".to_owned());
    }
    hints.extend(status.unknown.iter().map(|what| format!("not known: {what}")));
    if !hints.is_empty() {
        text.push('\n');
    }
    for hint in hints {
        text.push_str(&plain(&hint));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replacement_is_read_off_its_event() {
        let event = json!({
            "metadata": { "annotations": {
                "rejob.dev/user": "jane", "rejob.dev/manager": "helm", "rejob.dev/changed": "a: 1 -> 2",
            }},
            "involvedObject": { "uid": "1-2" },
            "message": "Replaced it",
            "lastTimestamp": "2026-11-30T08:49:43Z",
        });
        let (uid, replaced) = replacement(&event).unwrap();
        assert_eq!((uid.as_str(), replaced.message.as_str()), ("1-2", "Replaced it"));
        assert_eq!(replaced.why, "for jane with helm: a: 1 -> 2");
        assert!(replacement(&json!({})).is_none());
    }
}
