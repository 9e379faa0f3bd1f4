//! Cargo.toml names version, repository, image and charts; every other place says the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{instruction, read, value};
use support::helm::Helm;
use support::output::Output;

/// What Cargo.toml says.
struct Names {
    version: String,
    repository: String,
    image: String,
    charts: String,
}

impl Names {
    fn of_cargo() -> Self {
        let [version, repository, image, charts] = ["version", "repository", "image", "charts"]
            .map(|key| value("Cargo.toml", &format!("{key} = ")));
        Self { version, repository, image, charts }
    }

    /// What is wrong in a line.
    fn wrong(&self, line: &str) -> Vec<String> {
        let mut wrong: Vec<_> =
            words(line).filter(|word| !self.is_right_place(word)).map(str::to_owned).collect();
        for before in
            ["rejob:", "rejob@v", "rejob-", "tags/v", "?ref=v", "tag: v", "targetRevision: v"]
        {
            wrong.extend(self.other_versions(line, before));
        }
        if line.contains("charts/rejob") {
            wrong.extend(self.other_versions(line, "--version "));
        }
        wrong
    }

    /// Whether a word names no place of the project, the one of Cargo.toml, or one of the reader's own.
    fn is_right_place(&self, word: &str) -> bool {
        let place = word.rsplit("://").next().unwrap().trim_start_matches("git::");
        let (host, path) = place.split_once('/').unwrap_or_default();
        let name = host.split(':').next().unwrap();
        let is_host = name.contains('.')
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        let ours = path.split(['/', ':', '@', '?', '#']).any(|part| part == "rejob");
        if !is_host || !ours || name == "example.com" || name.ends_with(".example.com") {
            return true;
        }
        let places = [&self.repository, &self.image, &self.charts];
        places.iter().any(|right| {
            let right = right.rsplit("://").next().unwrap();
            place.strip_prefix(right).is_some_and(|rest| {
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
            })
        })
    }

    /// The versions after that text which are not the crate's.
    fn other_versions(&self, line: &str, before: &str) -> Vec<String> {
        let after = line.match_indices(before).map(|(at, _)| &line[at + before.len()..]);
        let versions = after.map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit() && c != '.')
                .next()
                .unwrap()
                .trim_end_matches('.')
        });
        versions
            .filter(|version| version.split('.').count() == 3 && *version != self.version)
            .map(|version| format!("{before}{version}"))
            .collect()
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || "\"'`()[]{}<>,;=|".contains(c))
}

/// Every tracked text but recorded reviews, module files and what tells of the past.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).current_dir(root);
    let files = Output::of(&mut git, "").ok().stdout;
    let skipped = |file: &str| {
        ["tests/cases/", "crates/core/tests/proptest-regressions/"]
            .iter()
            .any(|at| file.starts_with(at))
            || ["CHANGELOG.md", "tests/image/names.rs"].contains(&file)
            || ["go.mod", "go.sum", "Cargo.lock"].iter().any(|end| file.ends_with(end))
    };
    let files = files.split('\0').filter(|file| !file.is_empty() && !skipped(file));
    files
        .filter_map(|file| Some((file.to_owned(), fs::read_to_string(root.join(file)).ok()?)))
        .collect()
}

#[test]
fn no_place_names_another_registry_repository_or_version() {
    let names = Names::of_cargo();
    let texts = texts();
    assert!(texts.len() > 200, "{} files", texts.len());
    let mut wrong = Vec::new();
    for (file, text) in &texts {
        for (number, line) in (1..).zip(text.lines()) {
            wrong.extend(names.wrong(line).iter().map(|word| format!("{file}:{number}: {word}")));
        }
    }
    assert!(wrong.is_empty(), "Cargo.toml says otherwise:\n{}", wrong.join("\n"));
}

#[test]
fn other_places_and_versions_are_found_and_the_readers_own_are_not() {
    let names = Names::of_cargo();
    for line in [
        "image: quay.io/rejob/rejob:9.9.9",
        "oci://ghcr.io/rejob/rejob-charts/rejob",
        "[rejob](https://github.com/someone/rejob)",
        "docker pull \"docker.io/rejob\"",
        "rejob-9.9.9.tgz",
        "  tag: v9.9.9",
        "helm install rejob oci://ghcr.io/rejob/charts/rejob --version 9.9.9",
    ] {
        assert!(!names.wrong(line).is_empty(), "{line}");
    }
    let version = &names.version;
    for line in [
        format!("docker run ghcr.io/rejob/rejob:{version} doctor"),
        format!("helm install rejob oci://ghcr.io/rejob/charts/rejob --version {version}"),
        "https://github.com/rejob/rejob/tree/main/docs".to_owned(),
        "registry.example.com:5000/mirror/rejob@sha256:0123".to_owned(),
        "rejob.dev/policy=replace in ./charts/rejob".to_owned(),
        "cargo install --version 9.9.9 another".to_owned(),
    ] {
        assert_eq!(names.wrong(&line), [""; 0], "{line}");
    }
}

#[test]
fn chart_and_image_are_those_of_cargo_toml() {
    let names = Names::of_cargo();
    assert_eq!(value("charts/rejob/values.yaml", "repository: "), names.image);
    assert_eq!(value("charts/rejob/Chart.yaml", "version: "), names.version);
    assert_eq!(value("charts/rejob/Chart.yaml", "appVersion: "), names.version);
    assert_eq!(instruction("ARG VERSION"), format!("ARG VERSION={}", names.version));
}

/// The commands of the README's section on installing.
fn install_commands() -> String {
    let readme = read("README.md");
    let section = readme.split("\n## Install it\n").nth(1).unwrap();
    section.split("\n## ").next().unwrap().replace("\\\n", "")
}

#[test]
fn the_readme_says_that_there_is_no_release_until_there_is_one() {
    let released = read("CHANGELOG.md").lines().any(|line| {
        line.strip_prefix("## ")
            .is_some_and(|title| title.starts_with(|c: char| c.is_ascii_digit()))
    });
    for page in ["README.md", "docs/install/README.md"] {
        assert_eq!(read(page).contains("There is no release yet"), !released, "{page}");
    }
    let names = Names::of_cargo();
    let from_registry =
        format!("helm install rejob {}/rejob --version {}", names.charts, names.version);
    assert!(read("docs/install/README.md").contains(&from_registry), "no {from_registry}");
    assert_eq!(install_commands().contains(&from_registry), released);
}

#[test]
fn the_readme_installs_the_image_that_it_builds() {
    let commands = install_commands();
    let after = |start: &str| commands.lines().find_map(|line| line.strip_prefix(start));
    let Some(build) = after("docker build --tag ") else {
        return; // Released: nothing is built.
    };
    let tag = build.split_whitespace().next().unwrap();
    assert_eq!(after("kind load docker-image "), Some(tag));
    let mut helm = Command::new(Helm::V4_3.program());
    helm.arg("template").args(after("helm install ").unwrap().split_whitespace());
    let rendered = Output::of(helm.current_dir(env!("CARGO_MANIFEST_DIR")), "").ok().stdout;
    assert!(rendered.contains(&format!("image: \"{tag}\"\n")), "no {tag} in:\n{rendered}");
}
