//! Verification as an API server does it: the served chain against a caBundle, for a name, at a
//! time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rejob::certs::Pair;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

/// A root store of the certificates in `pem`.
pub fn roots(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

/// Whether a client that trusts `bundle` accepts `pair` for `name` at `now`.
pub fn verifies(pair: &Pair, bundle: &[u8], name: &str, now: Timestamp) -> Result<(), String> {
    let roots = roots(bundle);
    if roots.is_empty() {
        return Err("the caBundle is empty".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let seconds = u64::try_from(now.as_second()).unwrap();
    let (leaf, chain) = pair.key.cert.split_first().unwrap();
    verifier
        .verify_server_cert(
            leaf,
            chain,
            &name.to_owned().try_into().unwrap(),
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        )
        .map(drop)
        .map_err(|error| error.to_string())
}
