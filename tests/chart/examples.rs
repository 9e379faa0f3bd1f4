//! The manifests in `examples/`, the commands in `docs/install/`, `docs/tools/`, `docs/operate/` and
//! `certs/`, and the values in those about the installation: what a reader copies works.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::render::{HELMS, objects, template_with, the};
use support::helm::Helm;
use support::output::Output;
use support::plane::ControlPlane;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder of the project.
pub fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(&root().join(path)))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Renders one of the Fleet examples with the values of its fleet.yaml and one more setting.
fn fleet(helm: Helm, name: &str, set: &str) -> Value {
    let bundle = yaml(&format!("examples/fleet/{name}/fleet.yaml"));
    let namespace = bundle["namespace"].as_str().expect("a namespace");
    let mut command = Command::new(helm.program());
    command.args(["template", name, "--namespace", namespace, "--values", "-", "--set", set]);
    command.arg(root().join("examples/fleet").join(name));
    command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR"));
    let output = Output::of(&mut command, &bundle["helm"]["values"].to_string()).ok();
    the(&objects(&output.stdout), "Job").clone()
}

#[test]
fn the_three_fleet_charts_differ_in_nothing_but_how_they_get_around_the_conflict() {
    for helm in HELMS {
        let ttl = fleet(helm, "with-ttl", "x=1");
        let rejob = fleet(helm, "with-rejob", "x=1");
        let [random, another] = [0, 1].map(|_| fleet(helm, "with-random-name", "x=1"));
        assert_eq!(ttl["spec"]["ttlSecondsAfterFinished"], 5);
        assert!(rejob["spec"].get("ttlSecondsAfterFinished").is_none());
        assert_eq!(rejob["metadata"]["name"], "pi");
        assert_ne!(random["metadata"]["name"], another["metadata"]["name"]);
        for job in [&ttl, &rejob, &random] {
            assert_eq!(job["spec"]["template"], rejob["spec"]["template"]);
            assert_eq!(job["spec"]["backoffLimit"], 4);
            let args = &job["spec"]["template"]["spec"]["containers"][0]["args"];
            assert_eq!(args[2], "print bpi(20)", "the value of fleet.yaml");
        }
        let changed = fleet(helm, "with-rejob", "piplaces=40");
        assert_eq!(
            changed["spec"]["template"]["spec"]["containers"][0]["args"][2],
            "print bpi(40)"
        );
    }
    let labels = yaml("examples/fleet/with-rejob/fleet.yaml")["namespaceLabels"].clone();
    assert_eq!(labels, json!({ "rejob.dev/policy": "replace" }));
}

#[test]
fn the_api_server_accepts_the_jobs_and_namespaces_strictly() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("examples", &[]);
    let mut all: Vec<Value> = ["with-ttl", "with-rejob", "with-random-name"]
        .map(|name| fleet(Helm::V4_3, name, "x=1"))
        .into();
    for path in files("examples") {
        let plain = ["replace", "hash-name", "ttl"]
            .iter()
            .any(|folder| path.parent().unwrap().ends_with(format!("examples/{folder}")));
        if plain {
            all.extend(objects(&read(&path)));
        }
    }
    assert_eq!(all.len(), 9);
    for object in &mut all {
        if object["kind"] == "Namespace" {
            let name = object["metadata"]["name"].as_str().unwrap();
            let policy = object["metadata"]["labels"]["rejob.dev/policy"].as_str().unwrap();
            assert_eq!(name, format!("example-{policy}"));
            assert!(rejob::policy::PolicySet::builtin().get(policy).is_some(), "{policy}");
        } else {
            // Into a namespace that exists: a dry run makes none.
            object["metadata"]["namespace"] = json!(namespace.name());
        }
        let args =
            ["create", "--dry-run=server", "--validate=strict", "--output=name", "--filename=-"];
        let output = namespace.kubectl_with(&object.to_string(), &args).ok();
        assert_eq!(output.stderr, "", "{object}");
    }
}

#[test]
fn the_values_in_the_gitops_manifests_render() {
    let argocd = yaml("examples/install/argocd.yaml");
    let fleet = yaml("examples/install/fleet.yaml");
    let flux = objects(&read(&root().join("examples/install/flux.yaml")));
    let source = &argocd["spec"]["source"];
    assert_eq!(source["path"], "charts/rejob");
    for values in [
        &source["helm"]["valuesObject"],
        &fleet["helm"]["values"],
        &the(&flux, "HelmRelease")["spec"]["values"],
    ] {
        assert!(values.is_object(), "{values}");
        let rendered = objects(&template_with(Helm::V4_3, &[], &values.to_string()).ok().stdout);
        let configuration = the(&rendered, "MutatingWebhookConfiguration");
        assert_eq!(
            argocd["spec"]["ignoreDifferences"][0]["name"],
            configuration["metadata"]["name"]
        );
    }
    for (manifest, path) in [
        ("argocd/application.yaml", "/spec/source/path"),
        ("flux/kustomization.yaml", "/spec/path"),
    ] {
        let all = objects(&read(&root().join("examples").join(manifest)));
        let path =
            all.iter().find_map(|object| object.pointer(path)).expect("a path").as_str().unwrap();
        assert!(root().join(path).is_dir(), "{manifest}: {path}");
    }
    for object in objects(&read(&root().join("examples/fleet/gitrepo.yaml"))) {
        for path in object["spec"]["paths"].as_array().expect("paths") {
            assert!(root().join(path.as_str().unwrap()).join("Chart.yaml").exists(), "{path}");
        }
    }
}

/// The pages about the installation.
fn install_pages() -> Vec<PathBuf> {
    let mut pages = files("docs/install");
    for page in
        ["certs/README.md", "charts/rejob/README.md", "docs/policies.md", "examples/README.md"]
    {
        pages.push(root().join(page));
    }
    pages
}

/// All pages whose commands and links are tested here.
fn pages() -> Vec<PathBuf> {
    [install_pages(), files("docs/tools"), files("docs/operate")].concat()
}

/// The fenced blocks of a language, with the page they are on.
fn blocks(pages: Vec<PathBuf>, language: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for page in pages {
        let text = read(&page);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            if line.trim() == format!("```{language}") {
                let block = lines.by_ref().take_while(|line| line.trim() != "```");
                let block = block
                    .map(|line| line.get(indent..).unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join("\n");
                found.push((page.clone(), block));
            }
        }
    }
    found
}

#[test]
fn every_block_of_values_in_the_pages_renders() {
    let blocks = blocks(install_pages(), "yaml");
    assert!(blocks.len() > 8, "{}", blocks.len());
    for (page, values) in blocks {
        let output = template_with(Helm::V4_3, &[], &values);
        assert_eq!(output.code, 0, "{}: {values}\n{}", page.display(), output.stderr);
    }
}

#[test]
fn every_setting_of_a_helm_command_in_the_pages_renders() {
    let mut seen = 0;
    for (page, block) in blocks(install_pages(), "console") {
        for command in block.replace("\\\n", " ").lines().filter(|line| line.starts_with("$ helm"))
        {
            let words: Vec<_> = command.split_whitespace().collect();
            let settings: Vec<_> = words
                .windows(2)
                .filter(|pair| pair[0] == "--set")
                .flat_map(|pair| ["--set", pair[1]])
                .collect();
            let local = words.iter().find(|word| word.starts_with("charts/"));
            assert!(
                local.is_none_or(|path| root().join(path).join("Chart.yaml").exists()),
                "{command}"
            );
            let output = template_with(Helm::V4_3, &settings, "");
            assert_eq!(output.code, 0, "{}: {command}\n{}", page.display(), output.stderr);
            seen += settings.len() / 2;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn every_kubectl_command_in_the_pages_is_one_that_kubectl_understands() {
    let kubectl = &support::binaries::Binaries::get().kubectl;
    let mut seen = 0;
    for (page, block) in blocks(pages(), "console") {
        for command in
            block.replace("\\\n", " ").lines().filter_map(|line| line.strip_prefix("$ kubectl "))
        {
            // Only the words: with --help nothing is done, but unknown flags are refused.
            let words = command.split('|').next().unwrap().split_whitespace();
            let output = Output::of(Command::new(kubectl).args(words).arg("--help"), "");
            let known = output.code == 0 && !output.stderr.contains("unknown");
            assert!(known, "{}: kubectl {command}\n{}", page.display(), output.stderr);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    for page in pages() {
        for target in read(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if path.starts_with("http") {
                continue;
            }
            let file =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(file.exists(), "{}: {target}", page.display());
            // As GitHub makes it.
            let slug = |line: &str| {
                let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                text.replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', "")
            };
            let headings =
                |text: &str| text.lines().any(|line| line.starts_with('#') && slug(line) == anchor);
            assert!(anchor.is_empty() || headings(&read(&file)), "{}: {target}", page.display());
        }
    }
}
