//! The capability tokens a request's path must carry when the server manages its certificates.
//!
//! The network does not tell who calls; a path that only the webhook configuration knows does.
//! Tokens are kept and compared as SHA-256 digests, so the time a comparison takes says nothing
//! about a token.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

type TokenDigest = [u8; 32];

/// The tokens that are accepted at the moment; clones share them.
#[derive(Clone, Debug)]
pub struct AcceptedTokens {
    required: bool,
    digests: Arc<ArcSwap<Vec<TokenDigest>>>,
}

/// Accepted tokens of a server that manages its certificates itself: none until the first is set.
#[must_use]
pub fn accepted_tokens() -> AcceptedTokens {
    AcceptedTokens { required: true, digests: Arc::default() }
}

impl AcceptedTokens {
    /// For a server whose certificates others supply: paths carry no token.
    #[must_use]
    pub fn not_required() -> Self {
        Self { required: false, digests: Arc::default() }
    }

    /// Whether a path without a token is to be answered with 404.
    #[must_use]
    pub fn required(&self) -> bool {
        self.required
    }

    /// Whether `presented`, the path segment after `/v1/t/`, is accepted now.
    #[must_use]
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
}
