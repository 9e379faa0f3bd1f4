//! Certificate files that somebody else renews: read again when their content changes.
//!
//! The content is compared, not the file system's events: that is what survives the kubelet's
//! `..data` symlink swap, bind mounts and network file systems, any number of times in a row. A
//! pair that is wrong or half written is reported once; the old one stays in use, and the new one
//! is picked up as soon as it is right.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::client_ca::ClientCaVerifier;
use super::clock::Clock;
use super::pair::{Pair, load_pair};
use super::pem::CertError;
use super::resolver::CertResolver;

/// How often a pair that does not load is read again at once, in case it was being exchanged.
const REREADS: u32 = 3;

/// Reads and checks a certificate file and a key file.
///
/// # Errors
/// What is wrong with which of them.
pub async fn read_pair(cert: &Path, key: &Path, clock: &impl Clock) -> Result<Pair, CertError> {
    read_stable(cert, key, clock).await.0
}

/// Keeps `resolver` at the content of the two files, read every `interval`. Never returns.
///
/// Needs no pair in the resolver at the start: an empty resolver is filled by the first good pair.
pub async fn watch_files(
    cert: &Path,
    key: &Path,
    resolver: CertResolver,
    interval: Duration,
    clock: impl Clock,
) {
    let files = format!("{} and {}", cert.display(), key.display());
    let mut seen = LastRead::default();
    loop {
        let (pair, content) = read_stable(cert, key, &clock).await;
        let fresh = seen.is_new(content, pair.as_ref().err());
        match pair {
            Ok(pair) if fresh => {
                let not_after = pair.validity.not_after;
                if pair.names.is_empty() {
                    warn!(
                        files,
                        "the certificate has no subjectAltName; the Kubernetes API server refuses it"
                    );
                }
                let served = resolver.current();
                if served.is_none_or(|served| served.key.cert != pair.key.cert) {
                    resolver.set(pair);
                    info!(files, %not_after, "serving the certificate read from files");
                }
            }
            Err(error) if fresh => {
                warn!(files, %error, "certificate not loaded; the one in use stays");
            }
            _ => {}
        }
        tokio::time::sleep(interval).await;
    }
}

/// Keeps `verifier` at the content of the CA bundle file, read every `interval`. Never returns.
pub async fn watch_client_ca(file: &Path, verifier: ClientCaVerifier, interval: Duration) {
    let mut seen = LastRead::default();
    loop {
        let bytes = read(file).await;
        let content = digest([bytes.as_ref().ok()]);
        let result = bytes.and_then(|bytes| verifier.set(&bytes));
        if seen.is_new(content, result.as_ref().err()) {
            match result {
                Ok(()) => info!(file = %file.display(), "verifying clients with the CA bundle"),
                Err(error) => warn!(
                    file = %file.display(), %error,
                    "client CA bundle not loaded; the one in use stays"
                ),
            }
        }
        tokio::time::sleep(interval).await;
    }
}

/// What was seen last, so that each content and each problem is acted on once.
#[derive(Default)]
struct LastRead(Option<([u8; 32], Option<CertError>)>);

impl LastRead {
    fn is_new(&mut self, content: [u8; 32], problem: Option<&CertError>) -> bool {
        let seen = (content, problem.cloned());
        let new = self.0.as_ref() != Some(&seen);
        self.0 = Some(seen);
        new
    }
}

/// Reads both files, and again when they do not load: an exchange may have come between the reads.
async fn read_stable(
    cert: &Path,
    key: &Path,
    clock: &impl Clock,
) -> (Result<Pair, CertError>, [u8; 32]) {
    let mut last = None;
    for _ in 0..REREADS {
        let cert_bytes = read(cert).await;
        let key_bytes = read(key).await;
        let content = digest([cert_bytes.as_ref().ok(), key_bytes.as_ref().ok()]);
        let pair = match (cert_bytes, key_bytes) {
            (Ok(cert), Ok(key)) => load_pair(&cert, &key, clock.now()),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        let settled = pair.is_ok() || last.as_ref().is_some_and(|(_, before)| *before == content);
        last = Some((pair, content));
        if settled {
            break;
        }
    }
    last.unwrap_or((Err(CertError::Empty("certificate")), [0; 32]))
}

async fn read(file: &Path) -> Result<Vec<u8>, CertError> {
    tokio::fs::read(file).await.map_err(|error| CertError::Unreadable {
        path: file.display().to_string(),
        reason: error.to_string(),
    })
}

fn digest<const N: usize>(contents: [Option<&Vec<u8>>; N]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for content in contents {
        match content {
            Some(bytes) => {
                hash.update([1]);
                hash.update(Sha256::digest(bytes));
            }
            None => hash.update([0]),
        }
    }
    hash.finalize().into()
}
