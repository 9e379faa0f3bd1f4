//! Making certificates: a CA and leaves under it, ECDSA P-256.
//!
//! A CA's key usage is limited to signing, a leaf's to server authentication; both begin a little
//! in the past, because the clock of the client's machine may be behind.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::pair::{Pair, load_pair};
use super::pem::CertError;

/// How long before "now" a new certificate begins, at most.
const BACKDATE: Duration = Duration::from_mins(5);

/// A life that outlasts any process: the in-memory certificate is made anew at each start.
const IN_MEMORY_LIFE: Duration = Duration::from_hours(365 * 24);

/// A leaf and the CA that issued it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What to serve.
    pub pair: Pair,
    /// The CA certificate, for clients.
    pub ca_pem: String,
    /// The last second of the leaf.
    pub not_after: Timestamp,
}

/// A certificate and its key, both PEM (the key PKCS#8).
#[derive(Clone, PartialEq, Eq)]
pub struct Keypair {
    /// The certificate.
    pub cert_pem: String,
    /// The private key.
    pub key_pem: String,
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keypair").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

/// Makes a CA and a leaf for `names` (DNS names or IP addresses) that live in memory only.
///
/// # Errors
/// When a name is not a valid DNS name, or the system has no randomness.
pub fn self_signed(names: &[&str]) -> Result<Issued, CertError> {
    let now = Timestamp::now();
    let ca = issue_ca(now, IN_MEMORY_LIFE)?;
    let leaf = issue_leaf(&ca, names, now, now + IN_MEMORY_LIFE)?;
    let pair = load_pair(leaf.cert_pem.as_bytes(), leaf.key_pem.as_bytes(), now)?;
    let not_after = pair.validity.not_after;
    Ok(Issued { pair, ca_pem: ca.cert_pem, not_after })
}

/// Makes a CA that lives for `life` from `now`.
pub(super) fn issue_ca(now: Timestamp, life: Duration) -> Result<Keypair, CertError> {
    let failed = |error: rcgen::Error| CertError::Issue {
        names: "the CA".to_owned(),
        reason: error.to_string(),
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    // Each CA has a name of its own: a bundle of two must not be ambiguous to any verifier.
    params.distinguished_name = common_name(&format!("rejob CA {now:.0}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, now + life);
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Keypair { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Makes a leaf for `names` under `ca`, valid until `not_after`.
pub(super) fn issue_leaf(
    ca: &Keypair,
    names: &[impl AsRef<str>],
    now: Timestamp,
    not_after: Timestamp,
) -> Result<Keypair, CertError> {
    let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    let failed = |error: rcgen::Error| CertError::Issue {
        names: names.join(", "),
        reason: error.to_string(),
    };
    let ca_key = KeyPair::from_pem(&ca.key_pem).map_err(failed)?;
    let issuer = Issuer::from_ca_cert_pem(&ca.cert_pem, ca_key).map_err(failed)?;
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names.clone()).map_err(failed)?;
    params.distinguished_name = common_name("rejob");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, not_after);
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(Keypair { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From a little before `now` (a twentieth of the life, at most [`BACKDATE`]) to `not_after`.
fn set_validity(params: &mut CertificateParams, now: Timestamp, not_after: Timestamp) {
    let life = Duration::try_from(not_after.duration_since(now)).unwrap_or_default();
    let not_before = now - BACKDATE.min(life / 20);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let date = |time: Timestamp| {
        epoch + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default())
    };
    params.not_before = date(not_before);
    params.not_after = date(not_after);
}
