//! The flags that name policies, and the one place that finds them.

use std::path::PathBuf;

use crate::error::UsageError;
use crate::policy::{Policy, PolicySet};

/// Where policies come from.
#[derive(Debug, Clone, clap::Args)]
pub struct PoliciesArg {
    /// The policy file; without it the built-in policies `replace`, `hash-name` and `ttl` are used.
    #[arg(long, env = "REJOB_POLICIES", value_name = "FILE")]
    pub policies: Option<PathBuf>,
}

impl PoliciesArg {
    /// The policies of the file, or the built-in ones.
    ///
    /// # Errors
    /// When the file is refused.
    pub fn load(&self) -> anyhow::Result<PolicySet> {
        Ok(match &self.policies {
            Some(file) => crate::policy_file::read(file)?,
            None => PolicySet::builtin(),
        })
    }
}

/// Which policy a command acts on.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyArg {
    /// The policy to apply.
    #[arg(long, env = "REJOB_POLICY", value_name = "NAME", default_value = "replace")]
    pub policy: String,
    /// Where policies come from.
    #[command(flatten)]
    pub set: PoliciesArg,
}

impl PolicyArg {
    /// The policy.
    ///
    /// # Errors
    /// When the policy file is refused, or has no policy of that name.
    pub fn load(&self) -> anyhow::Result<Policy> {
        Ok(find(&self.set.load()?, &self.policy, "--policy")?.clone())
    }
}

/// The policy of that name; `by` says how it was named.
///
/// # Errors
/// When there is none, with the names there are.
pub fn find<'a>(set: &'a PolicySet, name: &str, by: &str) -> Result<&'a Policy, UsageError> {
    set.get(name).ok_or_else(|| {
        let known: Vec<_> = set.names().collect();
        UsageError(format!(
            "there is no policy {name:?}: choose one of {} with {by}",
            known.join(", ")
        ))
    })
}
