//! How a step of a background loop went, and how long it pauses before the next one.

use std::time::Duration;

use tracing::warn;

use super::pem::CertError;
use super::readiness::Readiness;
use super::store::StoreError;

/// The longest that one step may take; API servers answer within seconds or not at all.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest pause between two steps of which the first failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The first pause after somebody else was faster.
const LOST_PAUSE: Duration = Duration::from_millis(50);

/// More writes than this in a row are a quarrel with another writer, and slowed down.
const MOST_WRITES: u32 = 16;

/// While there is nothing to serve yet, a replica looks at least this often.
const START_INTERVAL: Duration = Duration::from_secs(1);

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It wrote something: look again at once.
    Acted,
    /// Somebody else wrote first: look again soon.
    Lost,
    /// Nothing to do.
    Idle,
}

/// Why a step failed; what is served stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The API server.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Making certificates or tokens.
    #[error(transparent)]
    Issue(#[from] CertError),
    /// Time.
    #[error("the API server did not answer within {} s", STEP_TIMEOUT.as_secs())]
    TimedOut,
}

/// One step, which ends in time.
pub(super) async fn in_time(
    step: impl Future<Output = Result<StepOutcome, StepError>>,
) -> Result<StepOutcome, StepError> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.unwrap_or(Err(StepError::TimedOut))
}

/// The outcome of a write.
pub(super) fn settled(written: Result<(), StoreError>) -> Result<StepOutcome, StepError> {
    match written {
        Ok(()) => Ok(StepOutcome::Acted),
        Err(StoreError::Conflict) => Ok(StepOutcome::Lost),
        Err(error) => Err(error.into()),
    }
}

/// The pace of a loop.
#[derive(Debug)]
pub(super) struct Pace {
    /// What the loop keeps, for the log.
    what: &'static str,
    interval: Duration,
    pause: Duration,
    writes: u32,
    last_error: Option<String>,
}

impl Pace {
    /// A loop that looks every `interval`.
    pub fn new(what: &'static str, interval: Duration) -> Self {
        Self { what, interval, pause: Duration::ZERO, writes: 0, last_error: None }
    }

    /// Rests after `step`, as [`Self::after`] says. `fraction`: a random number from 0 to 1, so that
    /// replicas do not keep step.
    pub async fn rest(
        &mut self,
        step: Result<StepOutcome, StepError>,
        started: bool,
        readiness: &Readiness,
        fraction: f64,
    ) {
        let pause = self.after(step, started, readiness);
        tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fraction)).await;
    }

    /// The pause after `step`. An error is logged once, and retried with growing pauses. `started`:
    /// whether there is something to serve.
    fn after(
        &mut self,
        step: Result<StepOutcome, StepError>,
        started: bool,
        readiness: &Readiness,
    ) -> Duration {
        self.pause = match step {
            Ok(step) => {
                self.last_error = None;
                self.writes = if step == StepOutcome::Acted { self.writes + 1 } else { 0 };
                match step {
                    StepOutcome::Acted if self.writes < MOST_WRITES => Duration::ZERO,
                    StepOutcome::Acted => {
                        warn!("{}: somebody else keeps changing what was written", self.what);
                        self.interval
                    }
                    StepOutcome::Lost => {
                        (self.pause * 2).clamp(LOST_PAUSE, self.interval.max(LOST_PAUSE))
                    }
                    StepOutcome::Idle if started => self.interval,
                    StepOutcome::Idle => self.interval.min(START_INTERVAL),
                }
            }
            Err(error) => {
                let told = error.to_string();
                if self.last_error.as_ref() != Some(&told) {
                    warn!(%error, "{}: will try again", self.what);
                }
                readiness.waits_for_first(&told);
                self.last_error = Some(told);
                (self.pause * 2).clamp(Duration::from_millis(500), LONGEST_PAUSE)
            }
        };
        self.pause
    }
}
