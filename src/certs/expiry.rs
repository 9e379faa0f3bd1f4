//! How much of a certificate's life is left, and the log lines about it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use super::clock::Clock;
use super::pair::Validity;
use super::resolver::CertResolver;

/// How often the remaining validity is checked. A certificate that is valid for less than a day is
/// checked more often by the task that renews it.
const CHECK_INTERVAL: Duration = Duration::from_hours(1);

/// The stages of a certificate's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Four fifths have not passed yet.
    Fresh,
    /// Less than a fifth is left: it should have been renewed.
    Ending,
    /// Past its last second.
    Expired,
}

impl Validity {
    /// The stage of life at `now`.
    pub fn life(&self, now: Timestamp) -> Life {
        let left = self.not_after.duration_since(now);
        if left < SignedDuration::ZERO {
            Life::Expired
        } else if left < self.not_after.duration_since(self.not_before) / 5 {
            Life::Ending
        } else {
            Life::Fresh
        }
    }
}

/// Logs a warning while less than a fifth of the served certificate's life is left, and an error
/// once it is over: at each change of the certificate and every hour. Never returns.
pub async fn warn_before_expiry(resolver: CertResolver, clock: impl Clock) {
    let mut served = resolver.subscribe();
    loop {
        let validity = *served.borrow_and_update();
        if let Some(validity) = validity {
            let not_after = validity.not_after;
            match validity.life(clock.now()) {
                Life::Fresh => {}
                Life::Ending => warn!(
                    %not_after,
                    "the served certificate is in the last fifth of its life; renew it"
                ),
                Life::Expired => error!(
                    %not_after,
                    "the served certificate has expired; API servers refuse it, renew it now"
                ),
            }
        }
        tokio::select! {
            result = served.changed() => if result.is_err() { return },
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fifth_is_the_ending() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let validity = Validity { not_before: at(0), not_after: at(100) };
        let cases = [
            (0, Life::Fresh),
            (80, Life::Fresh),
            (81, Life::Ending),
            (100, Life::Ending),
            (101, Life::Expired),
        ];
        for (now, life) in cases {
            assert_eq!(validity.life(at(now)), life, "at {now}");
        }
    }
}
