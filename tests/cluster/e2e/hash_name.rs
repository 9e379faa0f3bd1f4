//! The policy `hash-name`: each template is a Job of its own, `<name>-<hash>`.

use std::process::Command;

use serde_json::{Value, json};

use support::manifest::{annotation, image, job};
use support::namespace::Namespace;
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;

/// `kubectl create -o name`: the name under which the Job is stored.
fn create(namespace: &Namespace, manifest: &Value) -> String {
    let created =
        namespace.kubectl_with(&manifest.to_string(), &["create", "-o", "name", "-f", "-"]).ok();
    created.line().strip_prefix("job.batch/").unwrap().to_owned()
}

/// Whether it is `<base>-<hash>`, with a hash of 10 characters.
fn is_hash_name(name: &str, base: &str) -> bool {
    let hash = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| {
        hash.len() == 10 && hash.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

/// Every way to the Jobs agrees on their names: list, get, and the keys of storage.
fn assert_names_agree(plane: &ControlPlane, namespace: &Namespace, names: &[&str]) {
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(namespace.job_names(), names);
    for name in &names {
        assert_eq!(namespace.job(name).unwrap()["metadata"]["name"], *name);
    }
    let both = |name: &&str| ((*name).to_owned(), (*name).to_owned());
    assert_eq!(
        plane.stored_names("jobs", namespace.name()),
        names.iter().map(both).collect::<Vec<_>>()
    );
}

#[test]
fn a_changed_manifest_makes_a_second_job_and_an_unchanged_one_exists_already() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let first = create(&namespace, &job("import", "app:1"));
    assert!(is_hash_name(&first, "import"), "{first}");
    let stored = namespace.job(&first).unwrap();
    assert_eq!(annotation(&stored, "rejob.dev/base-name"), Some("import"));
    assert!(first.ends_with(annotation(&stored, "rejob.dev/template-hash").unwrap()), "{first}");
    assert_eq!(stored["spec"]["ttlSecondsAfterFinished"], 86400);

    let manifest = job("import", "app:1").to_string();
    let again = namespace.kubectl_with(&manifest, &["create", "-f", "-"]).exited(1);
    again.warns("AlreadyExists");
    again.warns(&first);

    let second = create(&namespace, &job("import", "app:2"));
    assert!(is_hash_name(&second, "import") && second != first, "{second}");
    assert_names_agree(&plane, &namespace, &[&first, &second]);
    assert_eq!(image(&namespace.job(&first).unwrap()), "app:1");
    assert_eq!(image(&namespace.job(&second).unwrap()), "app:2");

    // Both run, and both can be deleted by the names that they show.
    for name in [&first, &second] {
        namespace.finish_pods(name);
        namespace.kubectl(&["delete", "job", name]).ok();
    }
    assert_names_agree(&plane, &namespace, &[]);
}

#[test]
fn the_offline_hash_is_the_one_in_the_name() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let manifest = job("import", "app:1");
    let mut hash = Command::new(env!("CARGO_BIN_EXE_rejob"));
    let printed = Output::of(hash.arg("hash"), &manifest.to_string()).ok();
    let (hash, name) = printed.line().split_once("  ").unwrap();
    assert_eq!(name, "import");
    assert_eq!(create(&namespace, &manifest), format!("import-{hash}"));
}

#[test]
fn a_dry_run_shows_the_name_and_stores_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let manifest = job("import", "app:1");
    let args = ["create", "--dry-run=server", "-o", "name", "-f", "-"];
    let shown = namespace.kubectl_with(&manifest.to_string(), &args).ok();
    assert_names_agree(&plane, &namespace, &[]);
    assert_eq!(shown.line(), format!("job.batch/{}", create(&namespace, &manifest)));
}

#[test]
fn an_indexed_job_with_a_name_of_60_characters_still_makes_valid_pods() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let base = "a".repeat(60);
    let mut indexed = job(&base, "app:1");
    indexed["spec"]["completionMode"] = json!("Indexed");
    indexed["spec"]["completions"] = json!(100);
    indexed["spec"]["parallelism"] = json!(1);
    let name = create(&namespace, &indexed);
    assert!((name.len() + "-99".len()) <= 63, "{name}");
    assert!(is_hash_name(&name, name.rsplit_once('-').unwrap().0), "{name}");
    assert_names_agree(&plane, &namespace, &[&name]);
    let pods = namespace.started_pods(&name);
    assert_eq!(pods[0]["spec"]["hostname"], format!("{name}-0"));
    let longest = create(&namespace, &job(&"b".repeat(63), "app:1"));
    assert_eq!(longest.len(), 63);
    namespace.finish_pods(&longest);
}

#[test]
fn a_generated_name_is_left_to_the_api_server() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let mut manifest = job("unused", "app:1");
    manifest["metadata"] = json!({ "generateName": "import-" });
    let (first, second) = (create(&namespace, &manifest), create(&namespace, &manifest));
    for name in [&first, &second] {
        assert!(name.starts_with("import-") && name.len() == "import-".len() + 5, "{name}");
    }
    assert_names_agree(&plane, &namespace, &[&first, &second]);
}

#[test]
fn two_long_names_that_differ_only_in_what_is_cut_off_are_two_jobs() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    let bases = ["east", "west"].map(|end| format!("{}in-{end}", "import-".repeat(8)));
    let stored = bases.each_ref().map(|base| {
        assert!(base.len() > 60, "{base}");
        let name = create(&namespace, &job(base, "app:1"));
        assert_eq!(
            annotation(&namespace.job(&name).unwrap(), "rejob.dev/base-name"),
            Some(&**base)
        );
        name
    });
    assert_ne!(stored[0], stored[1]);
    assert_names_agree(&plane, &namespace, &[&stored[0], &stored[1]]);
    let hashes = stored.each_ref().map(|name| {
        annotation(&namespace.job(name).unwrap(), "rejob.dev/template-hash").unwrap().to_owned()
    });
    assert_eq!(hashes[0], hashes[1], "one template");
    // Each of them is the same Job when it is created again.
    for (base, name) in bases.iter().zip(&stored) {
        let again = job(base, "app:1").to_string();
        namespace.kubectl_with(&again, &["create", "-f", "-"]).exited(1).warns(name);
    }
}
