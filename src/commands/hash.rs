//! `rejob hash`: the template hash of each Job, as `sha256sum` prints.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::job::TemplateHash;
use crate::telemetry;

/// The flags of `rejob hash`.
#[derive(Debug, clap::Args)]
pub struct HashArgs {
    /// Manifests, YAML or JSON; standard input when there is none, or for `-`.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The flags for logs.
    #[command(flatten)]
    pub log: telemetry::LogArgs,
}

/// Runs `rejob hash`.
///
/// # Errors
/// When an input cannot be read; then nothing is written.
pub fn run(args: &HashArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log)?;
    let mut lines = String::new();
    for job in super::jobs(&args.files)? {
        writeln!(lines, "{}  {}", TemplateHash::of(&job), super::job_name(&job))?;
    }
    super::print(lines.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
