//! The capability tokens that a request's path must carry.
//!
//! The network does not tell who calls; a path that only the webhook configuration knows does. The
//! API server shows the whole path to clients when a call fails, so a token is short-lived:
//! [`Tokens`] are its generations. [`AcceptedTokens`] are what the server compares a path with, as
//! SHA-256 digests, so the time a comparison takes says nothing about a token. Nothing here prints
//! a token.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pem::CertError;

/// The length of a token: 20 random bytes in hex. API servers accept lower-case letters, digits, `-`
/// and `.` only in a segment of `clientConfig.service.path` (`ValidateWebhookService` of
/// k8s.io/apiserver).
const TOKEN_LENGTH: usize = 40;

type TokenDigest = [u8; 32];

/// Makes path tokens.
pub trait TokenSource {
    /// A new token: 160 bits of randomness as 40 lower-case hex digits.
    ///
    /// # Errors
    /// When the system has no randomness.
    fn token(&mut self) -> Result<String, CertError>;
}

/// The generations of the path token; one of them is published.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// The one in the webhook configuration.
    pub current: String,
    /// The next one: known to every replica long before it is used.
    pub next: String,
    /// The one before; API servers may still use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// When `next` takes over.
    pub rotate_at: Timestamp,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("rotate_at", &self.rotate_at).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The first generations, or those after a loss. A token that is `published` stays: replicas
    /// that know no other still accept it.
    ///
    /// # Errors
    /// When a token cannot be made.
    pub fn make(
        published: Option<&str>,
        rotate_at: Timestamp,
        random: &mut impl TokenSource,
    ) -> Result<Self, CertError> {
        let current = published.map_or_else(|| random.token(), |token| Ok(token.to_owned()))?;
        Ok(Self { current, next: random.token()?, previous: None, rotate_at })
    }

    /// Lets the next token take over, until `rotate_at`.
    ///
    /// # Errors
    /// When a token cannot be made.
    pub fn rotate(
        &mut self,
        rotate_at: Timestamp,
        random: &mut impl TokenSource,
    ) -> Result<(), CertError> {
        let next = std::mem::replace(&mut self.next, random.token()?);
        self.previous = Some(std::mem::replace(&mut self.current, next));
        self.rotate_at = rotate_at;
        Ok(())
    }

    /// Those to accept; the previous one only while `with_previous`.
    pub fn accepted(&self, with_previous: bool) -> impl Iterator<Item = &str> {
        let previous = self.previous.iter().filter(move |_| with_previous);
        [&self.current, &self.next].into_iter().chain(previous).map(String::as_str)
    }

    /// Whether all have the form of the server's own tokens.
    pub fn are_genuine(&self) -> bool {
        self.accepted(true).all(is_token)
    }
}

/// Reads the Secret's `key`, which holds tokens of the server's own.
///
/// # Errors
/// Half a sentence about what is wrong, without a token.
pub(super) fn read_with_tokens<T: DeserializeOwned>(
    key: &str,
    json: &[u8],
    tokens: impl Fn(&T) -> &Tokens,
) -> Result<T, String> {
    // The parser's own words would show what it found, which may be a token.
    let read: T = serde_json::from_slice(json).map_err(|error| {
        format!("{key} is not understood at line {} column {}", error.line(), error.column())
    })?;
    if tokens(&read).are_genuine() {
        Ok(read)
    } else {
        Err(format!("{key}: a token is not 40 hex digits"))
    }
}

/// Whether a text has the form of the server's own tokens; others are not adopted from a
/// configuration or a Secret, because they could be guessed.
pub(super) fn is_token(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == TOKEN_LENGTH && text.bytes().all(hex)
}

/// Since when a replica has seen the current token published.
#[derive(Debug, Default)]
pub struct PublishedSince {
    since: Option<(TokenDigest, Duration)>,
    looked: bool,
    found: bool,
}

impl PublishedSince {
    /// For how long every entry has carried `current`; `carried`: whether they do now. `now` is
    /// monotonic time.
    pub fn look(&mut self, current: &str, carried: bool, now: Duration) -> Duration {
        let current = digest(current);
        self.since = self.since.filter(|(token, _)| carried && *token == current);
        let first_look = !std::mem::replace(&mut self.looked, true);
        self.found = if first_look { carried } else { self.found && self.since.is_some() };
        if carried {
            let (_, since) = self.since.get_or_insert((current, now));
            now.saturating_sub(*since)
        } else {
            Duration::ZERO
        }
    }

    /// Whether the first look found it published: then it has been published for longer than `look`
    /// knows.
    pub fn found(&self) -> bool {
        self.found
    }
}

/// The tokens that are accepted at the moment; clones share them.
#[derive(Clone, Debug)]
pub struct AcceptedTokens {
    required: bool,
    digests: Arc<ArcSwap<Vec<TokenDigest>>>,
}

/// Accepted tokens of a server that keeps a path token: none until the first is set.
pub fn accepted_tokens() -> AcceptedTokens {
    AcceptedTokens { required: true, digests: Arc::default() }
}

impl AcceptedTokens {
    /// For a server that keeps no path token.
    pub fn not_required() -> Self {
        Self { required: false, digests: Arc::default() }
    }

    /// Whether to answer a path without a token with 404.
    pub fn required(&self) -> bool {
        self.required
    }

    /// Whether `presented`, the path segment after `/v1/t/`, is accepted now.
    pub fn accepts(&self, presented: &str) -> bool {
        let presented = digest(presented);
        // Every token is compared in full: no early exit.
        let differing = |known: &TokenDigest| {
            known.iter().zip(&presented).fold(0, |bits, (a, b)| bits | (a ^ b))
        };
        self.digests.load().iter().filter(|known| differing(known) == 0).count() > 0
    }

    /// Accepts exactly `tokens` from now on.
    pub fn set<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) {
        self.digests.store(Arc::new(tokens.into_iter().map(digest).collect()));
    }
}

fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_exactly_the_tokens_that_are_set() {
        let tokens = accepted_tokens();
        assert!(tokens.required() && !tokens.accepts("") && !tokens.accepts("a"));
        tokens.clone().set(["a", "b"]);
        assert!(tokens.accepts("a") && tokens.accepts("b"));
        assert!(!tokens.accepts("c") && !tokens.accepts("ab") && !tokens.accepts(""));
        tokens.set(["c"]);
        assert!(tokens.accepts("c") && !tokens.accepts("a"));
        assert!(!AcceptedTokens::not_required().required());
    }

    #[test]
    fn a_token_is_published_since_every_entry_carries_it() {
        let mut since = PublishedSince::default();
        let mut look = |token, carried, second| {
            since.look(token, carried, Duration::from_secs(second)).as_secs()
        };
        assert_eq!(look("a", false, 1), 0);
        assert_eq!(look("a", true, 2), 0);
        assert_eq!(look("a", true, 5), 3);
        assert_eq!(look("b", true, 6), 0, "another token");
        assert_eq!(look("b", true, 8), 2);
        assert_eq!(look("b", false, 9), 0, "an entry was edited");
        assert_eq!(look("b", true, 10), 0);
    }

    #[test]
    fn a_token_is_found_by_the_first_look_only_and_until_it_changes() {
        let looks = |looks: &[(&str, bool)]| {
            let mut since = PublishedSince::default();
            for (token, carried) in looks {
                since.look(token, *carried, Duration::ZERO);
            }
            since.found()
        };
        assert!(looks(&[("a", true), ("a", true)]));
        assert!(!looks(&[("a", false), ("a", true)]), "this replica saw it being published");
        assert!(!looks(&[("a", true), ("b", true)]), "another token");
        assert!(!looks(&[("a", true), ("a", false), ("a", true)]), "an entry was edited");
    }
}
