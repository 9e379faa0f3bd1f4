//! `rejob doctor`: what is wrong with an installation, and what to do.
//!
//! [`probe`] reaches the API server and the webhook, [`mod@collect`] gathers [`facts`] through it, and
//! the functions of [`checks`] turn facts into [`finding`]s. Only the first does anything; the last
//! are pure, one function a check. Nothing is changed in the cluster: the requests are reads, access
//! reviews and dry runs.

mod calls;
pub mod checks;
pub mod collect;
pub mod facts;
pub mod finding;
pub mod installation;
pub mod probe;
pub mod rights;
#[cfg(test)]
mod tests;
pub mod trust;

pub use collect::{collect, served_policies};
pub use facts::Facts;
pub use finding::{About, Diagnosis, Finding, Level};
pub use probe::RealWorld;

/// Judges the facts: every check, in the order in which things depend on one another.
pub fn examine(facts: &Facts) -> Diagnosis {
    let mut findings = Vec::new();
    for check in checks::ALL {
        check(facts, &mut findings);
    }
    Diagnosis::new(&facts.server, facts.version.as_ref().ok().cloned(), findings)
}

/// The report on an API server that does not answer, or does not know the caller.
pub fn unreachable(server: &str, why: &str) -> Diagnosis {
    let finding = About::new("api-server", server).problem(
        format!("the API server cannot be asked: {why}"),
        "check --kubeconfig and the network: kubectl version",
    );
    Diagnosis::new(server, None, vec![finding])
}
