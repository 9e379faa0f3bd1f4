//! The API server itself: its version and its clock.

use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::ServerVersion;
use crate::words::span;

/// The oldest minor version of Kubernetes 1 that rejob supports.
const OLDEST: u32 = 30;

/// Clocks further apart than this, in seconds, are worth a word; the `Date` header has whole ones.
const SKEW_HINT: i64 = 5;
/// Clocks further apart than this, in seconds, break certificates and tokens.
const SKEW_PROBLEM: i64 = 5 * 60;

pub fn version(facts: &Facts, findings: &mut Vec<Finding>) {
    let about = About::new("version", "");
    let version = match &facts.version {
        Ok(version) => version,
        Err(error) => {
            findings.push(about.unchecked("the version of Kubernetes", error));
            return;
        }
    };
    findings.push(match ServerVersion::parse(version).map(|version| version.minor) {
        Some(minor) if minor < OLDEST => about.problem(
            format!(
                "Kubernetes {version} is older than 1.{OLDEST}, the oldest that rejob supports"
            ),
            "upgrade the cluster, or keep its namespaces without the label rejob.dev/policy",
        ),
        Some(_) => about.ok(format!("Kubernetes {version} is supported")),
        None => about.hint(
            format!("the API server says that its version is {version}, without a minor version"),
            format!("make sure that it is 1.{OLDEST} or later: kubectl version"),
        ),
    });
}

pub fn clock(facts: &Facts, findings: &mut Vec<Finding>) {
    let about = About::new("clock", "");
    let Some(there) = facts.there else {
        let why = "the API server sends no Date header";
        findings.push(about.unchecked("the clock of the API server", why));
        return;
    };
    let ahead = facts.here.as_second() - there.as_second();
    let apart = || {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        format!("this machine's clock is {} {direction} the API server's", span(ahead.abs()))
    };
    let remedy = "set the clocks by NTP on the machine that is wrong: timedatectl status";
    findings.push(if ahead.abs() > SKEW_PROBLEM {
        let broken = "certificates and tokens made on one are not valid on the other";
        about.problem(format!("{}: {broken}", apart()), remedy)
    } else if ahead.abs() > SKEW_HINT {
        about.hint(apart(), remedy)
    } else {
        about.ok("this machine's clock and the API server's agree")
    });
}
