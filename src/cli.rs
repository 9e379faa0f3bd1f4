//! The command line: clap types only; each subcommand owns its flags.

use clap::{Parser, Subcommand};

use crate::commands;

/// Redeploy Kubernetes Jobs the way you redeploy Deployments.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the review is refused. Errors are one sentence on
/// standard error. Every flag can also be set by its environment variable.
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
    Serve(Box<commands::serve::Args>),
    /// Decide the Jobs of manifests offline: YAML or JSON in, the same stream out.
    ///
    /// Each Job gets what rejob would give it when it is created: its name with the template hash
    /// (`naming: TemplateHash`, here for every client, since the client itself then knows the
    /// name), the policy's TTL, the recorded hash. Everything else comes out byte for byte; a
    /// document with a changed Job is written anew, in the order of its fields, without the
    /// comments inside it. References to the Job's name in other resources are not changed.
    /// Nothing is written when a document is invalid or a Job is refused.
    ///
    /// As a Helm post-renderer, with Helm 3: `helm upgrade --install web ./web --post-renderer rejob
    /// --post-renderer-args mutate --post-renderer-args --policy=hash-name`. Helm 4 takes
    /// post-renderers as plugins: `helm plugin install examples/post-renderer`, then `helm upgrade
    /// --install web ./web --post-renderer rejob --post-renderer-args --policy=hash-name`.
    ///
    /// As a KRM function, for kustomize, it takes and gives a `ResourceList` (`examples/krm`).
    Mutate(commands::mutate::Args),
    /// Answer one AdmissionReview, and do nothing: exit code 0 when allowed, 3 when refused.
    ///
    /// A review whose Job would be replaced is answered as it is once the old Job is replaced.
    Review(commands::review::Args),
    /// Print the template hash of each Job, as sha256sum prints.
    Hash(commands::hash::Args),
    /// Print completions, man pages, the default policy file or its schema.
    Generate(commands::generate::Args),
    /// Check an installation and say what to do.
    Doctor(commands::doctor::Args),
}
