//! `rejob mutate`: the CREATE decision on manifests, in a pipe.
//!
//! It is a Helm post-renderer (standard input to standard output) and a KRM function
//! ([`krm`]). Everything is read and decided before anything is written, so that
//! the output is never half of a stream. What no decision changes comes out byte for byte.

mod check;
mod krm;
mod names;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;

use crate::decide::{Verdict, create_offline};
use crate::manifest::{Document, Input, Node, kinds};
use crate::policy::{Policy, PolicySet};
use crate::reason::Reason;
use crate::telemetry;

use super::policies::{self, PolicyArg};
use names::Names;

/// The flags of `rejob mutate`.
#[derive(Debug, clap::Args)]
pub struct MutateArgs {
    /// Manifests, YAML or JSON; standard input when there is none, or for `-`.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The policy to act on.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// The flags for logs.
    #[command(flatten)]
    pub log: telemetry::LogArgs,
}

/// Runs `rejob mutate`.
///
/// # Errors
/// When an input cannot be read, the policy does not exist, or a Job is refused; then nothing is
/// written.
pub fn run(args: &MutateArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log)?;
    let policies = args.policy.set.load()?;
    let policy = policies::find(&policies, &args.policy.policy, "--policy")?;
    let inputs = Input::read_all(&args.files)?;
    let mut names = Names::default();
    let mut output = String::with_capacity(inputs.iter().map(|input| input.text.len() + 4).sum());
    for input in &inputs {
        begin(&mut output, input);
        for document in input.documents() {
            match rewritten(&document, &policies, policy, &mut names)? {
                Some(text) => output.push_str(&text),
                None => output.push_str(document.text()),
            }
        }
    }
    super::print(output.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Separates what follows from the files before it, if there are any.
fn begin(output: &mut String, input: &Input) {
    if output.is_empty() {
        if input.bom {
            output.push_str(crate::manifest::BOM);
        }
        return;
    }
    if !output.ends_with('\n') {
        output.push('\n');
    }
    let blank = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    match input.text.lines().find(|line| !blank(line)) {
        Some(line) if line.starts_with("---") => {}
        // Directives may only follow the end of a document.
        Some(line) if line.starts_with('%') => output.push_str("...\n"),
        _ => output.push_str("---\n"),
    }
}

/// The document with its Jobs decided; `None` when that changes nothing.
fn rewritten(
    document: &Document<'_>,
    policies: &PolicySet,
    policy: &Policy,
    names: &mut Names,
) -> anyhow::Result<Option<String>> {
    let Some(mut root) = document.read()? else { return Ok(None) };
    let refuse = |message: String| anyhow!(document.refuse(message));
    kinds::refuse_bare_list(&mut root).map_err(refuse)?;
    let is_function = kinds::is_resource_list(&root);
    let configured = if is_function { krm::policy(&root, policies, policy) } else { Ok(None) };
    let configured = configured.map_err(refuse)?;
    let policy = configured.as_ref().unwrap_or(policy);
    let mut changed = false;
    let mut results = Vec::new();
    kinds::for_each_job(&mut root, &mut |job| {
        let (job_changed, warnings) = decide(job, policy, names).map_err(refuse)?;
        changed |= job_changed;
        for warning in warnings {
            tracing::warn!("{}: {warning}", document.file());
            if is_function {
                results.push(krm::result(job, &warning));
            }
        }
        anyhow::Ok(())
    })?;
    if !results.is_empty() {
        changed = true;
        krm::append(&mut root, &results);
    }
    Ok(changed.then(|| document.write(&root)).transpose()?)
}

/// Decides one Job; says whether it changed, and what to warn of.
fn decide(
    job: &mut Node,
    policy: &Policy,
    names: &mut Names,
) -> Result<(bool, Vec<String>), String> {
    let mut value = job.to_value();
    if !value.is_object() {
        return Err("an item of a JobList is not a map".to_owned());
    }
    check::annotations(&value)?;
    let decision = create_offline(&value, policy);
    check::name(&value, policy, decision.reason)?;
    if decision.reason == Reason::PatchFailed {
        return Err(format!(
            "job {} has a metadata or spec that is not a map: correct the manifest",
            super::job_name(&value)
        ));
    }
    match decision.verdict {
        Verdict::Deny(denial) => Err(denial.message),
        Verdict::Admit | Verdict::Replace(_) => {
            let before = value.clone();
            decision.patch.apply(&mut value).map_err(|error| error.to_string())?;
            let changed = value != before;
            if changed {
                job.update(&value);
            }
            let mut warnings = decision.warnings;
            warnings.extend(names.take(&before, &value));
            Ok((changed, warnings))
        }
    }
}
