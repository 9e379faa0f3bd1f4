//! Whether certificates allow the server to take requests, with the reason when they do not.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::clock::Clock;
use super::expiry::ValidityStage;
use super::resolver::CertResolver;

/// What a replica waits for that finds no entry to write to.
pub(super) const ENTRIES: &str = "the webhook configuration, with entries named <policy>.rejob.dev";

/// Answers the certificate part of `/readyz`; clones share it.
///
/// Ready means: a certificate inside its validity is served, and where the server publishes its own
/// CA, the webhook configuration was seen to carry it. Once published, a failing API server does
/// not take readiness away: requests that arrive can be answered.
#[derive(Clone, Debug)]
pub struct Readiness {
    resolver: CertResolver,
    waiting: Arc<ArcSwapOption<String>>,
}

impl Readiness {
    /// Ready as soon as `resolver` serves a valid certificate.
    pub fn of(resolver: CertResolver) -> Self {
        Self { resolver, waiting: Arc::default() }
    }

    /// As [`Readiness::of`], and not before [`Readiness::published`] was called.
    pub fn when_published(resolver: CertResolver) -> Self {
        let readiness = Self::of(resolver);
        let first = "the first look at the Secret and the webhook configuration".to_owned();
        readiness.waiting.store(Some(Arc::new(first)));
        readiness
    }

    /// Names what is being waited for; ignored once published.
    pub(super) fn waits_for_first(&self, what: &str) {
        self.waiting.rcu(|waiting| waiting.as_ref().map(|_| Arc::new(what.to_owned())));
    }

    /// The webhook configuration carries the CA of what is served.
    pub(super) fn published(&self) {
        self.waiting.store(None);
    }

    /// Whether requests can be taken now.
    ///
    /// # Errors
    /// What is missing, as half a sentence.
    pub fn check(&self, clock: &impl Clock) -> Result<(), String> {
        if let Some(waiting) = self.waiting.load_full() {
            return Err(format!("certificates: waiting: {waiting}"));
        }
        match self.resolver.validity() {
            None => Err("certificates: none is served yet".to_owned()),
            Some(validity) if validity.stage(clock.now()) == ValidityStage::Expired => {
                Err(format!("certificates: the one served expired at {}", validity.not_after))
            }
            Some(_) => Ok(()),
        }
    }
}
