//! PEM files of certificates and keys, read with messages a person can act on.
//!
//! The reader tells apart what usually goes wrong: an empty or half-written file, DER instead of
//! PEM, swapped files, an encrypted key, several keys. It accepts certificates and a key in one
//! file, and the parameter block that `openssl ecparam -genkey` writes before a key.

use jiff::Timestamp;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with a certificate, a key or a bundle; each is one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// A file could not be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The operating system's words.
        reason: String,
    },
    /// A file holds nothing.
    #[error("the {0} file is empty")]
    Empty(&'static str),
    /// A file holds something other than PEM.
    #[error(
        "the {0} file is not PEM (no -----BEGIN line); convert DER with `openssl x509 -inform der` or `openssl pkey -inform der`"
    )]
    NotPem(&'static str),
    /// A PEM section does not decode, as in a file that is being written.
    #[error("the {what} file is damaged or half written: {reason}")]
    Damaged {
        /// `certificate`, `key` or `CA`.
        what: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// The certificate file is PEM without a certificate.
    #[error("the {what} file holds no CERTIFICATE but {found}{hint}")]
    NoCertificate {
        /// `certificate` or `CA`.
        what: &'static str,
        /// The labels found, joined.
        found: String,
        /// What probably happened.
        hint: &'static str,
    },
    /// The key file is PEM without a private key.
    #[error(
        "the key file holds no private key but {found}; it must be one PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY"
    )]
    NoKey {
        /// The labels found, joined.
        found: String,
    },
    /// The key file holds more than one key.
    #[error(
        "the key file holds {0} private keys; leave only the one that belongs to the certificate"
    )]
    SeveralKeys(usize),
    /// The key is protected by a password.
    #[error("the key is encrypted; decrypt it with `openssl pkey -in KEY -out KEY.plain`")]
    EncryptedKey,
    /// The key is of a kind that TLS here does not support.
    #[error(
        "the key cannot be used: {0}; use an ECDSA P-256, P-384, Ed25519 or RSA key of 2048 bits or more"
    )]
    UnusableKey(String),
    /// The certificate does not parse.
    #[error("{what} {position} of the file is not a valid X.509 certificate: {reason}")]
    Malformed {
        /// `certificate` or `CA certificate`.
        what: &'static str,
        /// Counting from 1.
        position: usize,
        /// The parser's words.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("the key does not match the certificate for {subject}")]
    Mismatch {
        /// The certificate's subject or first name.
        subject: String,
    },
    /// The key belongs to a certificate further down in the file.
    #[error(
        "the key matches certificate {0} of the file, not the first; put the server's own certificate first"
    )]
    LeafNotFirst(usize),
    /// The certificate is past its end.
    #[error("the certificate for {subject} expired at {not_after}; renew it")]
    Expired {
        /// The certificate's subject or first name.
        subject: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// The certificate is before its beginning.
    #[error(
        "the certificate for {subject} is not valid before {not_before}; check this machine's clock"
    )]
    NotYetValid {
        /// The certificate's subject or first name.
        subject: String,
        /// Its beginning.
        not_before: Timestamp,
    },
    /// A CA bundle that no client certificate could be checked with.
    #[error("the CA file cannot be used: {0}")]
    UnusableCa(String),
    /// Making a certificate failed.
    #[error("a certificate for {names} cannot be made: {reason}")]
    Issue {
        /// The names asked for.
        names: String,
        /// What the library says.
        reason: String,
    },
}

/// The PEM sections of a file that matter here.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub certificates: Vec<CertificateDer<'static>>,
    pub keys: Vec<PrivateKeyDer<'static>>,
    pub labels: Vec<String>,
    pub encrypted: bool,
}

impl Sections {
    /// Reads all sections; `what` names the file in errors.
    pub fn read(what: &'static str, bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(CertError::Empty(what));
        }
        let text = String::from_utf8_lossy(bytes);
        let labels: Vec<String> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
            .map(str::to_owned)
            .collect();
        let encrypted = labels.iter().any(|label| label == "ENCRYPTED PRIVATE KEY")
            || text
                .lines()
                .any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
        if labels.is_empty() {
            return Err(if text.contains("-----BEGIN") || text.contains("-----END") {
                CertError::Damaged { what, reason: "a -----BEGIN line is cut off".to_owned() }
            } else {
                CertError::NotPem(what)
            });
        }
        let mut sections = Self { labels, encrypted, ..Self::default() };
        if encrypted {
            return Ok(sections); // an old-style encrypted section has headers and does not decode
        }
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
            let (kind, der) =
                section.map_err(|error| CertError::Damaged { what, reason: error.to_string() })?;
            match kind {
                SectionKind::Certificate => sections.certificates.push(der.into()),
                SectionKind::PrivateKey => sections.keys.push(PrivateKeyDer::Pkcs8(der.into())),
                SectionKind::RsaPrivateKey => sections.keys.push(PrivateKeyDer::Pkcs1(der.into())),
                SectionKind::EcPrivateKey => sections.keys.push(PrivateKeyDer::Sec1(der.into())),
                _ => {}
            }
        }
        Ok(sections)
    }

    /// The certificates, at least one.
    pub fn certificates(
        what: &'static str,
        bytes: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, CertError> {
        let sections = Self::read(what, bytes)?;
        if sections.certificates.is_empty() {
            let key = sections.labels.iter().any(|label| label.ends_with("PRIVATE KEY"));
            let request =
                sections.labels.iter().any(|label| label.ends_with("CERTIFICATE REQUEST"));
            return Err(CertError::NoCertificate {
                what,
                found: sections.labels.join(", "),
                hint: match (key, request) {
                    (true, _) => "; are the certificate and the key swapped?",
                    (_, true) => "; have the request signed first",
                    _ => "",
                },
            });
        }
        Ok(sections.certificates)
    }

    /// The one private key.
    pub fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, CertError> {
        let mut sections = Self::read("key", bytes)?;
        if sections.encrypted {
            return Err(CertError::EncryptedKey);
        }
        match (sections.keys.pop(), sections.keys.len()) {
            (Some(key), 0) => Ok(key),
            (Some(_), others) => Err(CertError::SeveralKeys(others + 1)),
            (None, _) => Err(CertError::NoKey { found: sections.labels.join(", ") }),
        }
    }
}
