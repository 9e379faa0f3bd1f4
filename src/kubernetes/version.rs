//! The version of an API server, from `GET /version`.

use serde_json::Value;

/// The version of an API server: of `v1.37.2-gke.1`, 37 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// The second number.
    pub minor: u32,
    /// The third number; 0 where only the minor version is known.
    pub patch: u32,
}

impl ServerVersion {
    /// Reads `gitVersion` of an answer to `GET /version`, else its `minor` (`30+`); `None` when
    /// neither is a version.
    pub fn of(answer: &Value) -> Option<Self> {
        let text = |field| answer.get(field).and_then(Value::as_str).unwrap_or_default();
        let by_minor = || leading(text("minor")).map(|minor| Self { minor, patch: 0 });
        Self::parse(text("gitVersion")).or_else(by_minor)
    }

    /// Reads `v1.37.2`, whatever a distribution adds to it.
    pub fn parse(version: &str) -> Option<Self> {
        let mut numbers =
            version.trim_start_matches('v').strip_prefix("1.")?.split('.').map(leading);
        let minor = numbers.next().flatten()?;
        Some(Self { minor, patch: numbers.next().flatten().unwrap_or(0) })
    }

    /// Whether rejob can ask in a user's name: constrained impersonation is on by default since 1.36.
    pub fn can_check_as_user(self) -> bool {
        self.minor >= 36
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// The number that a text begins with.
fn leading(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn distributions_add_to_the_version_and_some_tell_only_the_minor_one() {
        for (answer, expected) in [
            (json!({ "gitVersion": "v1.37.2", "minor": "37" }), Some((37, 2))),
            (json!({ "gitVersion": "v1.36.10-gke.1000", "minor": "36+" }), Some((36, 10))),
            (json!({ "gitVersion": "v1.34.4+k3s1" }), Some((34, 4))),
            (json!({ "gitVersion": "", "minor": "30+" }), Some((30, 0))),
            (json!({ "gitVersion": "unknown", "minor": "37" }), Some((37, 0))),
            (json!({ "minor": "" }), None),
            (json!({}), None),
        ] {
            let version = ServerVersion::of(&answer).map(|version| (version.minor, version.patch));
            assert_eq!(version, expected, "{answer}");
        }
    }
}
