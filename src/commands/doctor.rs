//! `rejob doctor`.

use std::process::ExitCode;

/// The flags of `rejob doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `rejob doctor`.
///
/// # Errors
/// When it cannot do its work; the message says what to do.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
