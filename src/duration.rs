//! Durations as users and API servers write them: `90d`, `36h`, `1h30m`, `1.5s`, `500ms`.
//!
//! One parser for every flag and for `?timeout=`, so that what one takes the others take. A day has
//! 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a duration, zero included.
///
/// # Errors
/// When the text is not a duration, or a negative one; the sentence says how to write one.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration like 90d, 36h, 1m30s, 10s or 500ms");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// Reads a duration above zero.
///
/// # Errors
/// As [`parse`], and for zero.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("write a duration above zero".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_flags_and_of_api_servers_are_read() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            ("1s500ms", 1_500),
            ("2000us", 2),
            ("2000µs", 2),
            ("0s", 0),
            ("1d", 86_400_000),
            ("90d", 90 * 86_400_000),
            ("1d12h", 129_600_000),
            ("36h", 129_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "1.2.3s", "-1s", "1e3s", "soon", "1mo", "1y", "1h ago"] {
            assert!(parse(text).is_err_and(|error| error.contains("1m30s")), "{text}");
        }
        assert!(parse_positive("0s").is_err());
        assert_eq!(parse_positive("1s"), Ok(Duration::from_secs(1)));
    }
}
