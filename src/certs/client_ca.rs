//! Verification of client certificates: by their CA (`--client-ca`), with a bundle that can be
//! exchanged while connections are accepted, and by their names (`--client-name`).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tracing::warn;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::pair::{alternative_names, parse};
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

/// A [`client_verifier`] whose bundle can be exchanged, and that lets in certificates with one of
/// some names only; clones share it.
#[derive(Clone)]
pub struct ClientCaVerifier {
    by_ca: Arc<ArcSwap<Arc<dyn ClientCertVerifier>>>,
    names: Arc<[String]>,
}

impl ClientCaVerifier {
    /// A verifier by the bundle `ca_pem` and by `names`: subjectAltNames or common names.
    ///
    /// # Errors
    /// When the bundle holds no usable CA certificate.
    pub fn new(ca_pem: &[u8], names: Vec<String>) -> Result<Self, CertError> {
        let by_ca = Arc::new(ArcSwap::from_pointee(client_verifier(ca_pem)?));
        Ok(Self { by_ca, names: names.into() })
    }

    /// Verifies with another bundle from the next handshake on.
    ///
    /// # Errors
    /// When the bundle holds no usable CA certificate; the old one stays.
    pub fn set(&self, ca_pem: &[u8]) -> Result<(), CertError> {
        self.by_ca.store(Arc::new(client_verifier(ca_pem)?));
        Ok(())
    }

    /// Whether a certificate that the CA vouches for has one of the names.
    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let parsed = parse("client certificate", 1, certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let presented = client_names(&parsed);
        // DNS names know no case; names that differ in nothing else belong to one client.
        if self.names.iter().any(|name| presented.iter().any(|own| own.eq_ignore_ascii_case(name)))
        {
            return Ok(());
        }
        warn!(?presented, "a client's certificate has none of the names of --client-name");
        Err(Error::InvalidCertificate(CertificateError::NotValidForName))
    }
}

/// All names of a client: subjectAltNames of any readable kind, and common names.
fn client_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut names = alternative_names(certificate);
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        names.extend(extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        }));
    }
    let common = certificate.subject().iter_common_name();
    names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
    names
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
        let verified = self.by_ca.load().verify_client_cert(end_entity, intermediates, now)?;
        self.check_names(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_ca.load().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_ca.load().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_ca.load().supported_verify_schemes()
    }
}
