//! What README, docs and examples show is what the program does: each `$ rejob …` in a block of
//! theirs that needs no cluster is run, and prints what is shown below it, if anything is.
//!
//! The commands run where `job.yaml` is that of examples/krm and `review.json` is
//! examples/review-create.json. A shown line that is `…` stands for any lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The subcommands that call nobody.
const OFFLINE: [&str; 4] = ["mutate", "hash", "review", "generate"];

struct Shown {
    place: String,
    command: String,
    output: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and all pages below docs and examples.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs"), root().join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The commands in the fenced blocks of a page, without their comments.
fn shown(place: &str, text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            (fenced, open) = (!fenced, false);
        } else if let Some(command) = line.trim_start().strip_prefix("$ ").filter(|_| fenced) {
            let command = command.split(" #").next().unwrap_or_default().trim();
            open = true;
            shown.push(Shown {
                place: format!("{place}:{number}"),
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if open && !line.trim().is_empty() {
            shown.last_mut().unwrap().output.push(line.to_owned());
        }
    }
    shown
}

fn is_offline(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.next() == Some("rejob") && words.next().is_some_and(|word| OFFLINE.contains(&word))
}

/// Whether the lines are what is shown.
fn matches(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=lines.len()).any(|skipped| matches(rest, lines.get(skipped..).unwrap_or_default()))
        }
        Some((first, rest)) => match lines.split_first() {
            Some((line, lines)) => first == line && matches(rest, lines),
            None => false,
        },
    }
}

#[test]
fn every_offline_command_does_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        fs::copy(root().join(from), folder.path().join(to)).unwrap();
    };
    copy("examples/krm/job.yaml", "job.yaml");
    copy("examples/review-create.json", "review.json");
    let program = Path::new(env!("CARGO_BIN_EXE_rejob")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut run = 0;
    for page in pages() {
        let place = page.strip_prefix(root()).unwrap().display().to_string();
        for Shown { place, command, output } in shown(&place, &fs::read_to_string(&page).unwrap()) {
            if !is_offline(&command) {
                continue;
            }
            run += 1;
            let got = Command::new("sh")
                .args(["-ec", &command])
                .current_dir(folder.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&got.stderr);
            assert!(got.status.success(), "{place}: {command}: {}\n{stderr}", got.status);
            let stdout = String::from_utf8(got.stdout).unwrap();
            let lines: Vec<_> = stdout.lines().filter(|line| !line.trim().is_empty()).collect();
            assert!(
                output.is_empty() || matches(&output, &lines),
                "{place}: {command} prints something else:\n{stdout}{stderr}"
            );
        }
    }
    assert!(run >= 5, "only {run} commands are shown");
}

#[test]
fn blocks_are_read_as_people_read_them() {
    let text = "$ rejob no\n```console\n$ rejob hash a  # c\nx\n\n…\ny\n$ rejob doctor\n```\nz\n";
    let all = shown("p", text);
    let commands: Vec<_> = all.iter().map(|one| one.command.as_str()).collect();
    assert_eq!(commands, ["rejob hash a", "rejob doctor"]);
    let first = all.first().unwrap();
    assert_eq!((first.place.as_str(), first.output.join("|").as_str()), ("p:3", "x|…|y"));
    assert!(is_offline(&first.command) && !is_offline("rejob doctor") && !is_offline("helm hash"));
    assert!(matches(&first.output, &["x", "y"]) && matches(&first.output, &["x", "a", "b", "y"]));
    assert!(!matches(&first.output, &["x"]) && !matches(&first.output, &["x", "y", "z"]));
}
