//! One shell per subcommand: read, call the core, write.
//!
//! What they share is here and in two places more: [`crate::manifest::Input`] opens what a command
//! reads, [`policies`] finds the policy. Standard output carries only what a script reads; all
//! else goes to standard error.

pub mod doctor;
pub mod generate;
pub mod hash;
pub mod mutate;
pub mod policies;
pub mod review;
pub mod serve;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::Value;

use crate::error::with_causes;
use crate::telemetry;

/// The exit code for a command line that asks for something that does not exist; clap's own.
const USAGE: u8 = 2;

/// An error in how the program was called: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Says on standard error what went wrong, and gives the exit code.
#[must_use]
pub fn report(error: &anyhow::Error) -> ExitCode {
    let message = with_causes(error.as_ref());
    // Standard error may be closed; then nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "rejob: {message}");
    if error.is::<UsageError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Writes to standard output. A reader that has seen enough (`rejob … | head`) is no error.
///
/// # Errors
/// When standard output takes nothing, on a full disk for instance.
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Sends the warnings of an offline command to standard error: as text without time and module,
/// which say nothing there, or as the server's JSON.
fn log_plainly(args: &telemetry::LogArgs) -> anyhow::Result<()> {
    if args.log_format == telemetry::LogFormat::Json {
        telemetry::init(args)?;
        return Ok(());
    }
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log_level).map_err(|error| {
        UsageError(format!(
            "the log level {:?} is not understood ({error}): use error, warn, info, debug or trace",
            args.log_level
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    Ok(())
}

/// The name of a Job for people: its own, or what the API server makes it from.
fn job_name(job: &Value) -> &str {
    let text = |field| text_at(job, field).filter(|name| !name.is_empty());
    text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or("without a name")
}

/// The text at a pointer.
fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
