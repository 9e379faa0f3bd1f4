//! `rejob explain`: what would happen to each Job of some manifests, and which rule says so.
//!
//! Against a cluster the API server is asked by a dry run, which rejob and all other admission take
//! part in; the rule comes from the same decision made here, with the stored Job. Without a cluster
//! each Job is decided as a new one, and what is not known is said.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::connection::{ClusterArg, NamespaceArg, UserConnection};
use super::policies::{self, PolicyArg};
use super::{DENIED, Output, job_name, json_line, plain, table, warning};
use crate::decide::{Context, Decision, Verdict, decide};
use crate::doctor::{RealWorld, served_policies};
use crate::job::{GENERATED_LABELS, Job, keys, last_applied};
use crate::kubernetes::{
    ApiAnswer, ApiRequest, POLICY_LABEL, ServerVersion, job_path, jobs_path, namespace_path,
    opted_in_json,
};
use crate::policy::{Policy, PolicySet};
use crate::reason::Reason;
use crate::review::Operation;
use crate::words::label;

/// The flags of `rejob explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Manifests, YAML or JSON; standard input for `-`.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Which cluster to ask.
    #[command(flatten)]
    pub cluster: ClusterArg,
    /// The namespace of Jobs that name none.
    #[command(flatten)]
    pub namespace: NamespaceArg,
    /// Ask no cluster.
    #[arg(long)]
    pub offline: bool,
    /// The policy to assume without a cluster, and the file that policies come from.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// Print a table, or JSON whose fields docs/kubectl-rejob.md describes.
    #[arg(short, long, env = "REJOB_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Serialize)]
struct Explanation {
    jobs: Vec<ExplainedJob>,
    /// What could not be found out, and what was assumed instead.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ExplainedJob {
    namespace: Option<String>,
    name: String,
    outcome: WouldBe,
    /// The label of the rule that decides, as metrics and logs name it; `null` where it is not known.
    rule: Option<&'static str>,
    /// What changes, or why not.
    because: String,
    warnings: Vec<String>,
}

/// What would become of a Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum WouldBe {
    Created,
    Replaced,
    /// The stored Job stays, with what may be changed in it.
    Updated,
    Unchanged,
    Refused,
}

/// Runs `rejob explain`: exit code 0 when no Job would be refused, else 3.
///
/// # Errors
/// When an input cannot be read, the policy does not exist, or the cluster does not answer.
pub async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let jobs = super::jobs(&args.files)?;
    let connection = if args.offline { None } else { args.cluster.connect().await? };
    let explanation = match &connection {
        Some(connection) => online(args, connection, jobs).await?,
        None => offline(args, &jobs)?,
    };
    let text = match args.output {
        Output::Text => text(&explanation),
        Output::Json => json_line(&explanation),
    };
    super::print(text.as_bytes())?;
    let refused = explanation.jobs.iter().any(|job| job.outcome == WouldBe::Refused);
    Ok(if refused { ExitCode::from(DENIED) } else { ExitCode::SUCCESS })
}

fn offline(args: &ExplainArgs, jobs: &[Value]) -> anyhow::Result<Explanation> {
    let policy = args.policy.load()?;
    let decide = |job: &Value| {
        let own = job.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = own.or(args.namespace.namespace.as_deref());
        let in_namespace = namespace.unwrap_or_default();
        let request = super::request(Operation::Create, in_namespace, job.clone(), None);
        let decision = decide(&request, &policy, &Context::default());
        let outcome = if decision.is_allowed() { WouldBe::Created } else { WouldBe::Refused };
        ExplainedJob {
            namespace: namespace.map(str::to_owned),
            name: job_name(job).to_owned(),
            outcome,
            rule: Some(decision.reason.label()),
            because: because(&decision),
            warnings: decision.warnings,
        }
    };
    let unknown = vec![
        "whether the Jobs exist, and what changes in them then: there is no connection to a cluster".to_owned(),
        format!("the policies of the namespaces: {} is assumed", args.policy.policy),
        "what the API server and other admission say, and what you may do".to_owned(),
    ];
    Ok(Explanation { jobs: jobs.iter().map(decide).collect(), unknown })
}

async fn online(
    args: &ExplainArgs,
    connection: &UserConnection,
    jobs: Vec<Value>,
) -> anyhow::Result<Explanation> {
    let mut unknown = Vec::new();
    let policies = if args.policy.set.policies.is_some() {
        args.policy.set.load()?
    } else {
        served_policies(&RealWorld::new(connection.client.clone())).await.unwrap_or_else(|why| {
            unknown.push(format!("the policies of rejob: {why}; the built-in ones are assumed"));
            PolicySet::builtin()
        })
    };
    let version = connection.get("/version").await?.and_then(|version| ServerVersion::of(&version));
    let context =
        Context { server_minor: version.map(|version| version.minor), ..Context::default() };
    let mut rows = Vec::new();
    for mut job in jobs {
        let own = job.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        let namespace = own.unwrap_or_else(|| connection.namespace(&args.namespace));
        put(&mut job, "/metadata/namespace", json!(namespace));
        let stored = match Job::new(&job).name() {
            Some(name) => connection.get(&job_path(&namespace, name)).await?,
            None => None,
        };
        if let Some(stored) = &stored {
            keep_stored(&mut job, stored);
        }
        let answer = dry_run(connection, &namespace, &job, stored.is_some()).await?;
        if answer.code == 429 || answer.code >= 500 {
            let (name, why) = (job_name(&job), answer.message());
            bail!("cannot tell about job {name} in the namespace {namespace}: {}", plain(&why));
        }
        let policy = policy_of(connection, &namespace, &policies, &mut unknown).await?;
        let operation = if stored.is_some() { Operation::Update } else { Operation::Create };
        let decision = policy.map(|policy| match policy {
            Some(policy) => {
                let request = super::request(operation, &namespace, job.clone(), stored.clone());
                super::passed(decide(&request, policy, &context))
            }
            None => Decision::admit(Reason::NotOptedIn),
        });
        rows.push(row(&namespace, &job, stored.as_ref(), &answer, decision));
    }
    let mut told = HashSet::new();
    unknown.retain(|what| told.insert(what.clone()));
    Ok(Explanation { jobs: rows, unknown })
}

/// What the API server says to the manifest, as `kubectl replace` or `kubectl create` would send it.
async fn dry_run(
    connection: &UserConnection,
    namespace: &str,
    job: &Value,
    exists: bool,
) -> anyhow::Result<ApiAnswer> {
    let name = if exists { Job::new(job).name() } else { None };
    let path = name.map_or_else(|| jobs_path(namespace), |name| job_path(namespace, name));
    let path = format!("{path}?dryRun=All&fieldManager=rejob-explain");
    let method = if exists { Method::PUT } else { Method::POST };
    connection.send(ApiRequest::new(method, &path, Some(job))).await
}

/// The policy of a namespace; the outer `None` where it is not known, the inner one where it has none.
async fn policy_of<'p>(
    connection: &UserConnection,
    namespace: &str,
    policies: &'p PolicySet,
    unknown: &mut Vec<String>,
) -> anyhow::Result<Option<Option<&'p Policy>>> {
    let label = match connection.get(&namespace_path(namespace)).await {
        Ok(Some(found)) => opted_in_json(&found).map(str::to_owned),
        Ok(None) => None,
        Err(why) => {
            unknown.push(format!(
                "the policy of the namespace {namespace}, and so the rules: {why:#}"
            ));
            return Ok(None);
        }
    };
    let Some(label) = label else { return Ok(Some(None)) };
    match policies::find(policies, &label, "--policies") {
        Ok(policy) => Ok(Some(Some(policy))),
        Err(why) => {
            unknown.push(format!("the rules of the namespace {namespace}: {why}"));
            Ok(None)
        }
    }
}

/// Gives the manifest what an apply would find in the stored Job and keep: labels, annotations and
/// fields of the spec that no earlier version of the manifest brought, the selector, the generated
/// labels of the template.
fn keep_stored(job: &mut Value, stored: &Value) {
    let before = last_applied(Job::new(stored)).unwrap_or_default();
    let template_labels = "/spec/template/metadata/labels";
    for path in ["/metadata/labels", "/metadata/annotations", "/spec", template_labels] {
        if job.pointer(path).is_some_and(|named| !named.is_object() && !named.is_null()) {
            continue; // The API server refuses it.
        }
        let (mut kept, brought) = (map(stored, path), map(&before, path));
        kept.retain(|key, _| match path {
            "/spec" if key == "template" => false,
            "/spec" if key == "selector" => true,
            _ if path == template_labels => GENERATED_LABELS.contains(&key.as_str()),
            // A manifest does not bring rejob's record, by which rejob knows a PUT of one.
            _ => key != keys::TEMPLATE_HASH && !brought.contains_key(key),
        });
        kept.extend(map(job, path));
        if !kept.is_empty() {
            put(job, path, Value::Object(kept));
        }
    }
}

/// The map at a path, empty where there is none.
fn map(value: &Value, path: &str) -> Map<String, Value> {
    value.pointer(path).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Sets a field, whose parents are made where they do not exist; a parent that is not a map is the API
/// server's to refuse.
fn put(job: &mut Value, path: &str, value: Value) {
    let mut at = job;
    for key in path.split('/').skip(1) {
        if at.is_null() {
            *at = json!({});
        }
        let Value::Object(map) = at else { return };
        at = map.entry(key).or_insert(Value::Null);
    }
    *at = value;
}

fn row(
    namespace: &str,
    job: &Value,
    stored: Option<&Value>,
    answer: &ApiAnswer,
    decision: Option<Decision>,
) -> ExplainedJob {
    let marker = Job::new(&answer.body).annotation(keys::REPLACING);
    let outcome = match stored {
        _ if !answer.is_success() => WouldBe::Refused,
        None => WouldBe::Created,
        Some(_) if marker.is_some() => WouldBe::Replaced,
        Some(stored) if is_same(stored, &answer.body) => WouldBe::Unchanged,
        Some(_) => WouldBe::Updated,
    };
    // The API server has the last word: it knows rights, other admission, and the policy of this moment.
    let decision = decision.filter(|decision| agrees(decision, outcome));
    let because = match (outcome, marker, &decision) {
        (WouldBe::Refused, ..) => answer.message(),
        (_, Some(marker), _) => marker.to_owned(),
        (_, None, Some(decision)) => because(decision),
        (_, None, None) => "The API server accepts it.".to_owned(),
    };
    let warnings = answer.warnings.iter().map(|header| warning(header)).collect();
    ExplainedJob {
        namespace: Some(namespace.to_owned()),
        name: job_name(job).to_owned(),
        outcome,
        rule: decision.map(|decision| decision.reason.label()),
        because,
        warnings,
    }
}

/// Whether the decision made here can be the one that the API server was told.
fn agrees(decision: &Decision, outcome: WouldBe) -> bool {
    match &decision.verdict {
        Verdict::Replace(_) => outcome == WouldBe::Replaced,
        Verdict::Deny(_) => outcome == WouldBe::Refused,
        Verdict::Admit if outcome == WouldBe::Refused => {
            decision.reason.is_left_alone()
                || matches!(
                    decision.reason,
                    Reason::NotOptedIn | Reason::Ignored | Reason::Reported
                )
        }
        Verdict::Admit => outcome != WouldBe::Replaced,
    }
}

/// Whether nothing that people write differs.
fn is_same(stored: &Value, answered: &Value) -> bool {
    ["/spec", "/metadata/labels", "/metadata/annotations"].iter().all(|part| {
        let [mut before, mut after] = [stored, answered].map(|job| map(job, part));
        before.remove(keys::TEMPLATE_HASH);
        after.remove(keys::TEMPLATE_HASH);
        before == after
    })
}

/// The sentence of a refusal, for a table: the API server prints the whole template before it says
/// what is wrong with it.
fn without_the_value(message: &str) -> String {
    match (message.split_once("Invalid value: "), message.rsplit_once(": ")) {
        (Some((before, rest)), Some((_, wrong))) if rest.len() > 200 => {
            format!("{before}… {wrong}")
        }
        _ => message.to_owned(),
    }
}

fn because(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Deny(denial) => denial.message.clone(),
        Verdict::Replace(plan) => plan.described.clone(),
        Verdict::Admit if decision.reason == Reason::NotOptedIn => {
            format!("Its namespace does not opt in: {POLICY_LABEL} is not set.")
        }
        Verdict::Admit => decision.reason.sentence().to_owned(),
    }
}

fn text(explanation: &Explanation) -> String {
    let mut rows =
        vec![["NAMESPACE", "JOB", "WOULD BE", "RULE", "BECAUSE"].map(str::to_owned).to_vec()];
    for job in &explanation.jobs {
        rows.push(vec![
            job.namespace.as_deref().unwrap_or("-").to_owned(),
            job.name.clone(),
            label(job.outcome),
            job.rule.unwrap_or("-").to_owned(),
            without_the_value(&job.because),
        ]);
    }
    let mut text = if explanation.jobs.is_empty() { "no Jobs\n".to_owned() } else { table(&rows) };
    for warning in explanation.jobs.iter().flat_map(|job| &job.warnings) {
        let _ = writeln!(text, "warning: {}", plain(warning));
    }
    for what in &explanation.unknown {
        let _ = writeln!(text, "not known: {}", plain(what));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_without_the_template() {
        let template = format!("{{\"a: b\": \"{}\"}}", "x".repeat(300));
        let because = "Job.batch \"a\" is invalid: spec.template: ";
        let refusal = format!("{because}Invalid value: {template}: field is immutable");
        assert_eq!(without_the_value(&refusal), format!("{because}… field is immutable"));
        assert_eq!(without_the_value("jobs is forbidden: no"), "jobs is forbidden: no");
    }
}
