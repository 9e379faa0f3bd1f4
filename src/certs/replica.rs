//! What a replica that keeps something in the cluster works with.

use rustls::crypto::SecureRandom;

use super::pace::{StepError, StepOutcome, settled};
use super::pem::CertError;
use super::plan::Lifetimes;
use super::readiness::Readiness;
use super::store::{SecretPatch, Store};
use super::token::{AcceptedTokens, TokenSource};

/// What every replica has; a test replaces the first three.
#[derive(Debug)]
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

impl<S: Store, C, R> Replica<S, C, R> {
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
