//! Logs: one line an event on standard error, as text or JSON, with UTC timestamps.
//!
//! Standard output stays free for what a person or a script reads. The level takes the syntax of
//! `tracing`'s filter, so that one module can be turned up in a running installation
//! (`info,rejob::server=debug`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
pub struct Args {
    /// Write logs as text or as one JSON object a line.
    #[arg(long, env = "REJOB_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Least level to log: error, warn, info, debug or trace, or a filter such as
    /// `info,rejob::server=debug`.
    #[arg(long, env = "REJOB_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is neither a level nor a filter.
    #[error(
        "the log level {level:?} is not understood ({source}); use error, warn, info, debug, \
         trace or a filter such as info,rejob::server=debug with --log-level"
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber is installed in this process.
    #[error("logging was set up twice in this process: {0}")]
    Twice(tracing::subscriber::SetGlobalDefaultError),
}

/// Sends the events of this process to standard error.
///
/// # Errors
/// When the level is not understood, or logging was set up before.
pub fn init(args: &Args) -> Result<(), TelemetryError> {
    let color = args.log_format == LogFormat::Text && std::io::stderr().is_terminal();
    let subscriber = subscriber(args, color, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Twice)
}

/// The subscriber behind [`init`], with the writer as a parameter.
fn subscriber<W>(
    args: &Args,
    color: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&args.log_level)
        .map_err(|source| TelemetryError::Level { level: args.log_level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match args.log_format {
        LogFormat::Text => Box::new(builder.with_ansi(color).finish()),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    })
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
        let args = Args { log_format: format, log_level: level.to_owned() };
        let writer = lines.clone();
        let subscriber = subscriber(&args, false, move || writer.clone()).unwrap();
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

    #[test]
    fn a_wrong_level_says_what_is_allowed() {
        let args = Args { log_format: LogFormat::Text, log_level: "rejob=loud".to_owned() };
        let message = subscriber(&args, false, std::io::sink).err().unwrap().to_string();
        assert!(message.contains("rejob=loud") && message.contains("--log-level"), "{message}");
    }
}
