//! The manifests of `tests/cases/hash` hash like their stored forms, without a cluster.
//!
//! `hash_matches_the_api_server` writes the stored forms and holds them against a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests panic where a test would"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rejob::job::{Change, TemplateHash, changes, immutable_part};
use serde_json::Value;

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/hash");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut manifests: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    manifests.sort();
    assert!(manifests.len() >= 60, "only {} manifests", manifests.len());
    let case = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, read(&path), read(&path.with_extension("stored.json")))
    };
    manifests.into_iter().map(case).collect()
}

#[test]
fn a_manifest_hashes_like_its_stored_form() {
    for (name, manifest, stored) in cases() {
        let differences: Vec<_> =
            changes(&manifest, &stored).iter().map(Change::describe).collect();
        assert_eq!(differences, [""; 0], "{name}");
        assert_eq!(TemplateHash::of(&manifest), TemplateHash::of(&stored), "{name}");
    }
}

#[test]
fn the_normal_form_is_its_own_normal_form() {
    for (name, _, stored) in cases() {
        let part = immutable_part(&stored);
        let mut again = serde_json::json!({ "spec": part.clone() });
        for field in ["manualSelector", "parallelism"] {
            if let Some(value) = stored["spec"].get(field) {
                again["spec"][field] = value.clone();
            }
        }
        assert_eq!(immutable_part(&again), part, "{name}");
    }
}

#[test]
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
