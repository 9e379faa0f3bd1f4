//! The loop of the self-managed way, in every replica: look, decide, do one thing, look again.
//!
//! A step reads the webhook configuration **before** the Secret, so that whatever it publishes
//! stems from a Secret at least as new as the configuration it overwrites; both writes are refused
//! when the object has changed since. Clock and randomness are parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::bundle::Fingerprint;
use super::change::{apply, describe};
use super::clock::Clock;
use super::configuration::WebhookConfiguration;
use super::pace::{Pace, in_time};
pub use super::pace::{StepError, StepOutcome};
use super::plan::{Action, SecretChange, Serving, Situation, Waiting, next, serve};
use super::readiness::ENTRIES;
use super::replica::{Random, Replica};
use super::resolver::CertResolver;
use super::state::CertSecret;
use super::store::{Store, Versioned};
use super::token::PublishedSince;

/// One replica's part in keeping the certificate.
pub struct Manager<S, C, R> {
    replica: Replica<S, C, R>,
    names: Vec<String>,
    resolver: CertResolver,
    serving: Option<Serving>,
    first_seen: BTreeMap<Fingerprint, Duration>,
    token_since: PublishedSince,
}

impl<S: Store, C: Clock, R: Random> Manager<S, C, R> {
    /// Fills `resolver` from the store, for a server called by `names` and by the names that the
    /// webhook configuration has.
    pub fn new(replica: Replica<S, C, R>, names: Vec<String>, resolver: CertResolver) -> Self {
        let (serving, first_seen) = (None, BTreeMap::new());
        Self {
            replica,
            names,
            resolver,
            serving,
            first_seen,
            token_since: PublishedSince::default(),
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
        let secret = stored.as_ref().map(|stored| CertSecret::read(&stored.object, now));
        let published = configuration.as_ref().map(|configuration| &configuration.object);
        let published_for = self.published_for(published);
        let state = secret.as_ref().and_then(|secret| secret.state.as_ref().ok());
        let token_for = state.map_or(Duration::ZERO, |state| {
            self.replica.accept(&state.tokens, published, &mut self.token_since)
        });
        let names = self.wanted_names(published);
        let lives = self.replica.lives.clone();
        let situation = Situation {
            now,
            lives: &lives,
            names: &names,
            secret: secret.as_ref(),
            published,
            published_for: &published_for,
            token_for,
        };
        self.serve(situation);
        let action = next(situation);
        self.tell_readiness(situation, &action);
        match action {
            Action::Wait(Waiting::ClockBehind) => {
                warn!(%now, "the CA in the Secret begins in the future: this machine's clock is behind");
                Ok(StepOutcome::Idle)
            }
            Action::Wait(_) => Ok(StepOutcome::Idle),
            Action::Publish => self.publish(situation, configuration.as_ref()).await,
            Action::Write(change) => {
                let version = stored.as_ref().map(|stored| stored.version.as_str());
                self.write(situation, &change, version).await
            }
        }
    }

    /// Looks forever, at the pace of the lives.
    pub async fn run(mut self) {
        let mut pace = Pace::new("certificates", self.replica.lives.interval);
        loop {
            let step = in_time(self.step()).await;
            let fraction = self.replica.random.fraction();
            pace.rest(step, self.serving.is_some(), &self.replica.readiness, fraction).await;
        }
    }

    /// Serves the Secret's leaf when it may be.
    fn serve(&mut self, situation: Situation<'_>) {
        let Some(secret) = situation.secret else { return };
        if let (Some(serving), Ok(leaf)) = (serve(situation, self.serving), &secret.leaf) {
            self.resolver.set(leaf.pair.clone());
            self.serving = Some(serving);
            info!(
                certificate = %serving.leaf, ca = %serving.ca, not_after = %serving.validity.not_after,
                "serving a certificate of the server's own"
            );
        }
    }

    async fn publish(
        &self,
        situation: Situation<'_>,
        configuration: Option<&Versioned<WebhookConfiguration>>,
    ) -> Result<StepOutcome, StepError> {
        let (Some(configuration), Some(secret)) = (configuration, situation.secret) else {
            return Ok(StepOutcome::Idle);
        };
        let Ok(state) = &secret.state else { return Ok(StepOutcome::Idle) };
        let Some(patch) = configuration.object.patch(Some(&secret.bundle()), &state.tokens) else {
            return Ok(StepOutcome::Idle);
        };
        self.replica.publish(configuration, patch, "caBundle and paths").await
    }

    async fn write(
        &mut self,
        situation: Situation<'_>,
        change: &SecretChange,
        version: Option<&str>,
    ) -> Result<StepOutcome, StepError> {
        let data = apply(change, situation, &mut self.replica.random)?.write();
        let outcome = self.replica.write(version, data).await?;
        if outcome == StepOutcome::Acted {
            let what = describe(change);
            match change {
                SecretChange::ReplaceCa(_) | SecretChange::RepairState(_) => {
                    error!("certificate Secret: {what}");
                }
                _ => info!("certificate Secret: {what}"),
            }
        }
        Ok(outcome)
    }

    /// For how long each CA has been seen in every entry.
    fn published_for(
        &mut self,
        published: Option<&WebhookConfiguration>,
    ) -> BTreeMap<Fingerprint, Duration> {
        let now = self.replica.clock.monotonic();
        let trusted: Vec<Fingerprint> =
            published.into_iter().flat_map(WebhookConfiguration::trusted_by_all).collect();
        self.first_seen.retain(|ca, _| trusted.contains(ca));
        for ca in trusted {
            self.first_seen.entry(ca).or_insert(now);
        }
        self.first_seen.iter().map(|(ca, first)| (*ca, now.saturating_sub(*first))).collect()
    }

    /// The names of the flags and those the webhook configuration calls.
    fn wanted_names(&self, published: Option<&WebhookConfiguration>) -> Vec<String> {
        let mut names = self.names.clone();
        names.extend(published.into_iter().flat_map(WebhookConfiguration::hosts));
        names.sort();
        names.dedup();
        if names.is_empty() {
            names.push("localhost".to_owned()); // until the configuration tells
        }
        names
    }

    fn tell_readiness(&self, situation: Situation<'_>, action: &Action) {
        let published =
            self.serving.is_some_and(|own| situation.published_for.contains_key(&own.ca));
        if published && !matches!(action, Action::Publish) {
            self.replica.readiness.published();
            return;
        }
        self.replica.readiness.waits_for_first(match action {
            Action::Wait(Waiting::NoConfiguration) => ENTRIES,
            Action::Wait(Waiting::ClockBehind) => "this machine's clock, which is behind the CA's",
            _ => "the CA to be published in the webhook configuration",
        });
        debug!(?action, "certificates are not published yet");
    }
}
