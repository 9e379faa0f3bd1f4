//! `rejob doctor`: connects, collects, prints.

use std::process::ExitCode;

use super::Output;
use super::connection::{ClusterArg, namespace};
use crate::doctor::{self, RealWorld};

/// The flags of `rejob doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Which cluster to look at.
    #[command(flatten)]
    pub cluster: ClusterArg,
    /// The namespace of the installation; found when it is not given.
    #[arg(short, long, env = "REJOB_NAMESPACE", value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Print the findings as text, or as JSON whose fields docs/doctor.md describes.
    #[arg(short, long, env = "REJOB_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Runs `rejob doctor`: exit code 0 when there is no problem, else 1.
///
/// # Errors
/// When there is no cluster to look at, or it does not answer.
pub async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let connection = args.cluster.expect().await?;
    let server = connection.server();
    let namespace = args.namespace.as_deref();
    let report = match doctor::collect(&RealWorld::new(connection.client), &server, namespace).await
    {
        Ok(facts) => doctor::examine(&facts),
        Err(why) if args.output == Output::Json => doctor::unreachable(&server, &why),
        Err(why) => anyhow::bail!(
            "cannot ask the API server at {server}: {why}; check --kubeconfig and the network"
        ),
    };
    let text = match args.output {
        Output::Text => report.text(),
        Output::Json => super::json_line(&report),
    };
    super::print(text.as_bytes())?;
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
