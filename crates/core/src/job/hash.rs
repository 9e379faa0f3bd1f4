//! The template hash: SHA-256 over the canonical JSON of the normalized immutable part.
//!
//! Canonical means sorted keys and no insignificant space, which is what `serde_json` writes of maps
//! in that order. The alphabet is the one of Kubernetes' own
//! `rand.SafeEncodeString`: no vowels and nothing that looks like one, so that no hash spells a
//! word, and every hash may end a name.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::immutable::canonical;

/// A template hash: 10 characters of a name-safe alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateHash(String);

impl TemplateHash {
    /// The number of characters.
    pub const LEN: usize = 10;

    const ALPHABET: &'static [u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

    /// The hash of a Job's immutable part (manifest or stored form, both hash alike).
    pub fn of(job: &Value) -> Self {
        Self::of_text(&canonical(job))
    }

    /// A digest of this hash and a text.
    pub fn with(&self, text: &str) -> Self {
        Self::of_text(&format!("{self} {text}"))
    }

    fn of_text(text: &str) -> Self {
        let digest = Sha256::digest(text);
        // 16 bytes are plenty: the remainder by 27^10 favors no character by more than 2^-80.
        let mut number = digest.iter().take(16).fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
        let mut text = String::with_capacity(Self::LEN);
        for _ in 0..Self::LEN {
            let index = (number % 27) as usize;
            number /= 27;
            text.extend(Self::ALPHABET.get(index).map(|byte| char::from(*byte)));
        }
        Self(text)
    }

    /// Reads a hash that was recorded in an annotation; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == Self::LEN && text.bytes().all(|b| Self::ALPHABET.contains(&b));
        valid.then(|| Self(text.to_owned()))
    }

    /// The 10 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
