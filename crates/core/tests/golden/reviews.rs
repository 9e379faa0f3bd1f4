//! Golden reviews: whole decisions, on handwritten cases and on captured reviews.

mod captured;
mod case;
mod show;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use rejob_core::decide::Verdict;
use rejob_core::reason::Reason;

use super::{case_name, sorted, trial};
use case::{Case, folder};

/// One test a case, and the laws that hold for all of them.
pub fn trials() -> Vec<Trial> {
    let mut trials = captured::trials();
    for path in cases() {
        trials.push(trial(case_name(&path), move || is_decided_as_its_snapshot_says(&path)));
    }
    trials.push(trial("reviews/every_reason_that_a_decision_gives_has_a_case", every_reason));
    trials.push(trial("reviews/a_replacement_sends_no_secret_to_anyone", no_secret));
    trials
}

/// The handwritten cases, sorted.
fn cases() -> Vec<PathBuf> {
    sorted(&folder())
        .into_iter()
        .filter(|group| group.is_dir() && !group.ends_with("base") && !group.ends_with("captured"))
        .flat_map(|group| sorted(&group))
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect()
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

fn is_decided_as_its_snapshot_says(path: &Path) {
    let case = Case::read(path);
    let request = case.request();
    let decision = case.decide(&request);
    assert_eq!(decision.reason.label(), case.expect, "{}", case.rule);
    snapshot(path, &case.rule, &show::show(&request, &decision));
}

fn every_reason() {
    // Given by the execution of a plan, not by `decide`.
    let of_the_execution = [
        Reason::RightsDenied,
        Reason::NotOptedIn,
        Reason::NoCluster,
        Reason::NoTime,
        Reason::HungUp,
        Reason::TooManyRequests,
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

fn no_secret() {
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
