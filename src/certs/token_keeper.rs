//! The path token of a server whose certificate others supply, in every replica: look, do one
//! thing, look again.
//!
//! As in the self-managed way, the webhook configuration is read **before** the Secret, and both
//! writes are refused when the object has changed since. Only paths are written: the caBundle
//! belongs to whoever supplies the certificate.

use std::collections::BTreeMap;

use tracing::{error, info};

use super::clock::Clock;
use super::pace::{Pace, StepError, StepOutcome, in_time};
use super::readiness::ENTRIES;
use super::replica::{Random, Replica};
use super::state::{Readable, SecretData};
use super::store::Store;
use super::token::{PublishedSince, Tokens, read_with_tokens};

/// The key of the Secret that holds the [`Tokens`].
const KEY: &str = "tokens.json";

/// One replica's part in keeping the path token.
pub struct TokenKeeper<S, C, R> {
    replica: Replica<S, C, R>,
    since: PublishedSince,
    started: bool,
}

impl<S: Store, C: Clock, R: Random> TokenKeeper<S, C, R> {
    /// Keeps the path token of this replica.
    pub fn new(replica: Replica<S, C, R>) -> Self {
        Self { replica, since: PublishedSince::default(), started: false }
    }

    /// Looks forever, at the pace of the lives.
    pub async fn run(mut self) {
        let mut pace = Pace::new("path token", self.replica.lives.interval);
        loop {
            let step = in_time(self.step()).await;
            let fraction = self.replica.random.fraction();
            pace.rest(step, self.started, &self.replica.readiness, fraction).await;
        }
    }

    /// Looks once and does at most one thing.
    ///
    /// # Errors
    /// When the API server refuses or cannot be reached; the next step starts afresh.
    pub async fn step(&mut self) -> Result<StepOutcome, StepError> {
        let configuration = self.replica.store.configuration().await?;
        let stored = self.replica.store.secret().await?;
        let now = self.replica.clock.now();
        let published = configuration.as_ref().map(|configuration| &configuration.object);
        let version = stored.as_ref().map(|stored| stored.version.as_str());
        let read = match &stored {
            None => Err("made a path token: there was no Secret"),
            Some(stored) => read(&stored.object).map_err(|problem| {
                error!("token Secret: {problem}");
                "made another path token"
            }),
        };
        let mut tokens = match read {
            Ok(tokens) => tokens,
            Err(what) => {
                let Replica { lives, random, .. } = &mut self.replica;
                let tokens = lives.first_tokens(now, published, random)?;
                return self.write(version, &tokens, what).await;
            }
        };
        let token_for = self.replica.accept(&tokens, published, &mut self.since);
        self.started = true;

        let configuration =
            configuration.filter(|configuration| configuration.object.entries().next().is_some());
        let Some(configuration) = configuration else {
            self.replica.readiness.waits_for_first(ENTRIES);
            return Ok(StepOutcome::Idle);
        };
        if let Some(patch) = configuration.object.patch(None, &tokens) {
            self.replica
                .readiness
                .waits_for_first("the path to be written into the webhook configuration");
            return self.replica.publish(&configuration, patch, "paths").await;
        }
        self.replica.readiness.published();
        if self.replica.lives.token_due(now, &tokens, &configuration.object, token_for) {
            tokens.rotate(now + self.replica.lives.token, &mut self.replica.random)?;
            return self.write(version, &tokens, "the next path token takes over").await;
        }
        Ok(StepOutcome::Idle)
    }

    async fn write(
        &self,
        version: Option<&str>,
        tokens: &Tokens,
        what: &str,
    ) -> Result<StepOutcome, StepError> {
        let data = BTreeMap::from([(KEY.to_owned(), serde_json::to_vec(tokens).ok())]);
        let outcome = self.replica.write(version, data).await?;
        if outcome == StepOutcome::Acted {
            info!("token Secret: {what}");
        }
        Ok(outcome)
    }
}

fn read(data: &SecretData) -> Readable<Tokens> {
    let json = data.get(KEY).ok_or_else(|| format!("{KEY} is missing"))?;
    read_with_tokens(KEY, json, |tokens: &Tokens| tokens)
}
