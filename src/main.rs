//! The `rejob` program: parse, crypto provider, dispatch, exit code.

use std::process::ExitCode;

use clap::CommandFactory;
use rejob::cli::{Cli, Command};
use rejob::commands::{
    self, block_on, doctor, explain, generate, hash, mutate, report, rerun, review, serve, status,
};

/// A review is hundreds of small strings, taken and given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    // One provider for the server and for the Kubernetes client; an error only means it is installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Mutate(args) => mutate::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Hash(args) => hash::run(&args),
        Command::Generate(args) => generate::run(args, Cli::command()),
        Command::Doctor(args) => block_on(doctor::run(&args)),
        Command::Status(args) => block_on(status::run(&args)),
        Command::Report(args) => block_on(report::run(&args)),
        Command::Rerun(args) => block_on(rerun::run(&args)),
        Command::Explain(args) => block_on(explain::run(&args)),
    };
    result.unwrap_or_else(|error| commands::failed(&error))
}
