//! The manifests of `tests/cases/hash` hash like their stored forms, without a cluster.
//!
//! `hash_matches_the_api_server` writes the stored forms and holds them against a real API server.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use rejob_core::job::{Change, TemplateHash, changes, immutable_part};
use serde_json::Value;

use super::{sorted, trial};

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    // JSON is YAML, but the stored forms are read as what they are.
    if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text).unwrap()
    } else {
        serde_saphyr::from_str(&text).unwrap()
    }
}

/// Name, manifest and stored form of each case.
fn cases() -> Vec<(String, Value, Value)> {
    let mut manifests = sorted(&super::cases().join("hash"));
    manifests.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    assert!(manifests.len() >= 60, "only {} manifests", manifests.len());
    let case = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, read(&path), read(&path.with_extension("stored.json")))
    };
    manifests.into_iter().map(case).collect()
}

/// One test a manifest, and one of all.
pub fn trials() -> Vec<Trial> {
    let one = |(name, manifest, stored): (String, Value, Value)| {
        trial(format!("hash/{name}"), move || {
            hashes_like_its_stored_form(&manifest, &stored);
            the_normal_form_is_its_own_normal_form(&stored);
        })
    };
    let mut trials: Vec<_> = cases().into_iter().map(one).collect();
    let all = only_manifests_that_mean_the_same_hash_alike;
    trials.push(trial("hash/only_manifests_that_mean_the_same_hash_alike", all));
    trials
}

fn hashes_like_its_stored_form(manifest: &Value, stored: &Value) {
    let differences: Vec<_> = changes(manifest, stored).iter().map(Change::describe).collect();
    assert_eq!(differences, [""; 0]);
    assert_eq!(TemplateHash::of(manifest), TemplateHash::of(stored));
}

fn the_normal_form_is_its_own_normal_form(stored: &Value) {
    let part = immutable_part(stored);
    let mut again = serde_json::json!({ "spec": part.clone() });
    for field in ["manualSelector", "parallelism"] {
        if let Some(value) = stored["spec"].get(field) {
            again["spec"][field] = value.clone();
        }
    }
    assert_eq!(immutable_part(&again), part);
}

fn only_manifests_that_mean_the_same_hash_alike() {
    let same: &[&[&str]] = &[
        // One Pod to complete, written in two ways.
        &["completions-one-alone", "nulls-everywhere"],
        // How many Pods work on a queue may change.
        &["work-queue-of-one", "work-queue"],
        &["service-account-by-both-names", "service-account-by-its-old-name"],
    ];
    let mut by_hash: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, manifest, _) in cases() {
        by_hash.entry(TemplateHash::of(&manifest).to_string()).or_default().push(name);
    }
    for names in by_hash.values() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(names.len() == 1 || same.contains(&names.as_slice()), "{names:?} hash alike");
    }
}
