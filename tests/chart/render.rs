//! Renders the chart, and holds that rendering is a pure function of chart and values.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::examples::files;
use support::binaries::Binaries;
use support::helm::Helm;
use support::output::Output;

/// The Helm versions that render.
pub const HELMS: [Helm; 2] = [Helm::V3_22, Helm::V4_3];

/// The Kubernetes version that the chart is rendered for, unless a test says otherwise.
pub const KUBERNETES: &str = "1.37.2";

/// The minor version of the Kubernetes under test: 37.
pub fn minor() -> u32 {
    Binaries::get().minor
}

/// The folder of the chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/rejob")
}

/// A file of the chart.
pub fn file(path: &str) -> String {
    let path = chart().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the `ci/<name>-values.yaml`, sorted.
pub fn ci_names() -> Vec<String> {
    let entries = std::fs::read_dir(chart().join("ci")).expect("the folder ci");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a text"))
        .map(|name| name.strip_suffix("-values.yaml").expect("a name of that form").to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 5, "{names:?}");
    names
}

/// The path of `ci/<name>-values.yaml`.
pub fn ci_values(name: &str) -> String {
    chart().join(format!("ci/{name}-values.yaml")).display().to_string()
}

/// `helm template` of the release `rejob` in the namespace `rejob`, with more arguments.
pub fn template(helm: Helm, args: &[&str]) -> Output {
    template_with(helm, args, "")
}

/// As [`template`]; `values` is YAML, read last.
pub fn template_with(helm: Helm, args: &[&str], values: &str) -> Output {
    template_named(helm, "rejob", args, values)
}

/// As [`template_with`], for a release of another name.
pub fn template_named(helm: Helm, release: &str, args: &[&str], values: &str) -> Output {
    let mut command = Command::new(helm.program());
    command.args(["template", release]).arg(chart()).args(["--namespace", "rejob"]);
    // What `helm test` makes is no part of an installation: see doctor_test.rs.
    command.arg("--skip-tests");
    command.args(["--kube-version", KUBERNETES]).args(args).args(["--values", "-"]);
    // No settings, plugins or cluster of whoever runs the tests.
    command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR")).env("KUBECONFIG", "/dev/null");
    Output::of(&mut command, values)
}

/// The rendered text for one of the ci values.
pub fn ci(helm: Helm, name: &str) -> String {
    template(helm, &["--values", &ci_values(name)]).ok().stdout
}

/// The objects of a rendered text.
pub fn objects(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("rendered YAML");
    documents.into_iter().filter(|object| !object.is_null()).collect()
}

/// The objects for one of the ci values.
pub fn ci_objects(name: &str) -> Vec<Value> {
    objects(&ci(Helm::V4_3, name))
}

/// The objects for values.
pub fn objects_with(values: &str) -> Vec<Value> {
    objects(&template_with(Helm::V4_3, &[], values).ok().stdout)
}

/// The objects of one kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The one object of that kind.
#[track_caller]
pub fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let all = of_kind(objects, kind);
    assert_eq!(all.len(), 1, "{} objects of the kind {kind}", all.len());
    all[0]
}

/// The documents in an order that does not depend on Helm's version.
fn sorted(text: &str) -> String {
    let mut documents: Vec<_> =
        text.split("\n---\n").map(|text| text.trim().trim_start_matches("---\n")).collect();
    documents.sort_unstable();
    documents.join("\n---\n")
}

#[test]
fn two_renders_are_identical_and_both_helms_render_the_same_objects() {
    for name in ci_names() {
        let [helm3, helm4] = HELMS.map(|helm| ci(helm, &name));
        assert_eq!(ci(Helm::V4_3, &name), helm4, "{name}");
        assert_eq!(ci(Helm::V3_22, &name), helm3, "{name}");
        assert_eq!(sorted(&helm3), sorted(&helm4), "{name}");
    }
}

#[test]
fn every_ci_values_file_renders_what_was_reviewed() {
    for name in ci_names() {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("chart-{name}"), sorted(&ci(Helm::V4_3, &name)));
        });
    }
}

#[test]
fn helm_lint_finds_nothing_to_warn_of() {
    for helm in HELMS {
        for name in ci_names() {
            let mut command = Command::new(helm.program());
            command.args(["lint", "--strict", "--kube-version", KUBERNETES]).arg(chart());
            command.args(["--values", &ci_values(&name)]);
            command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR"));
            let output = Output::of(&mut command, "").ok();
            assert!(output.stdout.contains("0 chart(s) failed"), "{}", output.stdout);
        }
    }
}

#[test]
fn the_templates_use_no_hook_but_of_helm_test_no_lookup_and_nothing_random() {
    for path in files("charts/rejob/templates") {
        let text = std::fs::read_to_string(&path).expect("a template");
        for forbidden in [
            "helm.sh/hook",
            "lookup ",
            "rand",
            "genCA",
            "genSelf",
            "genSigned",
            "uuidv4",
            "now ",
            "caBundle:",
        ] {
            // The conditions name the annotation of Helm's hooks, since they leave hooks alone.
            let hooks = path.ends_with("_conditions.tpl") || path.ends_with("tests/doctor.yaml");
            let allowed = hooks && forbidden == "helm.sh/hook";
            assert!(allowed || !text.contains(forbidden), "{forbidden:?} in {}", path.display());
        }
    }
}
