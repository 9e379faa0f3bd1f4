//! How long a review may take: the request's own `?timeout=`, less a margin.
//!
//! The API server gives up at its timeout and then a late answer is worth nothing, so whoever
//! carries out effects must know when to stop beginning them. Durations are written as Go's
//! `time.Duration` prints them, because that is what the API server sends.

use std::time::Duration;

use tokio::time::Instant;

/// The time a request has that names none: the default `timeoutSeconds` of a webhook.
pub const DEFAULT: Duration = Duration::from_secs(10);

/// The greatest `timeoutSeconds` that a webhook configuration can ask for. A longer `?timeout=` is
/// cut to this, so that a request's life has a bound that the reaper can rely on.
pub const MAX: Duration = Duration::from_secs(30);

/// The two moments of one request.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// When the reviewer must have answered.
    pub review: Instant,
    /// When the server answers in its place: between [`Deadline::review`] and the moment at which
    /// the API server hangs up.
    pub answer: Instant,
}

impl Deadline {
    /// The deadline of a request received at `received` that may take `timeout`.
    ///
    /// The API server rounds what is left up to whole seconds (`pkg/admission/plugin/webhook/mutating/
    /// dispatcher.go`), so a second of those is kept back. Of the rest, a tenth, at most half a second,
    /// is: half of it for the way of the answer.
    #[must_use]
    pub fn new(received: Instant, timeout: Duration) -> Self {
        let timeout = timeout.min(MAX);
        let is_rounded = timeout.subsec_nanos() == 0;
        let spared = if is_rounded { Duration::from_secs(1) } else { Duration::ZERO };
        let timeout = timeout.saturating_sub(spared).max(timeout / 4);
        let margin = (timeout / 10).min(Duration::from_millis(500));
        Self {
            review: received + timeout.saturating_sub(margin),
            answer: received + timeout.saturating_sub(margin / 2),
        }
    }
}

/// The timeout that a query string asks for; the last one counts if there are several. One that is
/// longer than anyone can wait is a long one, whatever Go would say: see [`MAX`].
///
/// # Errors
/// The sentence for the client when the value is not a positive duration.
pub fn from_query(query: Option<&str>) -> Result<Option<Duration>, String> {
    let mut timeout = None;
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "timeout" {
            timeout = Some(read(value).filter(|d| !d.is_zero()).ok_or_else(|| {
                format!(
                    "timeout={value} is not a positive duration; write it as 10s, 1m30s or 500ms"
                )
            })?);
        }
    }
    Ok(timeout)
}

/// Reads a duration as Go's `time.ParseDuration` does: `10s`, `1m30s`, `1.5h`, `500ms`; no sign.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    // Go counts nanoseconds in an int64.
    read(text).filter(|duration| *duration <= Duration::from_nanos(i64::MAX.unsigned_abs()))
}

/// A duration of any length; [`Duration::MAX`] for what is longer still.
fn read(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds_per_unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        if !number.starts_with(|c: char| c.is_ascii_digit()) && number.len() < 2 {
            return None;
        }
        let part = number.parse::<f64>().ok()? * seconds_per_unit;
        // No sign and no NaN can be in it: what does not fit is too long.
        total = total.saturating_add(Duration::try_from_secs_f64(part).unwrap_or(Duration::MAX));
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// The longest duration that a flag takes; nothing here is meant to last longer.
const MAX_FLAG: Duration = Duration::from_hours(24);

/// A duration of the command line, zero included.
///
/// # Errors
/// When the text is not a duration or longer than a day.
pub fn parse_flag(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| *duration <= MAX_FLAG)
        .ok_or_else(|| "write a duration of at most 24h as 10s, 1m30s or 500ms".to_owned())
}

/// A duration of the command line that cannot be zero.
///
/// # Errors
/// As [`parse_flag`], and for zero.
pub fn parse_positive_flag(text: &str) -> Result<Duration, String> {
    match parse_flag(text)? {
        Duration::ZERO => Err("write a duration above zero".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_durations() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1s500ms", 1_500),
            ("2000us", 2),
            ("0s", 0),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "10", "s", ".s", "1.2.3s", "-1s", "10 s", "10sec", "1e3s", "999999999999999h"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn flags_have_bounds() {
        assert_eq!(parse_flag("0s"), Ok(Duration::ZERO));
        assert!(parse_flag("25h").is_err() && parse_flag("x").is_err());
        assert!(parse_positive_flag("0s").is_err());
        assert_eq!(parse_positive_flag("1s"), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn the_query_names_the_timeout() {
        assert_eq!(from_query(None), Ok(None));
        assert_eq!(from_query(Some("a=b")), Ok(None));
        assert_eq!(from_query(Some("a=b&timeout=3s")), Ok(Some(Duration::from_secs(3))));
        let now = Instant::now();
        let longest = Deadline::new(now, MAX);
        let endless = format!("{}s", "9".repeat(400));
        for long in ["31s", "9999999h", "999999999999999h9s", &endless] {
            let timeout = from_query(Some(&format!("timeout={long}"))).unwrap().unwrap();
            let deadline = Deadline::new(now, timeout);
            assert_eq!((deadline.review, deadline.answer), (longest.review, longest.answer));
        }
        for query in ["timeout", "timeout=", "timeout=soon", "timeout=0s", "timeout=3s&timeout=x"] {
            assert!(from_query(Some(query)).unwrap_err().contains("10s, 1m30s"), "{query}");
        }
    }

    #[test]
    fn a_margin_is_kept_for_the_answer() {
        let now = Instant::now();
        for (timeout, review, answer) in
            [(10_000, 8_500, 8_750), (1_000, 225, 238), (100, 90, 95), (90_000, 28_500, 28_750)]
        {
            let deadline = Deadline::new(now, Duration::from_millis(timeout));
            assert_eq!(deadline.review - now, Duration::from_millis(review), "{timeout}");
            let to_answer = (deadline.answer - now).as_micros().div_ceil(1000);
            assert_eq!(to_answer, answer, "{timeout}");
        }
    }
}
