//! The place the TLS listener takes its certificate from: lock-free, and swapped as a whole.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::pair::{Pair, Validity};

/// Holds the pair that is served; clones share it.
///
/// An empty resolver refuses handshakes. Each handshake resolves by one atomic load, so a swap never
/// disturbs one that has begun.
#[derive(Clone, Debug)]
pub struct CertResolver {
    current: Arc<ArcSwapOption<Pair>>,
    validity: Arc<watch::Sender<Option<Validity>>>,
}

impl Default for CertResolver {
    fn default() -> Self {
        Self::empty()
    }
}

impl CertResolver {
    /// One that serves nothing yet.
    pub fn empty() -> Self {
        Self { current: Arc::default(), validity: Arc::new(watch::Sender::new(None)) }
    }

    /// One that serves `pair`.
    pub fn new(pair: Pair) -> Self {
        let resolver = Self::empty();
        resolver.set(pair);
        resolver
    }

    /// Serves `pair` from the next handshake on.
    pub fn set(&self, pair: Pair) {
        let validity = pair.validity;
        self.current.store(Some(Arc::new(pair)));
        self.validity.send_replace(Some(validity));
    }

    /// The pair being served.
    pub fn current(&self) -> Option<Arc<Pair>> {
        self.current.load_full()
    }

    /// The validity of the pair being served.
    pub fn validity(&self) -> Option<Validity> {
        *self.validity.borrow()
    }

    /// Follows the validity of the pair being served; changes with each swap.
    pub fn subscribe(&self) -> watch::Receiver<Option<Validity>> {
        self.validity.subscribe()
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}
