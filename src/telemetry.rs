//! Logs: one line an event on standard error, as text or JSON; the server's with UTC timestamps.
//!
//! Standard output stays free for what a person or a script reads. The level may name modules, so
//! that one can be turned up in a running installation (`info,rejob::server=debug`).

use std::io::{BufWriter, IsTerminal};

use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags for logs, the same in every subcommand.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct LogArgs {
    /// Write logs as text or as one JSON object a line.
    #[arg(long, env = "REJOB_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Lowest level to log: error, warn, info, debug or trace, or a filter such as
    /// `info,rejob::server=debug`.
    #[arg(
        long, env = "REJOB_LOG_LEVEL", value_name = "LEVEL", default_value = "info",
        value_parser = level
    )]
    pub log_level: Targets,
}

/// The levels, as `tracing` names them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The crates whose modules can be turned up or down: those of this program that log.
const CRATES: [&str; 14] = [
    "rejob",
    "axum",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "kube",
    "kube_client",
    "kube_core",
    "rustls",
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "tower",
];

/// Reads levels and `module=level`, separated by commas.
///
/// `tracing` takes any single word for a module to be logged in full, and then says nothing of all
/// others: a misspelt level would silence the program.
fn level(text: &str) -> Result<Targets, String> {
    let known = |level: &str| LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    for part in text.split(',') {
        match part.split_once('=') {
            None if known(part) => {}
            None => {
                return Err(format!(
                    "{part:?} is not a level; there are error, warn, info, debug, trace and off, \
                     and module=level, as in info,rejob::server=debug"
                ));
            }
            Some((module, _)) if !CRATES.contains(&module.split("::").next().unwrap_or(module)) => {
                return Err(format!(
                    "no module {module:?} logs here; modules begin with one of {}",
                    CRATES.join(", ")
                ));
            }
            Some((_, level)) if !known(level) => {
                return Err(format!(
                    "{level:?} in {part:?} is not a level; there are error, warn, info, debug, \
                     trace and off"
                ));
            }
            Some(_) => {}
        }
    }
    text.parse::<Targets>().map_err(|error| error.to_string())
}

/// Another subscriber is installed in this process.
#[derive(Debug, thiserror::Error)]
#[error("logging was set up twice in this process: {0}")]
pub struct SetUpTwice(#[from] SetGlobalDefaultError);

/// How many lines of a server wait to be written before the next one waits, too.
const LINES: usize = 1024;

/// Sends the events of an offline command to standard error: as text without time and module, which
/// say nothing there, or as the server's JSON.
///
/// # Errors
/// When logging was set up before.
pub fn init(args: &LogArgs) -> Result<(), SetUpTwice> {
    Ok(set_global_default(subscriber(args, true, is_colored(args), std::io::stderr))?)
}

/// Sends the events of a server to standard error: a thread of its own writes the lines, and lines
/// that come together are one write. A request waits for standard error only while [`LINES`] lines
/// are waiting. Dropping the guard writes those that wait, for up to a second.
///
/// # Errors
/// As [`init`].
pub fn init_server(args: &LogArgs) -> Result<WorkerGuard, SetUpTwice> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(LINES)
        .thread_name("log")
        .finish(BufWriter::new(std::io::stderr()));
    set_global_default(subscriber(args, false, is_colored(args), writer))?;
    Ok(guard)
}

fn is_colored(args: &LogArgs) -> bool {
    args.log_format == LogFormat::Text && std::io::stderr().is_terminal()
}

/// What writes the lines; `plain` text has neither time nor module.
fn subscriber<W>(
    args: &LogArgs,
    plain: bool,
    color: bool,
    writer: W,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filtered = tracing_subscriber::registry().with(args.log_level.clone());
    let lines = fmt::layer().with_writer(writer).with_ansi(color);
    match args.log_format {
        LogFormat::Text if plain => {
            Box::new(filtered.with(lines.with_target(false).without_time()))
        }
        LogFormat::Text => Box::new(filtered.with(lines)),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            Box::new(filtered.with(lines.with_current_span(false).with_span_list(false)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let args = LogArgs { log_format: format, log_level: level.parse().unwrap() };
        let writer = lines.clone();
        let subscriber = subscriber(&args, false, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_flat_and_in_utc() {
        let text = logged(LogFormat::Json, "info", || tracing::info!(uid = "u1", "reviewed"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "reviewed");
        assert_eq!(line["uid"], "u1");
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }

    #[test]
    fn text_lines_are_in_utc_and_without_color_when_piped() {
        let text = logged(LogFormat::Text, "info", || tracing::info!(uid = "u1", "reviewed"));
        assert!(text.split(' ').next().unwrap().ends_with('Z'), "{text}");
        assert!(text.contains("reviewed uid=\"u1\"") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_level_takes_filter_syntax() {
        let level = format!("warn,{}=debug", module_path!());
        let text = logged(LogFormat::Text, &level, || {
            tracing::debug!("here");
            tracing::info!(target: "elsewhere", "not here");
        });
        assert!(text.contains("here") && !text.contains("not here"), "{text}");
    }

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        logs: LogArgs,
    }

    fn flag(value: &str) -> Result<Targets, String> {
        let flag = format!("--log-level={value}");
        let flags = <Flags as clap::Parser>::try_parse_from(["rejob", &flag]);
        flags.map(|flags| flags.logs.log_level).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_level_says_what_is_allowed() {
        let message = flag("rejob=loud").unwrap_err();
        assert!(message.contains("rejob=loud") && message.contains("--log-level"), "{message}");
    }

    #[test]
    fn a_level_is_one_of_the_levels_or_of_a_module_that_there_is() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,rejob::server=debug",
            "rejob=trace",
            "kube_client::client=debug,info",
        ] {
            assert_eq!(flag(good), Ok(good.parse().unwrap()));
        }
        for bad in ["verbose", "", "rejob", "info,", "infos,rejob=debug", "1", "rejob=loud"] {
            let message = flag(bad).unwrap_err();
            assert!(message.contains("error, warn, info, debug, trace"), "{bad}: {message}");
        }
        let message = flag("info,rejobs::server=debug").unwrap_err();
        assert!(message.contains("begin with one of rejob, axum"), "{message}");
    }
}
