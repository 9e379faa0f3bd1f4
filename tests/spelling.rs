//! The project writes American English: no tracked text has a British form of the words below.

#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::Path;
use std::process::Command;

/// Beginnings and middles of words, in two parts so that this file does not find itself.
const BRITISH: &[(&str, &str)] = &[
    ("label", "led"),
    ("label", "ling"),
    ("licen", "ce"),
    ("colo", "ur"),
    ("behavi", "our"),
    ("favo", "ur"),
    ("hono", "ur"),
    ("neighbo", "ur"),
    ("normal", "is"),
    ("initial", "is"),
    ("serial", "is"),
    ("recogn", "is"),
    ("summar", "is"),
    ("author", "is"),
    ("synchron", "is"),
    ("sanit", "is"),
    ("custom", "is"),
    ("artef", "act"),
    ("organ", "ise"),
    ("optim", "ise"),
    ("minim", "ise"),
    ("maxim", "ise"),
    ("defen", "ce"),
    ("cancel", "ling"),
    ("signal", "ling"),
    ("judge", "ment"),
    ("whil", "st"),
];

#[test]
fn every_tracked_text_is_in_american_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "-z", "*.rs", "*.md", "*.yaml", "*.yml", "*.toml", ".ci/*"])
        .current_dir(root)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<_> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    assert!(files.len() > 100, "{} files", files.len());
    let mut found = Vec::new();
    for file in files {
        // A file that is deleted but still listed has no text.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            found.extend(british(line).map(|word| format!("{file}:{number}: {word}")));
        }
    }
    assert!(found.is_empty(), "American spelling, please:\n{}", found.join("\n"));
}

fn british(line: &str) -> impl Iterator<Item = String> {
    let words = line.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase);
    words.filter(|word| {
        BRITISH.iter().any(|(first, second)| word.contains(&[*first, second].concat()))
    })
}

#[test]
fn british_words_are_found_wherever_they_stand() {
    for (first, second) in BRITISH {
        let word = [*first, second].concat();
        for line in [word.clone(), format!("// un_{word}_x"), format!("a {}.", word.to_uppercase())]
        {
            assert_eq!(british(&line).count(), 1, "{line}");
        }
    }
    assert_eq!(british("labeled behavior, normalized; the license").count(), 0);
}
