//! The policy file: YAML with a map `policies` of name to knobs.
//!
//! Whatever is wrong is refused at once, naming file, line, field and the allowed values: a server
//! that starts with half of a policy would act on production Jobs by rules nobody wrote.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Policy, PolicySet};

/// The shape of the policy file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "rejob policy file")]
pub struct PolicyFile {
    /// The policies by name. A namespace opts in with the label `rejob.dev/policy: <name>`.
    pub policies: BTreeMap<String, Policy>,
}

/// Why a policy file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path}: {source}; check --policies")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not say what a policy file may say.
    #[error("the policy file {path} is refused: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// Line, field and the allowed values.
        message: String,
    },
}

impl PolicyFile {
    /// The file that stands for the built-in policies.
    #[must_use]
    pub fn builtin() -> Self {
        let set = PolicySet::builtin();
        Self { policies: set.iter().map(|(n, p)| (n.to_owned(), p.clone())).collect() }
    }
}

impl PolicySet {
    /// Reads a policy file.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown field or value, no policy, or a name that
    /// cannot be a label value.
    pub fn read(path: &Path) -> Result<Self, PolicyFileError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyFileError::Read { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a policy file; `path` is for messages.
    ///
    /// # Errors
    /// As [`PolicySet::read`].
    pub fn parse(text: &str, path: &str) -> Result<Self, PolicyFileError> {
        let invalid = |message: String| PolicyFileError::Invalid { path: path.to_owned(), message };
        let file: PolicyFile =
            serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if file.policies.is_empty() {
            return Err(invalid("policies is empty: name at least one policy".to_owned()));
        }
        for name in file.policies.keys() {
            if !is_policy_name(name) {
                return Err(invalid(format!(
                    "policies.{name}: a policy name is the value of a namespace label and part of \
                     a path: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
                )));
            }
        }
        Ok(Self(file.policies))
    }
}

/// Whether the text is a DNS-1123 label: it is a label value, a path segment and part of the
/// webhook's name at once.
fn is_policy_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|&c| inner(c) || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        PolicySet::parse(text, "policies.yaml").unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_the_whole_set() {
        let set = PolicySet::parse(
            "policies:\n  quick:\n    whileRunning: Replace\n    waitSeconds: 5\n",
            "p",
        )
        .unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), ["quick"]);
    }

    #[test]
    fn the_built_in_file_reads_back() {
        let text = serde_saphyr::to_string(&PolicyFile::builtin()).unwrap();
        assert_eq!(PolicySet::parse(&text, "p").unwrap(), PolicySet::builtin());
    }

    #[test]
    fn an_unknown_value_names_file_line_field_and_the_allowed_values() {
        let message = refused("policies:\n  a:\n    onChange: Sometimes\n");
        for part in ["policies.yaml", "line 3", "onChange", "Replace", "Keep", "Deny", "Ignore"] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn an_unknown_field_names_file_line_field_and_the_allowed_fields() {
        let message = refused("policies:\n  a:\n    onchange: Keep\n");
        for part in ["policies.yaml", "line 3", "onchange", "onChange", "whileRunning"] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn a_value_out_of_range_names_the_range() {
        let message = refused("policies:\n  a:\n    waitSeconds: 0\n");
        assert!(message.contains("line 3") && message.contains("1 to 3600"), "{message}");
        let message = refused("policies:\n  a:\n    ttlSecondsAfterFinished: -1\n");
        assert!(message.contains("line 3") && message.contains("ttlSeconds"), "{message}");
    }

    #[test]
    fn a_policy_given_twice_is_refused() {
        let message = refused("policies:\n  a: {}\n  a: {}\n");
        assert!(message.contains("line 3"), "{message}");
    }

    #[test]
    fn a_name_that_cannot_be_a_label_value_is_refused() {
        for name in ["A", "-a", "a/b", "a.b", &"x".repeat(64)] {
            assert!(refused(&format!("policies:\n  {name}: {{}}\n")).contains("policy name"));
        }
    }

    #[test]
    fn no_policy_at_all_is_refused() {
        assert!(refused("policies: {}\n").contains("at least one"));
        assert!(refused("{}\n").contains("policies"));
        assert!(refused("").contains("policies.yaml"));
    }
}
