//! `rejob review`: one AdmissionReview in, the answer out, nothing done.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::decide::{self, Decision, Verdict, decide};
use crate::manifest::Input;
use crate::review::{self, Request};
use crate::telemetry;

use super::policies::PolicyArg;

/// The exit code for a review that is refused.
const DENIED: u8 = 3;

/// The flags of `rejob review`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An AdmissionReview as JSON; standard input when none is given, or for `-`.
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub file: PathBuf,
    /// The policy to act on.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// Say on standard error which rule decided, and what the answer changes.
    #[arg(long)]
    pub explain: bool,
    /// The flags for logs.
    #[command(flatten)]
    pub log: telemetry::Args,
}

/// Runs `rejob review`: exit code 0 when the review is allowed, 3 when it is refused.
///
/// # Errors
/// When the input cannot be read or is no AdmissionReview, or the policy does not exist.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::log_plainly(&args.log)?;
    let policy = args.policy.load()?;
    let input = Input::read(&args.file)?;
    let request = review::parse(input.text.as_bytes()).with_context(|| input.name.clone())?;
    let decision = decide(&request, &policy, &decide::Context::default());
    let mut answer = review::answer(&request.uid, &decision);
    answer.push(b'\n');
    super::print(&answer)?;
    if args.explain {
        // Standard error may be closed; the answer is out.
        let text = explanation(&request, &decision, &args.policy.policy);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
    Ok(if decision.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

/// Why the answer is what it is, for people.
fn explanation(request: &Request, decision: &Decision, policy: &str) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<9} {value}");
    };
    let subject = format!(
        "{} of {} {}/{} by {}",
        request.operation.label(),
        if request.is_job { "job" } else { "another kind" },
        request.namespace,
        request.name,
        request.user.username,
    );
    line("request:", &subject);
    line("policy:", policy);
    match &decision.verdict {
        Verdict::Admit => line("answer:", "allowed"),
        Verdict::Deny(denial) => match denial.retry_after {
            Some(seconds) => line("answer:", &format!("refused, try again in {seconds} s")),
            None => line("answer:", "refused"),
        },
        Verdict::Replace(_) => line("answer:", "allowed, once the old job is replaced"),
    }
    line("rule:", &format!("{} ({})", decision.reason.rule(), decision.reason.label()));
    line("because:", decision.reason.sentence());
    if let Verdict::Deny(denial) = &decision.verdict {
        line("message:", &denial.message);
    }
    for warning in &decision.warnings {
        line("warning:", warning);
    }
    if decision.is_allowed() {
        for operation in decision.patch.operations() {
            line("patch:", &serde_json::to_string(operation).unwrap_or_default());
        }
        if decision.patch.is_empty() {
            line("patch:", "none");
        }
    }
    text
}
