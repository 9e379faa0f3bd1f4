//! `rejob review`: one AdmissionReview in, the answer out, nothing done; or a server's answer in, its
//! words out.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::answer::answer;
use crate::decide::{self, Decision, Verdict, decide};
use crate::kubernetes::ServerVersion;
use crate::manifest::Input;
use crate::reason::Reason;
use crate::review::{self, Request};
use crate::telemetry;

use super::DENIED;
use super::policies::PolicyArg;

/// The flags of `rejob review`.
#[derive(Debug, clap::Args)]
pub struct ReviewArgs {
    /// An AdmissionReview as JSON; standard input when none is given, or for `-`. If it
    /// contains a server's answer, that answer is explained.
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub file: PathBuf,
    /// The policy to act on.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// The version of the API server, such as `1.36`: later ones accept more changes by themselves.
    #[arg(
        long, env = "REJOB_KUBERNETES_VERSION", value_name = "VERSION",
        value_parser = kubernetes_version
    )]
    pub kubernetes_version: Option<ServerVersion>,
    /// Say on standard error which rule decided, what the answer changes, and which facts of a
    /// cluster were not known.
    #[arg(long)]
    pub explain: bool,
    /// The flags for logs.
    #[command(flatten)]
    pub log: telemetry::LogArgs,
}

fn kubernetes_version(text: &str) -> Result<ServerVersion, String> {
    ServerVersion::parse(text).ok_or_else(|| "give it as 1.36 or v1.36.3".to_owned())
}

/// Runs `rejob review`: exit code 0 when the review is allowed, 3 when it is refused.
///
/// # Errors
/// When the input cannot be read or is not an AdmissionReview, or the policy does not exist.
pub fn run(args: &ReviewArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log)?;
    let policy = args.policy.load()?;
    let input = Input::read(&args.file)?;
    if let Some((text, is_allowed)) = answered(&input.text) {
        super::print(text.as_bytes())?;
        return Ok(exit_code(is_allowed));
    }
    let request = review::parse(input.text.as_bytes()).with_context(|| input.name.clone())?;
    let server_minor = args.kubernetes_version.map(|version| version.minor);
    let context = decide::Context { server_minor, ..decide::Context::default() };
    let decision = super::passed(decide(&request, &policy, &context));
    let mut answer = answer(&request.uid, &decision);
    answer.push(b'\n');
    super::print(&answer)?;
    if args.explain {
        // Standard error may be closed; the answer is out.
        let text = explanation(&request, &decision, &context, &args.policy.policy);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
    Ok(exit_code(decision.is_allowed()))
}

fn exit_code(is_allowed: bool) -> ExitCode {
    if is_allowed { ExitCode::SUCCESS } else { ExitCode::from(DENIED) }
}

/// The answer of a server in words, and whether it allows the request; `None` where the review is
/// none.
fn answered(text: &str) -> Option<(String, bool)> {
    let review: Value = serde_json::from_str(text).ok()?;
    let response = review.get("response").filter(|_| review.get("request").is_none())?;
    let at = |pointer| response.pointer(pointer).and_then(Value::as_str);
    let is_allowed = response.get("allowed").and_then(Value::as_bool) == Some(true);
    let mut text = String::new();
    line(&mut text, "answer:", if is_allowed { "allowed" } else { "refused" });
    if let Some(reason) = at("/auditAnnotations/reason").and_then(Reason::from_label) {
        because(&mut text, reason);
    }
    if let Some(message) = at("/status/message") {
        line(&mut text, "message:", message);
    }
    for warning in response.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        line(&mut text, "warning:", warning.as_str().unwrap_or_default());
    }
    let patch = at("/patch").and_then(|patch| STANDARD.decode(patch).ok());
    let patch: Option<Vec<Value>> = patch.and_then(|patch| serde_json::from_slice(&patch).ok());
    for operation in patch.into_iter().flatten() {
        line(&mut text, "patch:", &operation.to_string());
    }
    Some((text, is_allowed))
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key:<9} {value}");
}

fn because(text: &mut String, reason: Reason) {
    line(text, "rule:", &format!("{} ({})", reason.step(), reason.label()));
    line(text, "because:", reason.sentence());
}

/// Why the answer is what it is, for people.
fn explanation(
    request: &Request,
    decision: &Decision,
    context: &decide::Context<'_>,
    policy: &str,
) -> String {
    let mut text = String::new();
    let subject = format!(
        "{} of {} {}/{} by {}",
        request.operation.label(),
        if request.is_job { "job" } else { "another kind" },
        request.namespace,
        request.name,
        request.user.username,
    );
    line(&mut text, "request:", &subject);
    line(&mut text, "policy:", policy);
    match &decision.verdict {
        Verdict::Admit => line(&mut text, "answer:", "allowed"),
        Verdict::Deny(denial) => match denial.retry_after {
            Some(seconds) => {
                line(&mut text, "answer:", &format!("refused, try again in {seconds} s"));
            }
            None => line(&mut text, "answer:", "refused"),
        },
        Verdict::Replace(_) => line(&mut text, "answer:", "allowed, once the old job is replaced"),
    }
    because(&mut text, decision.reason);
    if let Verdict::Deny(denial) = &decision.verdict {
        line(&mut text, "message:", &denial.message);
    }
    for warning in &decision.warnings {
        line(&mut text, "warning:", warning);
    }
    if decision.is_allowed() {
        for operation in decision.patch.operations() {
            line(&mut text, "patch:", &serde_json::to_string(operation).unwrap_or_default());
        }
        if decision.patch.is_empty() {
            line(&mut text, "patch:", "none");
        }
    }
    for fact in unknown(context) {
        line(&mut text, "unknown:", fact);
    }
    text
}

/// The facts that a decision can depend on, and that this one was made without.
fn unknown(context: &decide::Context<'_>) -> Vec<&'static str> {
    // Each field by its name, so that a further one is not forgotten here.
    let decide::Context {
        own_user,
        own_namespace,
        server_minor,
        was_told_to_wait: _,
        given_up: _,
        applied_just_now: _,
        creation: _,
        pods: _,
    } = context;
    let facts = [
        (own_user.is_none(), "the user that rejob's own requests carry"),
        (own_namespace.is_none(), "the namespace that rejob runs in"),
        (server_minor.is_none(), "the version of the API server (--kubernetes-version)"),
        (true, "what the API server would store as the new job"),
        (true, "the Pods of the stored job"),
        (true, "what a replica has seen of this job and its requests a short time ago"),
    ];
    facts.into_iter().filter_map(|(lacks, fact)| lacks.then_some(fact)).collect()
}
