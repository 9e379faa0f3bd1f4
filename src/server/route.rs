//! Which path a request names.
//!
//! The paths are few and fixed, so they are matched by hand: no table, no allocation.

/// The paths of the webhook's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'p> {
    /// `/v1/policies/{policy}` or `/v1/t/{token}/policies/{policy}`: an AdmissionReview.
    Review {
        /// The capability, if the path has one.
        token: Option<&'p str>,
        /// The policy's name, as it stands in the path.
        policy: &'p str,
    },
    /// `/livez`: the process answers.
    Live,
    /// Anything else.
    Unknown,
}

impl<'p> Route<'p> {
    /// The route of a path.
    #[must_use]
    pub fn of(path: &'p str) -> Self {
        if path == "/livez" {
            return Self::Live;
        }
        let Some(rest) = path.strip_prefix("/v1/") else { return Self::Unknown };
        let (token, rest) = match rest.strip_prefix("t/").and_then(|rest| rest.split_once('/')) {
            Some((token, rest)) => (Some(token), rest),
            None => (None, rest),
        };
        match rest.strip_prefix("policies/") {
            Some(policy) if !policy.is_empty() && !policy.contains('/') => {
                Self::Review { token, policy }
            }
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_whole() {
        let review = |token, policy| Route::Review { token, policy };
        for (path, route) in [
            ("/livez", Route::Live),
            ("/v1/policies/ttl", review(None, "ttl")),
            ("/v1/t/abc/policies/ttl", review(Some("abc"), "ttl")),
            ("/v1/t//policies/ttl", review(Some(""), "ttl")),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
        for path in [
            "/",
            "",
            "/livez/",
            "/v1/policies",
            "/v1/policies/",
            "/v1/policies/a/b",
            "/v2/policies/a",
            "/v1/t/policies/a",
            "/v1/t/abc/def/policies/a",
            "//v1/policies/a",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }
}
