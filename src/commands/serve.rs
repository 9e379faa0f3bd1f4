//! `rejob serve`.

use std::process::ExitCode;

/// The flags of `rejob serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `rejob serve`.
///
/// # Errors
/// When it cannot do its work; the message says what to do.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
