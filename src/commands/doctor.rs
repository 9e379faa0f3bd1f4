//! `rejob doctor`: connects, collects, prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use kube::Config;
use kube::config::KubeConfigOptions;

use crate::doctor::probe::RealWorld;
use crate::doctor::{self, Report};
use crate::kubernetes::{self, names};

/// The flags of `rejob doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// How to reach the cluster; without it the Pod's service account, and without that the usual
    /// KUBECONFIG or ~/.kube/config.
    #[arg(long, env = "REJOB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the installation; found when it is not given.
    #[arg(long, env = "REJOB_NAMESPACE", value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Print the findings as text, or as JSON whose fields docs/doctor.md describes.
    #[arg(long, env = "REJOB_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A namespace's name, which becomes part of paths.
fn namespace(name: &str) -> Result<String, String> {
    if names::is_label(name) {
        Ok(name.to_owned())
    } else {
        Err("a namespace's name is at most 63 lower-case letters, digits and -, beginning and ending \
             with a letter or digit"
            .to_owned())
    }
}

/// Runs `rejob doctor`: exit code 0 when there is no problem, else 1.
///
/// # Errors
/// When there is no cluster to look at, or it does not answer.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a thread; is the limit of processes reached?")?
        .block_on(look(args))
}

async fn look(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = config(args.kubeconfig.as_deref()).await?;
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/');
    let world = RealWorld::new(config)?;
    let report = match doctor::collect(&world, server, args.namespace.as_deref()).await {
        Ok(facts) => doctor::examine(&facts),
        Err(why) if args.output == Output::Json => doctor::unreachable(server, &why),
        Err(why) => anyhow::bail!(
            "cannot ask the API server at {server}: {why}; check --kubeconfig and the network"
        ),
    };
    print(&report, args.output)?;
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    super::print(text.as_bytes())
}

async fn config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    if let Some(config) = kubernetes::config(kubeconfig).await? {
        return Ok(config);
    }
    Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .context("no cluster to look at: give --kubeconfig, or set KUBECONFIG")
}
