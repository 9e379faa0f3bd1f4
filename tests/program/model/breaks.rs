//! Each rule is needed: without it, the checker finds a counterexample.

use super::check::Checked;
use super::job::{NEVER_DORMANT, NEVER_RELEASED};
use super::rules::Rule;
use super::scenario::{FailurePolicy, Forgery, Kind, Scenario, Sender};

/// A scenario that holds, and no longer does without the rule; and which property it breaks.
fn needs(rule: Rule) -> (Scenario, &'static str) {
    let one = |kind| Scenario::of(vec![Sender::new(kind, "ada", &["a:2"])]);
    let undisturbed = |scenario| Scenario { all_succeed: true, ..scenario };
    match rule {
        Rule::PutBack => (
            Scenario { cache: false, ..undisturbed(one(Kind::Patch)) },
            "an undisturbed request succeeds",
        ),
        // A manager that owns the field already: else the new owner would count as a change.
        Rule::Marker => (
            Scenario {
                cache: false,
                ..Scenario::of(vec![
                    Sender::new(Kind::Patch, "ada", &["a:2"]).with_manager("creator"),
                ])
            },
            "success is about what was asked for",
        ),
        Rule::Preconditions => (
            Scenario::of(vec![
                Sender::new(Kind::Patch, "ada", &["a:2"]),
                Sender::new(Kind::Patch, "ada", &["a:3"]),
            ]),
            "a deletion hits the Job that was seen",
        ),
        Rule::DryRunCheck => (
            Scenario::of(vec![Sender::new(Kind::Patch, "ada", &[NEVER_RELEASED])]),
            "nothing is deleted when the new one would be refused",
        ),
        Rule::DormantDryRunCheck => (
            Scenario::of(vec![Sender::new(Kind::Patch, "ada", &[NEVER_DORMANT])]),
            "nothing is deleted when the new one would be refused",
        ),
        Rule::RightsCheck => (
            Scenario::of(vec![Sender::new(Kind::Patch, "patch-only", &["a:2"])]),
            "nothing is deleted when the new one would be refused",
        ),
        Rule::Dormant => (
            Scenario { forgery: Some(FORGERY), ..one(Kind::Label) },
            "a forged review starts no Pod",
        ),
        // A user without rights, who then writes himself.
        Rule::ReleaseByItsUser => (
            Scenario {
                forgery: Some(CLAIM),
                ..Scenario::of(vec![Sender::new(Kind::Label, "patch-only", &["a:2"])])
            },
            "a forged review starts no Pod",
        ),
        Rule::IntendedParallelism => (
            Scenario {
                cache: false,
                ..Scenario::of(vec![
                    Sender::new(Kind::Patch, "ada", &["a:2"]),
                    Sender::new(Kind::Patch, "ada", &["a:3"]),
                ])
            },
            "a Job that is there runs",
        ),
        Rule::Reaper => (Scenario { faults: 1, ..one(Kind::Patch) }, "no Job stays dormant"),
        Rule::ReaperPreconditions => (
            Scenario {
                faults: 1,
                ..Scenario::of(vec![Sender::new(Kind::Patch, "ada", &["a:2", "a:2"])])
            },
            "the reaper deletes only dormant Jobs",
        ),
        Rule::DeleteOnlyForApply => (
            undisturbed(Scenario {
                applied_by: Some("tool"),
                ..Scenario::of(vec![Sender::new(Kind::Apply, "ada", &["a:2", "a:3"])])
            }),
            "an undisturbed request succeeds",
        ),
        Rule::RevisionRewrite => {
            (undisturbed(one(Kind::PutAtRevision)), "an undisturbed request succeeds")
        }
        Rule::UnansweredIsNotStale => {
            (Scenario { faults: 1, ..one(Kind::Patch) }, "success is about what was asked for")
        }
        Rule::LooksChanged => (
            Scenario {
                faults: 1,
                image_set: Some("a:2"),
                ..Scenario::of(vec![Sender::new(Kind::Kubectl, "ada", &["a:1", "a:1"])])
            },
            "success is never about a dormant Job",
        ),
        Rule::WaitsForProgress => (
            Scenario {
                pods_become_ready: true,
                ..Scenario::of(vec![Sender::new(Kind::Patch, "ada", &["a:2", "a:3"])])
            },
            "a Job that makes progress is not deleted",
        ),
        // It has gone on, and was told success about the Job that there was.
        Rule::BeginsForItsClient => (
            Scenario {
                faults: 1,
                ..Scenario::of(vec![Sender::new(Kind::Kubectl, "ada", &["a:2", "a:1"])])
            },
            "a Job is gone only where its client was told an error",
        ),
        Rule::DormantFailsClosed => (
            Scenario {
                faults: 1,
                failure_policy: FailurePolicy::Ignore,
                ..Scenario::of(vec![Sender::new(Kind::Patch, "ada", &["a:2"])])
            },
            "success is never about a dormant Job",
        ),
    }
}

const FORGERY: Forgery = Forgery { user: "root", manager: "kubectl", group: None };
const CLAIM: Forgery =
    Forgery { user: "patch-only", manager: "tool", group: Some("system:masters") };

#[test]
fn without_any_one_rule_the_checker_finds_a_counterexample() {
    for rule in Rule::ALL {
        let (scenario, expected) = needs(rule);
        let found = Checked::new(scenario.clone(), None).explore();
        assert!(found.violation.is_none(), "{rule:?} intact: {:?}", found.violation);
        let found = Checked::new(scenario, Some(rule)).explore();
        let Some((property, path)) = found.violation else {
            panic!("without {rule:?} all {} states are fine", found.states)
        };
        assert_eq!(property, expected, "without {rule:?}:\n{path}");
    }
}

/// The limit that `docs/design/protocol.md` names is real: the checker finds it.
#[test]
fn the_documented_limit_is_found() {
    for kind in [Kind::Label, Kind::Scale, Kind::Patch, Kind::Kubectl] {
        let forged = Scenario {
            forgery: Some(Forgery { user: "ada", manager: "tool", group: None }),
            ..Scenario::of(vec![Sender::new(kind, "ada", &["a:2"])])
        };
        let found = Checked::new(forged, None).explore();
        let (property, path) = found.violation.expect("a writer whose name was guessed");
        assert_eq!(property, "a forged review starts no Pod", "{kind:?}: {path}");
    }
}

/// Helm's own annotation does not change with the image: it, too, must look changed.
#[test]
fn helm_would_take_a_dormant_job_that_looks_unchanged_for_done() {
    let helm = || Scenario {
        faults: 1,
        ..Scenario::of(vec![Sender::new(Kind::Helm, "ada", &["a:2", "a:2"])])
    };
    assert!(Checked::new(helm(), None).explore().violation.is_none());
    let found = Checked::new(helm(), Some(Rule::LooksChanged)).explore();
    let (property, path) = found.violation.expect("Helm finds it done");
    assert_eq!(property, "success is never about a dormant Job", "{path}");
}
