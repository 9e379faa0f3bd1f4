//! The command line: clap types only; each subcommand owns its flags.

use clap::{Parser, Subcommand};

use crate::commands;

/// Redeploy Kubernetes Jobs the way you redeploy Deployments.
#[derive(Debug, Parser)]
#[command(name = "rejob", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the admission webhook.
    Serve(commands::serve::Args),
    /// Make the CREATE decision offline on manifests.
    Mutate(commands::mutate::Args),
    /// Answer one AdmissionReview.
    Review(commands::review::Args),
    /// Print the template hash of Jobs.
    Hash(commands::hash::Args),
    /// Print completions, man pages, the default policy file or its schema.
    Generate(commands::generate::Args),
    /// Check an installation and say what to do.
    Doctor(commands::doctor::Args),
}
