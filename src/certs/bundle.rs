//! CA bundles: the certificates in a `caBundle`, told apart by their fingerprints.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::pair::{Validity, parse, validity};
use super::pem::Sections;

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    /// The first eight bytes, in hex: enough to find it with `openssl x509 -fingerprint -sha256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A CA certificate in a bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its validity.
    pub validity: Validity,
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({})", self.fingerprint)
    }
}

impl Anchor {
    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (index, character) in base64.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        pem
    }

    /// Whether it is past its end.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.validity.not_after
    }
}

/// The CA certificates in a PEM text, in order; what is not one is passed over.
pub fn anchors(pem: &[u8]) -> Vec<Anchor> {
    let Ok(certificates) = Sections::certificates("CA", pem) else { return Vec::new() };
    certificates
        .into_iter()
        .filter_map(|der| {
            let certificate = parse("CA certificate", 1, &der).ok()?;
            if !certificate.is_ca() {
                return None;
            }
            let validity = validity(&certificate);
            Some(Anchor { fingerprint: Fingerprint::of(&der), validity, der: der.to_vec() })
        })
        .collect()
}
