//! What Helm prints after an installation: the next commands, and what to know before.

use super::render::{HELMS, chart};
use support::helm::Helm;
use support::namespace::Namespace;
use support::plane::ControlPlane;

fn notes(namespace: &Namespace, helm: Helm, args: &[&str]) -> String {
    let chart = chart().display().to_string();
    let install = ["install", "rejob", &chart, "--dry-run=client"];
    let printed = namespace.helm(helm, &[&install[..], args].concat()).ok().stdout;
    printed.split_once("NOTES:").expect("notes").1.to_owned()
}

#[test]
fn the_notes_name_the_next_command() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("notes", &[]);
    for helm in HELMS {
        let notes = notes(&namespace, helm, &[]);
        assert!(
            notes.contains("kubectl label namespace NAMESPACE rejob.dev/policy=replace"),
            "{notes}"
        );
        let doctor = format!("rejob doctor --namespace {}", namespace.name());
        assert!(notes.contains(&doctor), "{notes}");
        // From the image of this very release.
        let image = format!("ghcr.io/rejob/rejob:{} \\\n", env!("CARGO_PKG_VERSION"));
        assert!(notes.contains(&image), "{notes}");
        let test = format!("helm test rejob --namespace {}", namespace.name());
        assert!(notes.contains(&test), "{notes}");
    }
}

/// What is said of it, and the settings under which it is said and is not.
const WARNINGS: [(&str, &[&str], &[&str]); 10] = [
    ("in every namespace", &[], &["rbac.namespaces={batch}"]),
    ("in every namespace", &[], &["rbac.create=false"]),
    ("selfGuard.enabled is false", &["selfGuard.enabled=false"], &[]),
    (
        "selfGuard.enabled is false",
        &["selfGuard.enabled=false"],
        &[ONLY_KEEPS[0], ONLY_KEEPS[1], "selfGuard.enabled=false"],
    ),
    (
        "so anyone who reaches the port can send requests",
        &["certificates.mode=provided", "webhook.acceptUnauthenticated=true"],
        &["webhook.acceptUnauthenticated=true"],
    ),
    (
        "so anyone who reaches the port",
        &["certificates.mode=provided", "webhook.acceptUnauthenticated=true"],
        &["certificates.mode=provided", "webhook.pathToken=true"],
    ),
    ("webhook.failurePolicy is Fail", &["webhook.failurePolicy=Fail"], &[]),
    ("rerun.rejob.dev", &[], &ONLY_KEEPS),
    ("dormant.rejob.dev", &[], &ONLY_KEEPS),
    ("and paused", &["paused=true"], &[]),
];

const ONLY_KEEPS: [&str; 2] =
    ["policies.replace=null,policies.hash-name=null", "policies.ttl.onChange=Keep"];

#[test]
fn the_notes_warn_of_what_is_open_and_of_nothing_else() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("warnings", &[]);
    for (number, (text, yes, no)) in WARNINGS.into_iter().enumerate() {
        let helm = HELMS[number % 2];
        for (sets, expected) in [(yes, true), (no, false)] {
            // For the cases with a certificate from elsewhere.
            let secret = ["--set", "certificates.provided.secretName=a"];
            let args: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).chain(secret).collect();
            let notes = notes(&namespace, helm, &args);
            assert_eq!(notes.contains(text), expected, "{text:?} {sets:?}: {notes}");
        }
    }
}

#[test]
fn the_notes_warn_of_the_namespace_default() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("warnings", &[]);
    for helm in HELMS {
        let warning = "the release is in the namespace default";
        // The last one counts.
        let there = notes(&namespace, helm, &["--namespace", "default"]);
        assert!(there.contains(warning), "{there}");
        assert!(!notes(&namespace, helm, &[]).contains(warning));
    }
}

#[test]
fn the_notes_of_a_chart_that_is_not_enabled_say_so() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("warnings", &[]);
    let notes = notes(&namespace, HELMS[1], &["--set", "enabled=false"]);
    assert_eq!(notes.trim(), "rejob is not enabled: nothing is installed.");
}
