//! TLS for the servers of the tests.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::pki::Pki;
use super::user::runtime;

/// Accepts connections with a certificate for 127.0.0.1.
pub(super) fn acceptor(pki: &Pki) -> TlsAcceptor {
    // It chooses the provider of the cryptography.
    let _ = runtime();
    let pair = pki.server();
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    let tls = rustls::ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(tls.with_single_cert(chain, key).expect("a certificate")))
}
