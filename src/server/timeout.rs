//! How long a review may take: the request's own `?timeout=`, less a margin.
//!
//! The API server gives up at its timeout, and a later answer is useless. So the code that carries out
//! effects must know when not to begin another one.

use std::time::Duration;

use tokio::time::Instant;

use crate::duration;

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

/// The timeout that a query string asks for; the last one counts if there are several.
///
/// # Errors
/// The sentence for the client when the value is not a positive duration.
pub fn from_query(query: Option<&str>) -> Result<Option<Duration>, String> {
    let mut timeout = None;
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "timeout" {
            timeout = Some(duration::parse_positive(value).map_err(|_| {
                format!(
                    "timeout={value} is not a positive duration; write it as 10s, 1m30s or 500ms"
                )
            })?);
        }
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_names_the_timeout() {
        assert_eq!(from_query(None), Ok(None));
        assert_eq!(from_query(Some("a=b")), Ok(None));
        assert_eq!(from_query(Some("a=b&timeout=3s")), Ok(Some(Duration::from_secs(3))));
        let now = Instant::now();
        let longest = Deadline::new(now, MAX);
        for long in ["31s", "9999999h"] {
            let timeout = from_query(Some(&format!("timeout={long}"))).unwrap().unwrap();
            let deadline = Deadline::new(now, timeout);
            assert_eq!((deadline.review, deadline.answer), (longest.review, longest.answer));
        }
        for query in [
            "timeout",
            "timeout=",
            "timeout=soon",
            "timeout=0s",
            "timeout=3s&timeout=x",
            "timeout=9999999999999999999s",
        ] {
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
