//! What the doctor says: findings, and how they are printed as text and as JSON.
//!
//! The JSON is a contract, described in docs/doctor.md: fields are added, never renamed or removed.

use std::fmt::Write as _;

use serde::Serialize;

use crate::words::{label, plural};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Checked, and as it should be.
    Ok,
    /// Worth knowing, or not checked; the installation works without acting on it.
    Hint,
    /// Something does not work, or will not work soon.
    Problem,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Which check found it: a stable name, `ca-bundle`.
    pub check: &'static str,
    /// What it is about: `00-rejob/replace.rejob.dev`, a namespace, `NAMESPACE/NAME`.
    pub subject: String,
    /// One sentence in plain words.
    pub message: String,
    /// What to do: a command, or a sentence where no command does it.
    #[serde(rename = "do")]
    pub remedy: Option<String>,
}

/// What findings are about: a check of a subject.
pub struct About {
    check: &'static str,
    subject: String,
}

impl About {
    /// Findings of this check about this subject.
    pub fn new(check: &'static str, subject: impl Into<String>) -> Self {
        Self { check, subject: subject.into() }
    }

    /// All is well.
    pub fn ok(&self, message: impl Into<String>) -> Finding {
        self.finding(Level::Ok, message.into(), None)
    }

    /// Worth knowing.
    pub fn hint(&self, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
        self.finding(Level::Hint, message.into(), Some(remedy.into()))
    }

    /// Something is wrong.
    pub fn problem(&self, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
        self.finding(Level::Problem, message.into(), Some(remedy.into()))
    }

    /// A check that could not be made; `why` is a sentence without its end.
    pub fn unchecked(&self, what: &str, why: &str) -> Finding {
        let remedy = if why.contains("is forbidden: User") {
            "have a cluster admin grant you the rights listed in docs/doctor.md"
        } else {
            "fix that and run rejob doctor again; if the address cannot be reached from here, run it in a Pod"
        };
        self.hint(format!("{what} could not be checked: {why}"), remedy)
    }

    fn finding(&self, level: Level, message: String, remedy: Option<String>) -> Finding {
        // One line each, whatever an API server or a label's value says.
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (subject, message) = (line(&self.subject), line(&message));
        Finding { level, check: self.check, subject, message, remedy }
    }
}

/// All findings about a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Whether there is no problem.
    pub healthy: bool,
    /// The API server's address.
    pub server: String,
    /// The API server's version, `v1.37.2`; `null` when it is not known.
    pub kubernetes: Option<String>,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// A report; it is healthy when no finding is a problem.
    pub fn new(server: &str, kubernetes: Option<String>, findings: Vec<Finding>) -> Self {
        let healthy = findings.iter().all(|finding| finding.level != Level::Problem);
        Self { healthy, server: server.to_owned(), kubernetes, findings }
    }

    /// One line a finding, with an indented `do:` line where there is something to do; a summary.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let (level, check) = (label(finding.level), finding.check);
            let _ = write!(text, "{level:<8} {check}");
            if !finding.subject.is_empty() {
                let _ = write!(text, " {}", finding.subject);
            }
            let _ = writeln!(text, ": {}", finding.message);
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(text, "{:<8} do: {remedy}", "");
            }
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (problems, hints) = (count(Level::Problem), count(Level::Hint));
        let verdict = if self.healthy { "rejob is well" } else { "rejob needs attention" };
        let _ = writeln!(
            text,
            "\n{verdict}: {}, {}",
            plural(problems, "problem"),
            plural(hints, "hint")
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Diagnosis {
        Diagnosis::new(
            "https://10.0.0.1",
            Some("v1.37.2".into()),
            vec![
                About::new("version", "").ok("fine"),
                About::new("order", "a").hint("look", "rename it"),
                About::new("ca-bundle", "00-rejob/ttl.rejob.dev")
                    .problem("no\ncaBundle", "kubectl x"),
            ],
        )
    }

    #[test]
    fn text_has_a_line_a_finding_and_what_to_do() {
        let expected = "\
ok       version: fine
hint     order a: look
         do: rename it
problem  ca-bundle 00-rejob/ttl.rejob.dev: no caBundle
         do: kubectl x

rejob needs attention: 1 problem, 1 hint
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn the_shape_of_the_json_is_a_contract() {
        let json = serde_json::to_value(report()).unwrap();
        let expected = serde_json::json!({
            "healthy": false,
            "server": "https://10.0.0.1",
            "kubernetes": "v1.37.2",
            "findings": [
                { "level": "ok", "check": "version", "subject": "", "message": "fine", "do": null },
                { "level": "hint", "check": "order", "subject": "a", "message": "look",
                  "do": "rename it" },
                { "level": "problem", "check": "ca-bundle", "subject": "00-rejob/ttl.rejob.dev",
                  "message": "no caBundle", "do": "kubectl x" },
            ]
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn hints_alone_leave_it_healthy() {
        let hint = About::new("rights", "a")
            .unchecked("the rights", "jobs is forbidden: User \"a\" cannot list");
        assert!(hint.remedy.is_some());
        assert!(Diagnosis::new("", None, vec![hint]).healthy);
    }
}
