//! What the server takes on: flags with defaults that fit a small Pod.

use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args as _, FromArgMatches as _};

use crate::duration::{parse, parse_positive};

/// The bounds of the webhook's port.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Reviews worked on at once; more are answered with 503 and Retry-After.
    #[arg(
        long, env = "REJOB_MAX_CONCURRENT_REVIEWS", value_name = "N", default_value_t = 256,
        value_parser = positive
    )]
    pub max_concurrent_reviews: usize,
    /// Connections open at once; more are answered with 503 and Retry-After.
    #[arg(
        long, env = "REJOB_MAX_CONNECTIONS", value_name = "N", default_value_t = 1024,
        value_parser = positive
    )]
    pub max_connections: usize,
    /// Largest body of a request, in bytes. A review can exceed 6 MiB.
    #[arg(
        long, env = "REJOB_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 8 * 1024 * 1024,
        value_parser = positive
    )]
    pub max_body_bytes: usize,
    /// Time for a TLS handshake.
    #[arg(
        long, env = "REJOB_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "10s",
        value_parser = positive_time
    )]
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request to the end of its headers, and from there to the end of its
    /// body.
    #[arg(
        long, env = "REJOB_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s",
        value_parser = positive_time
    )]
    pub header_timeout: Duration,
    /// Time a connection may be idle. The API server keeps its connections idle for 90 seconds
    /// and does not repeat a POST on a connection that was closed under it.
    #[arg(
        long, env = "REJOB_IDLE_TIMEOUT", value_name = "DURATION", default_value = "3m",
        value_parser = positive_time
    )]
    pub idle_timeout: Duration,
    /// On SIGTERM: time in which new connections are still accepted, until everybody knows that
    /// the server is not ready.
    #[arg(
        long, env = "REJOB_DRAIN_GRACE", value_name = "DURATION", default_value = "2s",
        value_parser = time
    )]
    pub drain_grace: Duration,
    /// On SIGTERM, after the grace: time in which requests in flight may finish.
    #[arg(
        long, env = "REJOB_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "20s",
        value_parser = time
    )]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    /// The defaults of the flags, whatever the environment says.
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("rejob"));
        let command = command.mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from(["rejob"]);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// A number from 1 to what a semaphore can count.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=tokio::sync::Semaphore::MAX_PERMITS).contains(&number) => Ok(number),
        _ => Err("give a whole number from 1 up".to_owned()),
    }
}

/// The longest time that a limit takes; nothing here is meant to last longer.
const MAX_TIME: Duration = Duration::from_hours(24);

/// A time of at most a day, zero included.
fn time(text: &str) -> Result<Duration, String> {
    at_most_a_day(parse(text)?)
}

/// A time of at most a day, above zero.
fn positive_time(text: &str) -> Result<Duration, String> {
    at_most_a_day(parse_positive(text)?)
}

fn at_most_a_day(time: Duration) -> Result<Duration, String> {
    if time <= MAX_TIME { Ok(time) } else { Err("write a duration of at most 1d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        limits: Limits,
    }

    #[test]
    fn no_limit_can_be_zero() {
        for flag in ["--max-concurrent-reviews", "--max-connections", "--max-body-bytes"] {
            for value in ["0", "-1", "x", "99999999999999999999"] {
                assert!(Flags::try_parse_from(["rejob", &format!("{flag}={value}")]).is_err());
            }
        }
    }

    #[test]
    fn times_have_bounds() {
        let times = |flag: &str| Flags::try_parse_from(["rejob", flag]).map(|flags| flags.limits);
        assert_eq!(times("--idle-timeout=1d").unwrap().idle_timeout, MAX_TIME);
        assert_eq!(times("--drain-grace=0s").unwrap().drain_grace, Duration::ZERO);
        for flag in ["--idle-timeout=25h", "--idle-timeout=0s", "--drain-grace=x"] {
            assert!(times(flag).is_err(), "{flag}");
        }
    }
}
