//! The command line: clap types only; each subcommand owns its flags.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;

/// Redeploy Kubernetes Jobs the way you redeploy Deployments.
///
/// As `kubectl-rejob` on PATH it is a kubectl plugin: `kubectl rejob status`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (review, explain). Errors are one sentence on standard
/// error. Most flags can also be set by the environment variable named beside them.
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
    /// Change the Jobs in manifests as rejob would, without a cluster: YAML or JSON in, the same stream out.
    ///
    /// Each Job gets what rejob would give it when it is created: a name with the template hash
    /// (under `naming: TemplateHash`; here for every client, because the client then knows the new
    /// name), the policy's TTL, and the annotation with the hash. Everything else comes out byte for
    /// byte. A document with a changed Job is rewritten: its fields keep their order, its comments
    /// are lost. References to the Job's name in other resources are not changed. If a document is
    /// invalid or a Job is refused, nothing is written.
    ///
    /// As a Helm post-renderer, with Helm 3: `helm upgrade --install web ./web --post-renderer rejob
    /// --post-renderer-args mutate --post-renderer-args --policy=hash-name`. Helm 4 takes
    /// post-renderers as plugins: `helm plugin install examples/post-renderer`, then `helm upgrade
    /// --install web ./web --post-renderer rejob --post-renderer-args --policy=hash-name`.
    ///
    /// As a KRM function, for kustomize, it takes and gives a `ResourceList` (`examples/krm`).
    ///
    /// YAML is read as kubectl reads it. What other readers read differently is refused, with the
    /// advice to quote it: text in brackets that ends in a colon or is a dash (`[grep, error:]`,
    /// `[tar, xf, -]`), and truth values in a mix of cases (`yEs`). Tabs that indent, `\'` between
    /// double quotes, a comment right behind a quote or bracket, local tags (`!name`) and keys that
    /// are numbers with a fraction are refused too. In a document that is rewritten, numbers with a
    /// fraction or of more than 64 bits get another spelling of the same value (`1.10` becomes `1.1`).
    Mutate(commands::mutate::MutateArgs),
    /// Answer one AdmissionReview and change nothing: exit code 0 when allowed, 3 when refused.
    ///
    /// A review that would replace a Job gets the answer that follows a successful replacement.
    Review(commands::review::ReviewArgs),
    /// Print the template hash of each Job, in the format of sha256sum.
    Hash(commands::hash::HashArgs),
    /// Print completions, man pages, the default policy file or its schema.
    Generate(commands::generate::GenerateArgs),
    /// Check an installation and say what to do.
    Doctor(commands::doctor::DoctorArgs),
    /// Show which namespaces opt in, and what became of their Jobs.
    ///
    /// A Job's last replacement is read from its Event, which Kubernetes keeps for an hour by default.
    /// Jobs that a controller owns, such as a CronJob, are left out: rejob leaves them alone.
    Status(commands::status::StatusArgs),
    /// Sum up what `onChange: Report` has reported: which Jobs, by whom, and what Replace would have done.
    ///
    /// Without a file the cluster's Events are read. There is one Event for each change, which is kept
    /// for an hour by default, and none for a dry run. An audit log has every request. Lines about
    /// anything else are skipped. Lines that are not JSON, as in a truncated log, are skipped and counted.
    Report(commands::report::ReportArgs),
    /// Run a Job again without a change in it.
    ///
    /// Sets the annotation `rejob.dev/rerun`, so that rejob replaces the Job. If the old Job is
    /// still running, `whileRunning` of the policy decides. Under Wait the request is sent again up to 10 times,
    /// as kubectl does. If rejob would not run the Job again, nothing is written.
    Rerun(commands::rerun::RerunArgs),
    /// Predict what a deploy of these manifests would do to their Jobs, and name the rule.
    ///
    /// Each Job is sent to the API server as a dry run, so that rejob, other admission and your rights
    /// all count. Without a cluster each Job is treated as a new one, and the unknown facts are
    /// listed. The exit code is 3 if a Job would be refused.
    Explain(commands::explain::ExplainArgs),
}

impl Cli {
    /// The command line and the environment of this process; ends it with a message when it is
    /// wrong. A variable that is set to nothing counts as not set: that is what a Pod or a script
    /// leaves behind that fills in an optional value.
    pub fn of_this_process() -> Self {
        let mut command = without_empty_variables(Self::command());
        if is_plugin(std::env::args_os().next()) {
            command = command.bin_name(PLUGIN);
        }
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// How people call the program that kubectl finds as `kubectl-rejob`.
const PLUGIN: &str = "kubectl rejob";

/// Whether the program was started under the name by which kubectl finds it.
fn is_plugin(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_stem() == Some("kubectl-rejob".as_ref()))
}

/// The command without the variables that are set to nothing, subcommands included.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}
