//! Starts the chosen way of supplying certificates and keeps it running.

use std::sync::Arc;

use anyhow::Context;
use rustls::server::danger::ClientCertVerifier;
use tokio::task::JoinSet;

use super::args::{CertArgs, Source};
use super::client_ca::ClientCaVerifier;
use super::clock::SystemClock;
use super::expiry::warn_before_expiry;
use super::issue::self_signed;
use super::manager::Manager;
use super::pem::CertError;
use super::plan::Lifetimes;
use super::readiness::Readiness;
use super::replica::{Replica, SystemRandom};
use super::resolver::CertResolver;
use super::store::ClusterStore;
use super::token::{AcceptedTokens, accepted_tokens};
use super::token_keeper::TokenKeeper;
use super::watch::{read_pair, watch_client_ca, watch_files};
use crate::kubernetes::ApiClient;

/// What the listener and the router need; dropping it ends the background work.
#[derive(Debug)]
pub struct Supply {
    /// Resolves the certificate of each handshake.
    pub resolver: CertResolver,
    /// Verifies client certificates, when `--client-ca` was given.
    pub client_ca: Option<ClientCaVerifier>,
    /// The tokens that paths must carry.
    pub tokens: AcceptedTokens,
    /// The certificate part of `/readyz`.
    pub readiness: Readiness,
    /// The CA of an in-memory certificate, PEM, for the user to give to clients.
    pub in_memory_ca: Option<String>,
    tasks: JoinSet<()>,
}

impl Supply {
    /// Starts what the flags choose. `client` is needed where something is kept in a Secret.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When flags are wrong or files cannot be used; what the cluster lacks is waited for instead.
    pub async fn start(args: &CertArgs, client: Option<ApiClient>) -> anyhow::Result<Self> {
        let mut tasks = JoinSet::new();
        let source = args.source()?;
        let client_ca = match &args.client_ca {
            None => None,
            Some(file) => {
                let name = || file.display().to_string();
                let bytes = tokio::fs::read(file).await.map_err(|error| CertError::Unreadable {
                    path: "the CA bundle".to_owned(),
                    reason: error.to_string(),
                });
                let verifier =
                    ClientCaVerifier::new(&bytes.with_context(name)?, args.client_name.clone())
                        .with_context(name)?;
                let (file, watched) = (file.clone(), verifier.clone());
                let interval = args.tls_reload_interval;
                tasks.spawn(async move { watch_client_ca(&file, watched, interval).await });
                Some(verifier)
            }
        };

        let resolver = CertResolver::empty();
        let mut in_memory_ca = None;
        let mut tokens = AcceptedTokens::not_required();
        let mut readiness = Readiness::of(resolver.clone());
        let replica = |place, flag| {
            tokens = accepted_tokens();
            readiness = Readiness::when_published(resolver.clone());
            anyhow::Ok(Replica {
                store: ClusterStore::new(needed(client, flag)?, place),
                clock: SystemClock,
                random: SystemRandom,
                lives: Lifetimes::new(args.cert_life, args.ca_life),
                tokens: tokens.clone(),
                readiness: readiness.clone(),
            })
        };
        match source {
            Source::InMemory => {
                let issued = self_signed(&["localhost", "127.0.0.1", "::1"])?;
                resolver.set(issued.pair);
                in_memory_ca = Some(issued.ca_pem);
            }
            Source::Files { cert, key, token } => {
                let clock = SystemClock;
                let pair = read_pair(&cert, &key, &clock)
                    .await
                    .with_context(|| format!("{} and {}", cert.display(), key.display()))?;
                resolver.set(pair);
                let (watched, interval) = (resolver.clone(), args.tls_reload_interval);
                tasks
                    .spawn(async move { watch_files(&cert, &key, watched, interval, clock).await });
                if let Some(place) = token {
                    tasks.spawn(TokenKeeper::new(replica(place, "--token-secret")?).run());
                }
            }
            Source::SelfManaged { place, names } => {
                let replica = replica(place, "--cert-secret")?;
                tasks.spawn(Manager::new(replica, names, resolver.clone()).run());
            }
        }
        tasks.spawn(warn_before_expiry(resolver.clone(), SystemClock));
        Ok(Self { resolver, client_ca, tokens, readiness, in_memory_ca, tasks })
    }

    /// The verifier for the TLS configuration: of client certificates, or of nothing.
    pub fn client_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match &self.client_ca {
            Some(verifier) => Arc::new(verifier.clone()),
            None => Arc::new(rustls::server::NoClientAuth),
        }
    }

    /// Resolves when background work has ended, which it does only by a panic; pending while all is
    /// well. The certificate being served stays, but nobody renews it any more.
    pub async fn ended(&mut self) {
        let _ = self.tasks.join_next().await;
    }
}

/// The client, which that flag needs.
fn needed(client: Option<ApiClient>, flag: &str) -> anyhow::Result<ApiClient> {
    client.with_context(|| {
        format!(
            "{flag} needs a cluster: give --kubeconfig or run in a Pod with a service account token"
        )
    })
}
