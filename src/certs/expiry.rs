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

/// The stages of a certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityStage {
    /// Four fifths have not passed yet.
    Fresh,
    /// Less than a fifth is left: it should have been renewed.
    Ending,
    /// Past its last second.
    Expired,
}

impl Validity {
    /// The stage at `now`.
    pub fn stage(&self, now: Timestamp) -> ValidityStage {
        let left = self.not_after.duration_since(now);
        if left < SignedDuration::ZERO {
            ValidityStage::Expired
        } else if left < self.not_after.duration_since(self.not_before) / 5 {
            ValidityStage::Ending
        } else {
            ValidityStage::Fresh
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
            match validity.stage(clock.now()) {
                ValidityStage::Fresh => {}
                ValidityStage::Ending => warn!(
                    %not_after,
                    "the served certificate is in the last fifth of its life; renew it"
                ),
                ValidityStage::Expired => error!(
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
            (0, ValidityStage::Fresh),
            (80, ValidityStage::Fresh),
            (81, ValidityStage::Ending),
            (100, ValidityStage::Ending),
            (101, ValidityStage::Expired),
        ];
        for (now, life) in cases {
            assert_eq!(validity.stage(at(now)), life, "at {now}");
        }
    }
}
