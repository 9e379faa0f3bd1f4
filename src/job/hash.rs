//! The template hash: SHA-256 over the canonical JSON of the normalised immutable part.

use std::fmt;

use serde_json::Value;

/// A template hash: 10 characters of a name-safe alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateHash(String);

impl TemplateHash {
    /// The hash of a Job's immutable part (manifest or stored form, both hash alike).
    #[must_use]
    pub fn of(_job: &Value) -> Self {
        Self(String::new())
    }

    /// Reads a hash that was recorded in an annotation; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    /// The 10 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
