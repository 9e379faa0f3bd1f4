//! `docs/reasons.md` is made from the list of reasons: `UPDATE_DOCS=1 cargo test --test core reasons_doc`
//! writes it anew, and without that a stale file fails.

use std::fmt::Write as _;

use rejob_core::reason::Reason;

/// The steps in the order of the design, and what each is about.
const STEPS: &[(&str, &str)] = &[
    ("left alone", "Requests and Jobs that rejob has nothing to do with."),
    ("annotations", "A Job's own annotations, which override its policy."),
    ("create", "A Job is created."),
    ("update", "A Job is changed, but needs no replacement."),
    ("onChange", "The immutable part changes, and the policy does not replace."),
    (
        "replacement",
        "The immutable part changes, or `rejob.dev/rerun` does, and the policy replaces.",
    ),
    ("defect", "These should never be seen; please report them."),
];

fn document() -> String {
    let mut text = String::from(
        "# Reasons\n\nEvery decision has one reason. It is the label `reason` of the metric \
         `rejob_reviews_total`, the field `reason` of the log line, and the audit annotation \
         `reason`. `rejob review --explain` prints its sentence.\n\n\
         This file is made from `crates/core/src/reason.rs`: `UPDATE_DOCS=1 cargo test --test core reasons_doc`.\n",
    );
    for (step, about) in STEPS {
        write!(text, "\n## {step}\n\n{about}\n\n| reason | what happened |\n|---|---|\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| reason.step() == *step) {
            writeln!(text, "| `{}` | {} |", reason.label(), reason.sentence()).unwrap();
        }
    }
    text
}

#[test]
fn the_document_tells_every_reason() {
    let document = document();
    for reason in Reason::ALL {
        assert!(
            document.contains(reason.sentence()),
            "{reason:?}: step {:?} is new",
            reason.step()
        );
    }
    let path = crate::root().join("docs/reasons.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == document,
        "docs/reasons.md is stale: run UPDATE_DOCS=1 cargo test --test core reasons_doc"
    );
}
