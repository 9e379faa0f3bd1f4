//! `rejob rerun`: asks for a new run of a Job, and waits for its end.
//!
//! The request is tried as a dry run first: where nothing would run, nothing is written either.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::AsyncBufReadExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{ClusterArg, NamespaceArg, UserConnection};
use super::job_run::{JobRun, RunState};
use super::{plain, text_at, warning};
use crate::decide::{self, ONLY_REPORTED, RERUN_DOES_NOTHING, SAME_USER_WARNING, decide};
use crate::job::{Job, keys};
use crate::kubernetes::{
    ApiAnswer, ApiClient, ApiRequest, POLICY_LABEL, encode, job_path, names, namespace_path,
    opted_in_json,
};
use crate::policy::Policy;
use crate::review::Operation;

/// How often a request that is told to wait is sent again, as client-go does.
const TRIES: u32 = 10;
/// The pause between two looks at the run.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last lines of a container may take when the run has ended.
const LAST_LINES: Duration = Duration::from_secs(10);
/// Who owns the annotation afterwards.
const FIELD_MANAGER: &str = "kubectl-rejob";

/// The flags of `rejob rerun`.
#[derive(Debug, clap::Args)]
pub struct RerunArgs {
    /// The Job: `nightly` or `job/nightly`.
    #[arg(value_name = "JOB", value_parser = job)]
    pub job: String,
    /// Which cluster to act in.
    #[command(flatten)]
    pub cluster: ClusterArg,
    /// Which namespace to act in.
    #[command(flatten)]
    pub namespace: NamespaceArg,
    /// Wait until the run ends: exit code 0 when it is complete, 1 when it has failed.
    #[arg(long)]
    pub wait: bool,
    /// Print what its containers write, and wait until the run ends.
    #[arg(long)]
    pub logs: bool,
}

/// The name of a Job, which kubectl's users may write with its kind.
fn job(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        Some(("job" | "jobs" | "job.batch" | "jobs.batch", name)) => name,
        _ => text,
    };
    if names::is_subdomain(name) {
        Ok(name.to_owned())
    } else {
        Err("give the name of one Job: nightly or job/nightly".to_owned())
    }
}

/// Runs `rejob rerun`.
///
/// # Errors
/// When the Job does not exist, nothing would run it again, the request is refused, or the run is gone
/// before its end.
pub async fn run(args: &RerunArgs) -> anyhow::Result<ExitCode> {
    let connection = args.cluster.expect().await?;
    let namespace = connection.namespace(&args.namespace);
    let name = args.job.as_str();
    let path = job_path(&namespace, name);
    let Some(old) = connection.get(&path).await? else {
        bail!(
            "there is no job {name} in the namespace {namespace}: kubectl get jobs -n {namespace}"
        )
    };
    let change =
        json!({ "metadata": { "annotations": { keys::RERUN: Timestamp::now().to_string() } } });
    let target = format!("{path}?fieldManager={FIELD_MANAGER}");
    let in_dry_run = format!("{target}&dryRun=All");
    let dry_run = connection.send(ApiRequest::merge_patch(&in_dry_run, &change)).await?;
    let mut told = HashSet::new();
    warn(&dry_run, &mut told);
    if !dry_run.is_success() {
        bail!("{}", plain(&dry_run.message()));
    }
    if Job::new(&dry_run.body).annotation(keys::REPLACING).is_none() {
        let why = why_not(&connection, &namespace, &old, &dry_run).await;
        bail!("nothing would run job {name} again: {}", plain(&why));
    }
    let new = send(&connection, &target, &change, &mut told).await?;
    let uid = Job::new(&new).uid().unwrap_or_default();
    if Job::new(&old).uid() == Some(uid) {
        bail!("job {name} was not replaced; try again");
    }
    super::print(format!("job.batch/{name} runs again\n").as_bytes())?;
    if !args.wait && !args.logs {
        return Ok(ExitCode::SUCCESS);
    }
    let logs = if args.logs { Some(Logs::new(&connection, &namespace, uid)?) } else { None };
    let run = follow(&connection, &path, uid, logs).await?;
    if run.state == RunState::Failed {
        match run.failure {
            Some(why) => bail!("job {name} failed: {}", plain(&why)),
            None => bail!("job {name} failed"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a dry run that was accepted would replace nothing.
async fn why_not(
    connection: &UserConnection,
    namespace: &str,
    old: &Value,
    dry_run: &ApiAnswer,
) -> String {
    // rejob itself says so where it takes part.
    let is_why =
        |text: &String| text.contains(SAME_USER_WARNING) || text.contains(RERUN_DOES_NOTHING);
    if let Some(why) = dry_run.warnings.iter().map(|header| warning(header)).find(is_why) {
        return why;
    }
    if dry_run.warnings.iter().any(|header| header.contains(ONLY_REPORTED)) {
        return "its onChange is Report, which reports what would be replaced and replaces nothing"
            .to_owned();
    }
    let new = dry_run.body.clone();
    let request = super::request(Operation::Update, namespace, new, Some(old.clone()));
    let reason = decide(&request, &Policy::default(), &decide::Context::default()).reason;
    if reason.is_left_alone() {
        return reason.sentence().to_owned();
    }
    let label = format!("kubectl label namespace {namespace} {POLICY_LABEL}=replace");
    match connection.get(&namespace_path(namespace)).await {
        Ok(Some(found)) => match opted_in_json(&found) {
            Some(policy) => format!(
                "no rejob serves the policy {policy} of the namespace {namespace}: rejob doctor"
            ),
            None => format!("namespace {namespace} does not opt in: {label}"),
        },
        Ok(None) => format!("the namespace {namespace} is gone"),
        Err(why) => format!("the policy of the namespace {namespace} is not known: {why:#}"),
    }
}

/// Prints the warnings of an answer, each text once.
fn warn(answer: &ApiAnswer, told: &mut HashSet<String>) {
    for header in &answer.warnings {
        if told.insert(header.clone()) {
            say(&format!("Warning: {}", warning(header)));
        }
    }
}

/// Sends the request; while the old run works, as often as kubectl would.
async fn send(
    connection: &UserConnection,
    path: &str,
    change: &Value,
    told: &mut HashSet<String>,
) -> anyhow::Result<Value> {
    let mut tries = 0;
    loop {
        let answer = connection.send(ApiRequest::merge_patch(path, change)).await?;
        warn(&answer, told);
        if answer.is_success() {
            return Ok(answer.body);
        }
        tries += 1;
        if answer.code != 429 || tries > TRIES {
            bail!("{}", plain(&answer.message()));
        }
        let seconds = answer.body.pointer("/details/retryAfterSeconds").and_then(Value::as_u64);
        let seconds = seconds.unwrap_or(1);
        say(&format!("{}; trying again in {seconds} s", answer.message()));
        sleep(Duration::from_secs(seconds)).await;
    }
}

/// Waits until the run of that uid ends.
async fn follow(
    connection: &UserConnection,
    path: &str,
    uid: &str,
    mut logs: Option<Logs>,
) -> anyhow::Result<JobRun> {
    let mut line = ProgressLine::new(logs.is_none());
    let mut failures = 0;
    loop {
        let job = match connection.get(path).await {
            // A run of hours outlives a restart of the API server.
            Err(_) if failures < TRIES => {
                failures += 1;
                sleep(PAUSE).await;
                continue;
            }
            job => job?,
        };
        failures = 0;
        let Some(job) = job.filter(|job| Job::new(job).uid() == Some(uid)) else {
            bail!("the run is gone before its end was seen: the Job was deleted, or replaced again")
        };
        if let Some(logs) = &mut logs {
            logs.follow_new(connection).await;
        }
        let run = JobRun::of(&job);
        line.show(&run);
        if run.has_ended() {
            if let Some(mut logs) = logs {
                let _ =
                    timeout(LAST_LINES, async { while logs.tasks.join_next().await.is_some() {} })
                        .await;
            }
            return Ok(run);
        }
        sleep(PAUSE).await;
    }
}

/// The line about a run on standard error: rewritten in place on a terminal, else one for each change.
struct ProgressLine {
    in_place: bool,
    last: String,
}

impl ProgressLine {
    fn new(alone: bool) -> Self {
        Self { in_place: alone && std::io::stderr().is_terminal(), last: String::new() }
    }

    fn show(&mut self, run: &JobRun) {
        // A line that is not rewritten in place reports a change. How long the run took so far is no change.
        let state = if self.in_place || run.has_ended() {
            run.summary(Timestamp::now())
        } else {
            format!("{:?}", run.state)
        };
        let text = format!("{state}, {}", run.counts());
        if text == self.last {
            return;
        }
        if self.in_place {
            let end = if run.has_ended() { "\n" } else { "" };
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}{end}");
        } else {
            say(&text);
        }
        self.last = text;
    }
}

/// What the containers of a run write.
struct Logs {
    client: ApiClient,
    pods: String,
    selector: String,
    /// The Pod, the container, and how often that has restarted.
    followed: HashSet<(String, String, u64)>,
    tasks: JoinSet<()>,
    is_refused: bool,
}

impl Logs {
    fn new(connection: &UserConnection, namespace: &str, uid: &str) -> anyhow::Result<Self> {
        let mut config = connection.config.clone();
        // A container may say nothing for hours.
        config.read_timeout = None;
        let client = ApiClient::new(config).context("cannot use the kubeconfig")?;
        Ok(Self {
            client,
            pods: format!("{}/pods", namespace_path(namespace)),
            selector: encode(&format!("batch.kubernetes.io/controller-uid={uid}")),
            followed: HashSet::new(),
            tasks: JoinSet::new(),
            is_refused: false,
        })
    }

    /// Follows each container that has started since the last look.
    async fn follow_new(&mut self, connection: &UserConnection) {
        let path = format!("{}?labelSelector={}", self.pods, self.selector);
        let pods = match connection.list(&path).await {
            Ok(pods) => pods,
            Err(error) => {
                if !std::mem::replace(&mut self.is_refused, true) {
                    say(&format!("no logs: {error:#}"));
                }
                return;
            }
        };
        for pod in &pods {
            let name = text_at(pod, "/metadata/name").unwrap_or_default();
            for (container, restarts) in started(pod) {
                if self.followed.insert((name.to_owned(), container.to_owned(), restarts)) {
                    let path = format!(
                        "{}/{}/log?container={}&follow=true",
                        self.pods,
                        encode(name),
                        encode(container)
                    );
                    let prefix = format!("[{name} {container}] ");
                    self.tasks.spawn(copy(self.client.clone(), path, prefix));
                }
            }
        }
    }
}

/// The containers of a Pod that have begun to write, each with the number of its restarts.
fn started(pod: &Value) -> impl Iterator<Item = (&str, u64)> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|path| pod.pointer(path)?.as_array())
        .flatten();
    statuses.filter_map(|status| {
        let is = |state| status.pointer(state).is_some();
        // One that waits for its restart has the log of the time before.
        let has_started = ["/state/running", "/state/terminated", "/lastState/terminated"];
        let restarts = status.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
        has_started.into_iter().any(is).then_some((status.get("name")?.as_str()?, restarts))
    })
}

/// Copies a log to standard output, line by line; it may be no UTF-8.
async fn copy(client: ApiClient, path: String, prefix: String) {
    let result = async {
        let mut log = client.stream(&path).await.map_err(anyhow::Error::msg)?;
        let mut line = prefix.clone().into_bytes();
        while log.read_until(b'\n', &mut line).await? > 0 {
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            super::print(&line)?;
            line.truncate(prefix.len());
        }
        anyhow::Ok(())
    };
    if let Err(error) = result.await {
        say(&format!("{prefix}no logs: {error:#}"));
    }
}

/// A line on standard error, which may be closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_as_kubectl_names_it() {
        for text in ["x", "job/x", "jobs/x", "job.batch/x", "jobs.batch/x"] {
            assert_eq!(job(text).as_deref(), Ok("x"), "{text}");
        }
        for text in ["", "job/", "pod/x", "job/x/y", ".."] {
            assert!(job(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_start_of_each_container_is_followed() {
        let container = |name: &str, restarts: u64, now: &str, before: &str| {
            json!({ "name": name, "restartCount": restarts, "state": { now: {} },
                    "lastState": { before: {} } })
        };
        let pod = json!({ "status": {
            "initContainerStatuses": [container("init", 0, "terminated", "none")],
            "containerStatuses": [
                container("new", 0, "waiting", "none"),
                container("runs", 1, "running", "terminated"),
                container("crashed", 2, "waiting", "terminated"),
            ],
        }});
        let found: Vec<_> = started(&pod).collect();
        assert_eq!(found, [("init", 0), ("runs", 1), ("crashed", 2)]);
        assert_eq!(started(&json!({})).count(), 0);
    }
}
