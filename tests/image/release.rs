//! What a release consists of: the dry run of `scripts/release.sh`, piece by piece.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::{build, value};
use support::helm::Helm;
use support::output::Output;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A script of the project that works on that folder of artifacts.
pub fn script(name: &str, dist: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("scripts").join(name));
    command.current_dir(root).env("DIST", dist).env("HELM", Helm::V4_3.program());
    command
}

fn dry_run(name: &str) -> PathBuf {
    let dist = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    Output::of(script("release.sh", &dist).arg("--dry-run").arg(build()), "").ok();
    dist
}

/// Everything of a release for this platform, made once.
pub fn made() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| dry_run("release"))
}

/// This platform by the words of Go and OCI.
pub fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// `rejob-<version>-<platform>`
fn name() -> String {
    format!("rejob-{VERSION}-linux-{}", arch())
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    Output::of(Command::new(program).args(arguments).current_dir(folder), "").ok()
}

pub fn sha256(file: &Path) -> String {
    let file = file.to_str().unwrap();
    run("sha256sum", &[file], Path::new("/")).stdout.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_archive_has_a_program_that_runs_with_completions_and_man_pages() {
    let folder = tempfile::tempdir().unwrap();
    let archive = made().join(format!("{}.tar.gz", name()));
    run("tar", &["--extract", "--file", archive.to_str().unwrap()], folder.path());
    let root = folder.path().join(name());
    let version = Output::of(Command::new(root.join("rejob")).arg("--version"), "").ok();
    assert_eq!(version.line(), format!("rejob {VERSION}"));
    let plugin =
        Output::of(Command::new(root.join("kubectl-rejob")).args(["status", "-h"]), "").ok();
    assert!(plugin.stdout.contains("Usage: kubectl rejob status"), "{}", plugin.stdout);
    for file in ["LICENSE", "completions/rejob.bash", "man/rejob.1", "man/rejob-doctor.1"] {
        assert!(fs::metadata(root.join(file)).unwrap().len() > 0, "{file}");
    }
    let bash = root.join("completions/rejob.bash");
    run("bash", &["-c", "source \"$0\" && complete -p rejob", bash.to_str().unwrap()], &root);
}

#[test]
fn the_checksums_are_right_and_leave_no_file_out() {
    let checked = run("sha256sum", &["--check", "--strict", "SHA256SUMS"], made()).stdout;
    let checked: BTreeSet<_> = checked.lines().map(|line| line.replace(": OK", "")).collect();
    let files = fs::read_dir(made()).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    let mut files: BTreeSet<_> =
        files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    for beside in ["SHA256SUMS", "notes.md"] {
        assert!(files.remove(beside), "no {beside}");
    }
    assert_eq!(checked, files);
    let expected = [
        format!("{}.cdx.json", name()),
        format!("{}.tar.gz", name()),
        format!("rejob-{VERSION}.tgz"),
        "rejob.yaml".to_owned(),
    ];
    assert_eq!(checked, expected.into());
}

#[test]
fn a_commit_makes_the_same_files_again() {
    // Not at the same time: the bill of materials is made in the folder of the sources.
    let first = made();
    // In another clone the files have other times.
    run("touch", &["charts/rejob/values.yaml"], Path::new(env!("CARGO_MANIFEST_DIR")));
    let again = dry_run("release-again");
    for file in ["SHA256SUMS", "image/index.json"] {
        let read = |dist: &Path| fs::read_to_string(dist.join(file)).unwrap();
        assert_eq!(read(first), read(&again), "{file}");
    }
    fs::remove_dir_all(again).unwrap();
}

#[test]
fn the_chart_is_packaged_with_the_version_of_the_crate() {
    let package = made().join(format!("rejob-{VERSION}.tgz"));
    let package = package.to_str().unwrap();
    let chart = run("tar", &["-xOf", package, "rejob/Chart.yaml"], Path::new("/")).stdout;
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    assert_eq!([&chart["version"], &chart["appVersion"]], [VERSION, VERSION]);
}

#[test]
fn the_krew_manifest_names_the_archive_its_checksum_and_its_files() {
    let text = fs::read_to_string(made().join("rejob.yaml")).unwrap();
    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(manifest["spec"]["version"], format!("v{VERSION}"));
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 1, "{text}");
    let platform = &platforms[0];
    let labels = &platform["selector"]["matchLabels"];
    assert_eq!([&labels["os"], &labels["arch"]], ["linux", arch()]);
    let (page, file) = platform["uri"].as_str().unwrap().rsplit_once('/').unwrap();
    assert_eq!(page, format!("{}/releases/download/v{VERSION}", value("Cargo.toml", "repository")));
    assert_eq!(platform["sha256"], sha256(&made().join(file)));
    let listed = run("tar", &["--list", "--file", file], made()).stdout;
    let listed: Vec<_> = listed.lines().collect();
    let taken = platform["files"].as_array().unwrap();
    let taken: Vec<_> = taken.iter().map(|file| file["from"].as_str().unwrap()).collect();
    assert!(taken.iter().all(|file| listed.contains(file)), "{taken:?} of {listed:?}");
    let bin = format!("/{}", platform["bin"].as_str().unwrap());
    assert!(taken.iter().any(|file| file.ends_with(&bin)), "{bin} of {taken:?}");
}

#[test]
fn the_bill_of_materials_lists_what_is_linked_and_no_more() {
    let text = fs::read_to_string(made().join(format!("{}.cdx.json", name()))).unwrap();
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "it names a folder of this machine");
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let program = &bill["metadata"]["component"];
    assert_eq!([&program["name"], &program["version"]], ["rejob", VERSION]);
    let listed: BTreeSet<_> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["purl"].as_str().unwrap().to_owned())
        .collect();
    let tree = ["tree", "--locked", "--package", "rejob"];
    let tree = tree.iter().chain(&["--edges=normal,build", "--prefix=none", "--format={p}"]);
    let mut cargo = Command::new(env!("CARGO"));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo.args(tree).args(["--target", &target]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let linked: BTreeSet<_> = Output::of(&mut cargo, "")
        .ok()
        .stdout
        .lines()
        .filter(|line| !line.starts_with("rejob "))
        .map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            format!("pkg:cargo/{name}@{}", version.trim_start_matches('v'))
        })
        .collect();
    assert_eq!(listed, linked);
    let edges = bill["dependencies"].as_array().unwrap();
    assert_eq!(edges.len(), listed.len() + 1);
    let direct = edges.iter().find(|edge| edge["ref"] == program["bom-ref"]).unwrap();
    let direct = direct["dependsOn"].as_array().unwrap();
    assert!(direct.iter().any(|part| part.as_str().unwrap().contains("#kube@")), "{direct:?}");
}

#[test]
fn the_notes_are_the_changelogs() {
    let notes = fs::read_to_string(made().join("notes.md")).unwrap();
    let changelog = super::read("CHANGELOG.md");
    let released = format!("\n## {VERSION} - ");
    let title = if changelog.contains(&released) { released.as_str() } else { "\n## Unreleased" };
    let section = changelog.split_once(title).unwrap().1.split("\n## ").next().unwrap();
    assert_eq!(notes.trim(), section.split_once('\n').unwrap().1.trim());
    assert!(notes.len() > 100, "{notes}");
}

#[test]
fn another_tag_than_the_version_is_refused() {
    let check = |tag: &str| Output::of(script("release.sh", made()).args(["check", tag]), "");
    let refused = check("v9.9.9").exited(1);
    refused.warns(&format!("the tag v9.9.9 is not v{VERSION}"));
    let released = super::read("CHANGELOG.md").contains(&format!("\n## {VERSION} - "));
    check(&format!("v{VERSION}")).exited(i32::from(!released));
}

#[test]
fn a_program_that_needs_libraries_is_not_released() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let dist = tempfile::tempdir().unwrap();
    let mut stage = script("release.sh", dist.path());
    stage.args(["stage", &target, env!("CARGO_BIN_EXE_rejob")]);
    Output::of(&mut stage, "").exited(1).warns("is not static");
}
