//! How the webhook's port speaks TLS: 1.2 and 1.3, HTTP/1.1 only.
//!
//! The API server speaks HTTP/1.1 to a webhook that is a Service, and one connection at a time is
//! what the limits of this server count.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};

/// A configuration that asks `certificates` at each handshake, and `clients` about the client.
///
/// # Errors
/// When the cryptography library lacks the protocol versions, which is a mistake in the build.
pub fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session is held against neither the present certificate nor the present client CA,
    // and the API server keeps its connections alive anyway.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
