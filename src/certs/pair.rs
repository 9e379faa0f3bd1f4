//! A certificate chain with its key, proven usable: parsed, matching, inside its validity.
//!
//! This is the only way from bytes to something that is served.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::pem::{CertError, Sections};

/// How far in the future a certificate may begin: clocks of two machines differ.
pub(super) const CLOCK_LEEWAY: Duration = Duration::from_mins(5);

/// The time a certificate is valid in, both ends included (RFC 5280 section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

/// A certificate chain and its key, checked.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What the TLS listener serves.
    pub key: Arc<CertifiedKey>,
    /// The leaf's validity.
    pub validity: Validity,
    /// The leaf's DNS names and IP addresses (subjectAltName); clients match nothing else.
    pub names: Vec<String>,
}

/// Reads a certificate chain (leaf first) and its key, and checks that they can be served at `now`.
///
/// Keys may be PKCS#8, PKCS#1 or SEC1. Both arguments may be the same file.
///
/// # Errors
/// What is wrong with which of the two files, and what to do.
pub fn load_pair(cert_pem: &[u8], key_pem: &[u8], now: Timestamp) -> Result<Pair, CertError> {
    let chain = Sections::certificates("certificate", cert_pem)?;
    let key = Sections::key(key_pem)?;
    let mut leaf = None;
    for (index, der) in chain.iter().enumerate() {
        let parsed = parse("certificate", index + 1, der)?;
        leaf.get_or_insert(parsed);
    }
    // The list is not empty, or `certificates` would have refused it.
    let Some(leaf) = leaf else { return Err(CertError::Empty("certificate")) };
    let names = alternative_names(&leaf);
    let subject = names.first().cloned().unwrap_or_else(|| leaf.subject().to_string());
    let validity = validity(&leaf);
    let key =
        any_supported_type(&key).map_err(|error| CertError::UnusableKey(error.to_string()))?;

    let certified = CertifiedKey::new(chain.clone(), key);
    match certified.keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(TlsError::InconsistentKeys(_)) => {
            let other = (1..chain.len()).find(|&skip| {
                let rest = chain.iter().skip(skip).cloned().collect();
                CertifiedKey::new(rest, Arc::clone(&certified.key)).keys_match().is_ok()
            });
            return Err(other.map_or(CertError::Mismatch { subject }, |index| {
                CertError::LeafNotFirst(index + 1)
            }));
        }
        Err(error) => {
            return Err(CertError::Malformed {
                what: "certificate",
                position: 1,
                reason: error.to_string(),
            });
        }
    }
    if now > validity.not_after {
        return Err(CertError::Expired { subject, not_after: validity.not_after });
    }
    if now + CLOCK_LEEWAY < validity.not_before {
        return Err(CertError::NotYetValid { subject, not_before: validity.not_before });
    }
    Ok(Pair { key: Arc::new(certified), validity, names })
}

/// Parses certificate number `position` of a file.
pub(super) fn parse<'a>(
    what: &'static str,
    position: usize,
    der: &'a [u8],
) -> Result<X509Certificate<'a>, CertError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => {
            let reason = "bytes follow it".to_owned();
            Err(CertError::Malformed { what, position, reason })
        }
        Err(error) => Err(CertError::Malformed { what, position, reason: error.to_string() }),
    }
}

/// The validity as written in the certificate, in whole seconds.
pub(super) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let time = |seconds: i64, otherwise| Timestamp::from_second(seconds).unwrap_or(otherwise);
    Validity {
        not_before: time(certificate.validity().not_before.timestamp(), Timestamp::MIN),
        not_after: time(certificate.validity().not_after.timestamp(), Timestamp::MAX),
    }
}

/// DNS names and IP addresses of the subjectAltName, in order.
pub(crate) fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}
