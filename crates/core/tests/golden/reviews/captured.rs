//! What the API server really sent: the client of each request is told right. For Kubernetes
//! 1.30, only the reviews whose snapshot differs from that of 1.37 are kept.

use std::path::PathBuf;

use libtest_mimic::Trial;
use rejob_core::decide::{Context, Decision, Verdict, decide};
use rejob_core::job::{ActingOperation, Job, acting_operation, changes};
use rejob_core::policy::PolicySet;
use rejob_core::reason::Reason;
use rejob_core::replacement::Mode;
use rejob_core::review::{self, Operation, Request};

use super::case::folder;
use super::{show, snapshot};
use crate::{case_name, trial};

/// One test a captured review, and the tables that hold for all of them.
pub fn trials() -> Vec<Trial> {
    let is_decided = |(version, path, request): (String, PathBuf, Request)| {
        trial(case_name(&path), move || {
            let decision = decided("hash-name", &request);
            let about = format!("Kubernetes {version}, policy hash-name");
            snapshot(&path, &about, &show::show(&request, &decision));
        })
    };
    let mut trials: Vec<_> = captured().into_iter().map(is_decided).collect();
    let laws: [(&str, fn()); 3] = [
        ("each_update_finds_its_rule_and_its_mode", updates),
        ("an_apply_is_told_from_every_other_write_that_changes_the_template", applies),
        ("a_create_keeps_its_name_exactly_for_the_clients_that_would_look_it_up", creates),
    ];
    trials.extend(laws.map(|(name, law)| trial(format!("reviews/captured/{name}"), law)));
    trials
}

/// Version, name of the file, request.
fn captured() -> Vec<(String, PathBuf, Request)> {
    let mut all = Vec::new();
    for version in ["1.30", "1.37"] {
        for file in std::fs::read_dir(folder().join("captured").join(version)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let request = review::parse(&std::fs::read(&path).unwrap()).unwrap();
                all.push((version.to_owned(), path, request));
            }
        }
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    assert!(all.len() >= 39, "{} captured reviews", all.len());
    all
}

fn decided(policy: &str, request: &Request) -> Decision {
    let set = PolicySet::builtin();
    decide(request, set.get(policy).unwrap(), &Context::default())
}

/// `04-csa-update-nightly`.
fn stem(path: &std::path::Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// What must come out of each UPDATE with the policy `replace`: file, reason, and for a
/// replacement how.
const UPDATES: &[(&str, Reason, Option<Mode>)] = &[
    ("02-csa-update-nightly", Reason::Unchanged, None),
    ("03-csa-update-nightly-dry", Reason::WouldReplace, Some(Mode::Recreate)),
    ("04-csa-update-nightly", Reason::Replaced, Some(Mode::Recreate)),
    ("06-ssa-update-nightly", Reason::Unchanged, None),
    ("07-ssa-update-nightly-dry", Reason::WouldReplace, Some(Mode::Apply)),
    ("08-ssa-update-nightly", Reason::Replaced, Some(Mode::Apply)),
    ("10-ssa-update-nightly", Reason::Unchanged, None),
    ("11-ssa-update-nightly", Reason::Unchanged, None),
    ("14-put-update-nightly", Reason::Replaced, Some(Mode::Recreate)),
    ("16-helm3-update-r-job", Reason::Unchanged, None),
    ("17-helm3-update-r-job", Reason::Replaced, Some(Mode::Recreate)),
    ("19-helm4-update-r-job", Reason::Unchanged, None),
    ("20-helm4-update-r-job", Reason::Replaced, Some(Mode::Apply)),
    ("24-misc-update-indexed", Reason::AllowedChange, None),
    ("29-misc-update-byhand", Reason::SystemController, None),
    ("30-misc-update-fromcron", Reason::SystemController, None),
];

fn updates() {
    for version in ["1.30", "1.37"] {
        let mut seen = Vec::new();
        for (_, path, request) in captured().iter().filter(|(own, _, _)| own == version) {
            if request.operation != Operation::Update {
                continue;
            }
            let name = stem(path);
            let (_, reason, mode) = UPDATES
                .iter()
                .find(|(file, _, _)| *file == name)
                .unwrap_or_else(|| panic!("{version}/{name} is not in the table"));
            let decision = decided("replace", request);
            assert_eq!(decision.reason, *reason, "{version}/{name}");
            let found = match &decision.verdict {
                Verdict::Replace(plan) => Some(plan.mode),
                _ => None,
            };
            assert_eq!(found, *mode, "{version}/{name}");
            seen.push(name.to_owned());
        }
        let all = if version == "1.37" { UPDATES.len() } else { 7 };
        assert_eq!(seen.len(), all, "{version}: {seen:?}");
    }
}

fn applies() {
    let mut seen = 0;
    for (version, path, request) in captured() {
        let (Some(old), Some(new)) = (&request.old_object, &request.object) else { continue };
        if changes(old, new).is_empty() {
            continue;
        }
        let client = stem(&path).split('-').nth(1).unwrap();
        let expected = matches!(client, "ssa" | "helm4");
        let manager = request.field_manager.as_deref();
        let told =
            acting_operation(Job::new(old), Job::new(new), manager) == ActingOperation::Apply;
        assert_eq!(told, expected, "{version}/{}", stem(&path));
        seen += u32::from(told);
    }
    assert_eq!(seen, 6, "two of kubectl and one of Helm 4 in each version");
}

fn creates() {
    for (version, path, request) in captured() {
        if request.operation != Operation::Create {
            continue;
        }
        let name = stem(&path);
        let expected = match &name[3..] {
            "csa-create-nightly" | "ssa-create-nightly" | "helm3-create-r-job"
            | "helm4-create-r-job" => Reason::NameKept,
            "misc-create-fromcron" => Reason::ControllerOwned,
            "misc-create-from-cronjob" => Reason::SystemController,
            "misc-create-hooked" => Reason::HelmHook,
            "misc-create-generated" => Reason::GenerateName,
            _ => Reason::Renamed,
        };
        assert_eq!(decided("hash-name", &request).reason, expected, "{version}/{name}");
    }
}
