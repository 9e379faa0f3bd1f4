//! Would the API server accept this certificate with that `caBundle`? Pure.
//!
//! The three questions are answered apart, because each has a remedy of its own: is it inside its
//! validity, is it for this name, does the bundle vouch for it. A bundle that holds the very
//! certificate vouches for it too (`Certificate.Verify` of Go's crypto/x509, which the API server
//! uses).

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::aws_lc_rs;
use rustls::server::ParsedCertificate;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a chain is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainVerdict {
    /// The first second of the leaf's validity.
    pub not_before: Timestamp,
    /// The last second of the leaf's validity.
    pub not_after: Timestamp,
    /// Why it is not for the name; `None` when it is.
    pub wrong_name: Option<String>,
    /// Why the bundle does not vouch for it, in half a sentence; `None` when it does, or when there
    /// is no bundle.
    pub untrusted: Option<String>,
}

/// Judges a chain (DER, leaf first) for `host` with a bundle (PEM), at `now`.
///
/// # Errors
/// When the leaf is not a certificate.
pub fn judge(
    chain: &[Vec<u8>],
    host: &str,
    bundle: Option<&[u8]>,
    now: Timestamp,
) -> Result<ChainVerdict, String> {
    let (leaf, rest) = chain.split_first().ok_or("no certificate is served")?;
    let unreadable = |reason: String| format!("the certificate cannot be read: {reason}");
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
    let time = |seconds| Timestamp::from_second(seconds).map_err(|e| unreadable(e.to_string()));
    let not_before = time(parsed.validity().not_before.timestamp())?;
    let not_after = time(parsed.validity().not_after.timestamp())?;
    let der = CertificateDer::from_slice(leaf);
    let end_entity =
        ParsedCertificate::try_from(&der).map_err(|error| unreadable(error.to_string()))?;
    let wrong_name = match ServerName::try_from(host) {
        Ok(name) => verify_server_name(&end_entity, &name).err().map(|_| names(&parsed)),
        Err(_) => Some(format!("{host} is neither a DNS name nor an address")),
    };
    // An expired leaf is a finding of its own: what the bundle says is asked inside its validity.
    let at = now.clamp(not_before, not_after);
    let untrusted = bundle.and_then(|bundle| distrust(&end_entity, leaf, rest, bundle, at));
    Ok(ChainVerdict { not_before, not_after, wrong_name, untrusted })
}

fn distrust(
    end_entity: &ParsedCertificate<'_>,
    leaf: &[u8],
    rest: &[Vec<u8>],
    bundle: &[u8],
    at: Timestamp,
) -> Option<String> {
    let anchors: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle).collect();
    let anchors = match anchors {
        Ok(anchors) if anchors.is_empty() => return Some("it holds no certificate".to_owned()),
        Ok(anchors) => anchors,
        Err(error) => return Some(format!("it is not PEM: {error}")),
    };
    if anchors.iter().any(|anchor| anchor.as_ref() == leaf) {
        return None;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(anchors);
    let intermediates: Vec<_> = rest.iter().map(|der| CertificateDer::from_slice(der)).collect();
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let verified = verify_server_cert_signed_by_trust_anchor(
        end_entity,
        &roots,
        &intermediates,
        now,
        algorithms,
    );
    match verified {
        Ok(()) => None,
        // The second: a CA of the same name, with another key.
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        )) => Some("another CA issued the certificate".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Which names the certificate is for, in half a sentence.
fn names(certificate: &X509Certificate<'_>) -> String {
    let names = crate::certs::alternative_names(certificate);
    if names.is_empty() {
        "it has no subjectAltName".to_owned()
    } else {
        format!("it is for {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    struct Ca {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn ca(name: &str) -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    fn leaf(ca: &Ca) -> Vec<u8> {
        let mut params = CertificateParams::new(["rejob.sys.svc".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &ca.issuer).unwrap().der().to_vec()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const INSIDE: &str = "2026-01-15T00:00:00Z";

    #[test]
    fn a_chain_to_the_bundle_is_good() {
        let ca = ca("one");
        let verdict =
            judge(&[leaf(&ca)], "rejob.sys.svc", Some(ca.pem.as_bytes()), at(INSIDE)).unwrap();
        assert_eq!((verdict.wrong_name, verdict.untrusted), (None, None));
        assert_eq!(verdict.not_after, at("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn old_and_new_ca_may_stand_in_one_bundle() {
        let (old, new) = (ca("old"), ca("new"));
        let bundle = format!("{}{}", old.pem, new.pem);
        for issuer in [&old, &new] {
            let verdict =
                judge(&[leaf(issuer)], "rejob.sys.svc", Some(bundle.as_bytes()), at(INSIDE));
            assert_eq!(verdict.unwrap().untrusted, None);
        }
    }

    #[test]
    fn another_ca_a_damaged_bundle_and_an_empty_one_do_not_vouch() {
        let (ours, other) = (ca("one"), ca("two"));
        for (bundle, why) in [
            (other.pem.as_str(), "another CA issued the certificate"),
            ("no PEM", "it holds no certificate"),
        ] {
            let verdict =
                judge(&[leaf(&ours)], "rejob.sys.svc", Some(bundle.as_bytes()), at(INSIDE));
            assert_eq!(verdict.unwrap().untrusted.as_deref(), Some(why));
        }
    }

    #[test]
    fn the_bundle_may_be_the_certificate_itself() {
        let leaf = leaf(&ca("unknown"));
        let pem = crate::doctor::tests::pem(&leaf);
        let verdict = judge(&[leaf], "rejob.sys.svc", Some(pem.as_bytes()), at(INSIDE)).unwrap();
        assert_eq!(verdict.untrusted, None);
    }

    #[test]
    fn an_expired_leaf_is_still_told_apart_from_an_untrusted_one() {
        let ca = ca("one");
        let later = at("2027-01-01T00:00:00Z");
        let verdict = judge(&[leaf(&ca)], "rejob.sys.svc", Some(ca.pem.as_bytes()), later).unwrap();
        assert_eq!(verdict.untrusted, None);
        assert!(verdict.not_after < later);
    }

    #[test]
    fn another_name_says_which_names_it_is_for() {
        let ca = ca("one");
        let verdict = judge(&[leaf(&ca)], "127.0.0.1", None, at(INSIDE)).unwrap();
        assert_eq!(verdict.wrong_name.as_deref(), Some("it is for rejob.sys.svc"));
    }

    #[test]
    fn no_certificate_and_damaged_ones_are_errors() {
        assert!(judge(&[], "a", None, at(INSIDE)).is_err());
        assert!(judge(&[vec![1, 2, 3]], "a", None, at(INSIDE)).is_err());
    }
}
