//! The command line: clap types only; each subcommand owns its flags.

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

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
    Serve(Box<commands::serve::ServeArgs>),
    /// Decide the Jobs of manifests offline: YAML or JSON in, the same stream out.
    ///
    /// Each Job gets what rejob would give it when it is created: its name with the template hash
    /// (`naming: TemplateHash`, here for every client, since the client itself then knows the
    /// name), the policy's TTL, the recorded hash. Everything else comes out byte for byte; a
    /// document with a changed Job is written anew, in the order of its fields, without the
    /// comments inside it. References to the Job's name in other resources are not changed.
    /// Nothing is written when a document is invalid or a Job is refused.
    ///
    /// YAML is read as kubectl reads it. What kubectl takes and other readers take for something
    /// else is refused, with the advice to quote it: text in brackets that ends in a colon or is a
    /// dash (`[grep, error:]`, `[tar, xf, -]`). Also refused are tabs that indent, `\'` between
    /// double quotes, a comment right behind a quote or bracket, local tags (`!name`) and keys that
    /// are numbers with a fraction. In a document that is written anew, numbers with a fraction or
    /// of more than 64 bits get another spelling of the same value (`1.10` becomes `1.1`), and
    /// `yEs`, which kubectl takes for text, is a truth value.
    ///
    /// As a Helm post-renderer, with Helm 3: `helm upgrade --install web ./web --post-renderer rejob
    /// --post-renderer-args mutate --post-renderer-args --policy=hash-name`. Helm 4 takes
    /// post-renderers as plugins: `helm plugin install examples/post-renderer`, then `helm upgrade
    /// --install web ./web --post-renderer rejob --post-renderer-args --policy=hash-name`.
    ///
    /// As a KRM function, for kustomize, it takes and gives a `ResourceList` (`examples/krm`).
    Mutate(commands::mutate::MutateArgs),
    /// Answer one AdmissionReview, and do nothing: exit code 0 when allowed, 3 when refused.
    ///
    /// A review whose Job would be replaced is answered as it is once the old Job is replaced.
    Review(commands::review::ReviewArgs),
    /// Print the template hash of each Job, as sha256sum prints.
    Hash(commands::hash::HashArgs),
    /// Print completions, man pages, the default policy file or its schema.
    Generate(commands::generate::GenerateArgs),
    /// Check an installation and say what to do.
    Doctor(commands::doctor::DoctorArgs),
}

impl Cli {
    /// The command line and the environment of this process; ends it with a message when it is
    /// wrong. A variable that is set to nothing counts as not set: that is what a Pod or a script
    /// leaves behind that fills in an optional value.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut command = without_empty_variables(Self::command());
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// The command without the variables that are set to nothing, subcommands included.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}
