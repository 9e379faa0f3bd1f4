//! What a replica that keeps something in the cluster works with.

use std::time::Duration;

use rustls::crypto::SecureRandom;
use serde_json::Value;
use tracing::info;

use super::clock::Clock;
use super::configuration::WebhookConfiguration;
use super::pace::{StepError, StepOutcome, settled};
use super::pem::CertError;
use super::plan::Lifetimes;
use super::readiness::Readiness;
use super::store::{SecretPatch, Store, Versioned};
use super::token::{AcceptedTokens, PublishedSince, TokenSource, Tokens};

/// What every replica has; a test replaces the first three.
pub struct Replica<S, C, R> {
    /// The objects that replicas share.
    pub store: S,
    /// Tells the time.
    pub clock: C,
    /// For tokens, and to spread replicas in time.
    pub random: R,
    /// How long things live.
    pub lives: Lifetimes,
    /// Filled with the tokens of the store.
    pub tokens: AcceptedTokens,
    /// Told whether everything is published.
    pub readiness: Readiness,
}

impl<S: Store, C: Clock, R> Replica<S, C, R> {
    /// Writes the Secret if it still has `version`; `None` where there was none.
    pub(super) async fn write(
        &self,
        version: Option<&str>,
        data: SecretPatch,
    ) -> Result<StepOutcome, StepError> {
        settled(match version {
            None => self.store.create_secret(data).await,
            Some(version) => self.store.update_secret(version, data).await,
        })
    }

    /// Writes `what` into the webhook configuration if it has not changed since it was read.
    pub(super) async fn publish(
        &self,
        configuration: &Versioned<WebhookConfiguration>,
        patch: Value,
        what: &str,
    ) -> Result<StepOutcome, StepError> {
        let written = self.store.patch_configuration(&configuration.version, patch).await;
        if written.is_ok() {
            info!("wrote {what} into the webhook configuration");
        }
        settled(written)
    }

    /// Accepts the tokens of a Secret; returns for how long every entry has carried the current one.
    pub(super) fn accept(
        &self,
        tokens: &Tokens,
        published: Option<&WebhookConfiguration>,
        since: &mut PublishedSince,
    ) -> Duration {
        let carried = published.is_some_and(|published| published.all_carry(&tokens.current));
        let token_for = since.look(&tokens.current, carried, self.clock.monotonic());
        let with_previous =
            self.lives.previous_accepted(self.clock.now(), tokens, token_for, since);
        self.tokens.set(tokens.accepted(with_previous));
        token_for
    }
}

/// Where a replica's randomness comes from.
pub trait Random: TokenSource + Send {
    /// A number in `0.0..1.0`, to spread replicas in time.
    fn fraction(&mut self) -> f64;
}

/// The system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl SystemRandom {
    fn bytes<const N: usize>() -> Result<[u8; N], CertError> {
        let mut bytes = [0; N];
        let random: &dyn SecureRandom = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| CertError::Issue {
            names: "the path token".to_owned(),
            reason: "the system has no randomness".to_owned(),
        })?;
        Ok(bytes)
    }
}

impl TokenSource for SystemRandom {
    fn token(&mut self) -> Result<String, CertError> {
        Ok(Self::bytes::<20>()?.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")))
    }
}

impl Random for SystemRandom {
    fn fraction(&mut self) -> f64 {
        Self::bytes::<4>().map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / 2f64.powi(32))
    }
}
