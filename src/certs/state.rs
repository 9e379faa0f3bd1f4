//! What the self-managed way keeps in its Secret, and how it is read back.
//!
//! Keys of the Secret: `tls.crt` and `tls.key` (the leaf, safe to serve), `ca.crt` (every CA that
//! clients should trust, the current one first), `ca.key`, `next-ca.crt` and `next-ca.key` (a CA
//! that is published but does not issue yet) and `state.json` ([`SecretState`]). Whatever somebody did to
//! the Secret, reading it never fails as a whole: each part is either good or says what is wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};

use super::bundle::{Anchor, Fingerprint, anchors};
use super::issue::Keypair;
use super::pair::{Pair, Validity, load_pair, parse};
use super::token::{Tokens, read_with_tokens};

/// The Secret's type: `tls.crt` and `tls.key` are where every tool expects them.
pub const SECRET_TYPE: &str = "kubernetes.io/tls";

/// A part of the Secret, or half a sentence about what is wrong with it.
pub type Readable<T> = Result<T, String>;

/// The content of a Secret; `None` as a value removes the key.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// The Secret, read.
#[derive(Clone, Debug)]
pub struct CertSecret {
    /// The CA that issues.
    pub ca: Readable<Ca>,
    /// The CA that will issue next, once everybody trusts it.
    pub next: Option<Ca>,
    /// The leaf to serve.
    pub leaf: Readable<Leaf>,
    /// Tokens and former CAs.
    pub state: Readable<SecretState>,
}

/// A CA with its key.
#[derive(Clone, Debug)]
pub struct Ca {
    /// Certificate and key.
    pub keypair: Keypair,
    /// The certificate as clients trust it.
    pub anchor: Anchor,
}

/// A leaf with its key, checked.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Certificate and key.
    pub keypair: Keypair,
    /// The same, ready to serve.
    pub pair: Pair,
}

/// `state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// The path tokens.
    pub tokens: Tokens,
    /// The last second of the leaf that lives longest of those the current CA issued.
    pub leaves_until: Timestamp,
    /// CAs that no longer issue but are still trusted.
    #[serde(default)]
    pub retired: Vec<Retired>,
}

/// A CA that no longer issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// The certificate, PEM.
    pub certificate: String,
    /// No leaf that it issued is valid after this.
    pub until: Timestamp,
    /// It is to leave the caBundle; forgotten once it has left.
    #[serde(default)]
    pub dropped: bool,
}

impl Retired {
    /// The certificate, parsed; `None` when the Secret was edited.
    pub fn anchor(&self) -> Option<Anchor> {
        anchors(self.certificate.as_bytes()).into_iter().next()
    }
}

impl SecretState {
    fn read(json: &str) -> Readable<Self> {
        read_with_tokens("state.json", json.as_bytes(), |state: &Self| &state.tokens)
    }
}

impl Ca {
    /// Reads a CA and proves that the key is its own.
    ///
    /// # Errors
    /// Half a sentence about what is wrong.
    pub fn read(cert_pem: &str, key_pem: &str) -> Readable<Self> {
        let anchor = anchors(cert_pem.as_bytes())
            .into_iter()
            .next()
            .ok_or("ca.crt holds no CA certificate")?;
        let key = KeyPair::from_pem(key_pem).map_err(|error| format!("ca.key: {error}"))?;
        let certificate =
            parse("certificate", 1, &anchor.der).map_err(|error| error.to_string())?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err("ca.key does not match ca.crt".to_owned());
        }
        let keypair = Keypair { cert_pem: anchor.pem(), key_pem: key_pem.to_owned() };
        Ok(Self { keypair, anchor })
    }

    /// Its validity.
    pub fn validity(&self) -> Validity {
        self.anchor.validity
    }
}

impl Leaf {
    /// Reads a leaf and proves that it can be served now and was issued by `ca`.
    ///
    /// # Errors
    /// Half a sentence about what is wrong.
    pub fn read(keypair: Keypair, ca: &Ca, now: Timestamp) -> Readable<Self> {
        let pair = load_pair(keypair.cert_pem.as_bytes(), keypair.key_pem.as_bytes(), now)
            .map_err(|error| format!("tls.crt and tls.key: {error}"))?;
        let der = pair.key.cert.first().ok_or("tls.crt is empty")?;
        let leaf = parse("certificate", 1, der).map_err(|error| error.to_string())?;
        let by = parse("certificate", 1, &ca.anchor.der).map_err(|error| error.to_string())?;
        let genuine =
            leaf.issuer() == by.subject() && leaf.verify_signature(Some(by.public_key())).is_ok();
        if genuine {
            Ok(Self { keypair, pair })
        } else {
            Err("tls.crt was not issued by ca.crt".to_owned())
        }
    }
}

impl CertSecret {
    /// Reads a Secret's data.
    pub fn read(data: &SecretData, now: Timestamp) -> Self {
        let text = |key: &str| match data.get(key).map(|bytes| String::from_utf8(bytes.clone())) {
            Some(Ok(text)) if !text.trim().is_empty() => Ok(text),
            Some(Ok(_)) | None => Err(format!("{key} is missing")),
            Some(Err(_)) => Err(format!("{key} is not text")),
        };
        let ca = text("ca.crt").and_then(|cert| Ca::read(&cert, &text("ca.key")?));
        let leaf = ca.as_ref().map_err(Clone::clone).and_then(|ca| {
            let keypair = Keypair { cert_pem: text("tls.crt")?, key_pem: text("tls.key")? };
            Leaf::read(keypair, ca, now)
        });
        let state = text("state.json").and_then(|text| SecretState::read(&text));
        // A next CA that cannot be used is as good as none: another one is made.
        let next = text("next-ca.crt").and_then(|cert| Ca::read(&cert, &text("next-ca.key")?)).ok();
        Self { ca, next, leaf, state }
    }

    /// The fingerprints of all CAs the Secret knows, those on their way out included.
    pub fn known(&self) -> impl Iterator<Item = Fingerprint> {
        let live = self.ca.iter().chain(&self.next).map(|ca| ca.anchor.fingerprint);
        let retired = self.state.iter().flat_map(|state| &state.retired);
        live.chain(retired.filter_map(Retired::anchor).map(|anchor| anchor.fingerprint))
    }

    /// The CAs that clients should trust, as one PEM text in an order that does not change when a
    /// CA changes its part.
    pub fn bundle(&self) -> String {
        let mut anchors = self.trusted();
        anchors.sort_by_key(|anchor| anchor.fingerprint);
        anchors.dedup_by_key(|anchor| anchor.fingerprint);
        anchors.iter().map(Anchor::pem).collect()
    }

    /// The current CA, the next one and those retired but not dropped.
    fn trusted(&self) -> Vec<Anchor> {
        let live = self.ca.iter().chain(&self.next).map(|ca| ca.anchor.clone());
        let retired = self.state.iter().flat_map(|state| &state.retired);
        live.chain(retired.filter(|ca| !ca.dropped).filter_map(Retired::anchor)).collect()
    }

    /// The Secret's data; `None` removes a key.
    pub fn write(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut data = BTreeMap::new();
        let mut set = |key: &str, text: Option<String>| {
            data.insert(key.to_owned(), text.map(String::into_bytes));
        };
        let ca_crt: String = self.trusted().iter().map(Anchor::pem).collect();
        set("ca.crt", self.ca.as_ref().ok().map(|_| ca_crt));
        set("ca.key", self.ca.as_ref().ok().map(|ca| ca.keypair.key_pem.clone()));
        set("next-ca.crt", self.next.as_ref().map(|ca| ca.keypair.cert_pem.clone()));
        set("next-ca.key", self.next.as_ref().map(|ca| ca.keypair.key_pem.clone()));
        set("tls.crt", self.leaf.as_ref().ok().map(|leaf| leaf.keypair.cert_pem.clone()));
        set("tls.key", self.leaf.as_ref().ok().map(|leaf| leaf.keypair.key_pem.clone()));
        let state = self.state.as_ref().ok().and_then(|state| serde_json::to_string(state).ok());
        set("state.json", state);
        data
    }
}
