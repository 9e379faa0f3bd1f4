//! Verification of client certificates (`--client-ca`), with a bundle that can be exchanged while
//! connections are accepted.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::pair::parse;
use super::pem::{CertError, Sections};

/// A verifier that requires a client certificate issued by one of the CAs in `ca_pem`.
///
/// # Errors
/// When the bundle holds no usable CA certificate.
pub fn client_verifier(ca_pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, CertError> {
    let mut roots = RootCertStore::empty();
    for (index, der) in Sections::certificates("CA", ca_pem)?.into_iter().enumerate() {
        parse("CA certificate", index + 1, &der)?;
        roots.add(der).map_err(|error| CertError::Malformed {
            what: "CA certificate",
            position: index + 1,
            reason: error.to_string(),
        })?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| CertError::UnusableCa(error.to_string()))
}

/// A [`client_verifier`] whose bundle can be exchanged; clones share it.
#[derive(Clone)]
pub struct ClientCaVerifier(Arc<ArcSwap<Arc<dyn ClientCertVerifier>>>);

impl ClientCaVerifier {
    /// A verifier by the bundle `ca_pem`.
    ///
    /// # Errors
    /// When the bundle holds no usable CA certificate.
    pub fn new(ca_pem: &[u8]) -> Result<Self, CertError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(client_verifier(ca_pem)?))))
    }

    /// Verifies with another bundle from the next handshake on.
    ///
    /// # Errors
    /// When the bundle holds no usable CA certificate; the old one stays.
    pub fn set(&self, ca_pem: &[u8]) -> Result<(), CertError> {
        self.0.store(Arc::new(client_verifier(ca_pem)?));
        Ok(())
    }
}

impl fmt::Debug for ClientCaVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCaVerifier")
    }
}

impl ClientCertVerifier for ClientCaVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // no hints: a client then sends the certificate it has, and the bundle may change
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().supported_verify_schemes()
    }
}
