//! `rejob generate`: what belongs to an installation of the program, made from the program itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::policy_file;

/// The default policy file, with comments.
const CONFIG: &str = include_str!("generate/policies.yaml");

/// The flags of `rejob generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What to print.
    #[command(subcommand)]
    pub what: What,
}

/// What can be printed.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Shell completions: `rejob generate completions bash > /etc/bash_completion.d/rejob`.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Man pages: into a directory, or all of them to standard output.
    Man {
        /// The directory, which is made where it does not exist.
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// The default policy file, with comments.
    Config,
    /// The JSON schema of the policy file.
    PolicySchema,
}

/// Runs `rejob generate`.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: GenerateArgs, mut cli: clap::Command) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli, "rejob", &mut script);
            super::print(&script)?;
        }
        What::Man { directory: Some(directory) } => {
            let failed = || format!("cannot write man pages to {}", directory.display());
            std::fs::create_dir_all(&directory).with_context(failed)?;
            clap_mangen::generate_to(cli, &directory).with_context(failed)?;
        }
        What::Man { directory: None } => {
            let mut command = cli.disable_help_subcommand(true);
            command.build();
            let mut pages = Vec::new();
            render(&command, &mut pages)?;
            super::print(&pages)?;
        }
        What::Config => super::print(CONFIG.as_bytes())?,
        What::PolicySchema => {
            super::print(format!("{:#}\n", policy_file::schema()).as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn render(command: &clap::Command, pages: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(pages)?;
    command.get_subcommands().try_for_each(|command| render(command, pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySet;

    #[test]
    fn the_default_file_reads_back_as_the_built_in_policies() {
        assert_eq!(
            crate::policy_file::parse(CONFIG, "policies.yaml").unwrap(),
            PolicySet::builtin()
        );
    }
}
