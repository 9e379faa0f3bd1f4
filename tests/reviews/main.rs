//! Golden reviews: what the API server really sent (`captured`), and one small case per rule.
//!
//! Each case names the reason that must come out; a snapshot beside it holds the whole answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod captured;
mod case;
mod show;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rejob::decide::Verdict;
use rejob::reason::Reason;

use case::{Case, folder};

/// The handwritten cases, sorted.
fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|group| group.unwrap().path())
        .filter(|group| group.is_dir() && !group.ends_with("base") && !group.ends_with("captured"))
        .flat_map(|group| std::fs::read_dir(group).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    cases
}

/// Keeps the snapshot beside its case.
fn snapshot(path: &Path, description: &str, value: &serde_json::Value) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_input_file(path);
    settings.set_description(description);
    settings.bind(|| {
        insta::assert_yaml_snapshot!(path.file_stem().unwrap().to_str().unwrap(), value);
    });
}

#[test]
fn every_case_is_decided_as_its_snapshot_says() {
    let mut failed = Vec::new();
    for path in cases() {
        let case = Case::read(&path);
        let request = case.request();
        let decision = case.decide(&request);
        let outcome = std::panic::catch_unwind(|| {
            assert_eq!(decision.reason.label(), case.expect, "{}", case.rule);
            snapshot(&path, &case.rule, &show::show(&request, &decision));
        });
        if outcome.is_err() {
            failed.push(path);
        }
    }
    assert!(failed.is_empty(), "{} cases differ: {failed:#?}", failed.len());
}

#[test]
fn every_reason_that_a_decision_gives_has_a_case() {
    // Given by the execution of a plan, not by `decide`.
    let of_the_execution = [
        Reason::RightsDenied,
        Reason::NotOptedIn,
        Reason::NoCluster,
        Reason::NoTime,
        Reason::ClusterError,
    ];
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let shown: BTreeSet<Reason> = cases
        .iter()
        .map(|path| Case::read(path))
        .map(|case| case.decide(&case.request()).reason)
        .collect();
    let missing: Vec<&Reason> = Reason::ALL
        .iter()
        .filter(|reason| !shown.contains(reason) && !of_the_execution.contains(reason))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
    for reason in of_the_execution {
        assert!(!shown.contains(&reason), "{reason:?} is decided after all: list it no more");
    }
}

#[test]
fn a_replacement_sends_no_secret_to_anyone() {
    let mut replaced = 0;
    for path in cases() {
        let case = Case::read(&path);
        let request = case.request();
        let decision = case.decide(&request);
        if let Verdict::Replace(plan) = &decision.verdict {
            replaced += 1;
            let said = format!("{} {:?} {:?}", plan.described, decision.warnings, decision.audit);
            assert!(!said.contains("hunter2"), "{}: {said}", path.display());
        }
    }
    assert!(replaced > 10, "{replaced} replacements");
}
