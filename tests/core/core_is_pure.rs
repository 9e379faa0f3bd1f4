//! The core is pure: its modules import nothing that reaches a cluster, a clock, the environment
//! or a file. So `decide` stays a function that tests, fuzzers and benches can call as it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files and folders of the core, below `src`.
const CORE: &[&str] = &[
    "decide.rs",
    "decide",
    "job.rs",
    "job",
    "patch.rs",
    "policy.rs",
    "policy",
    "reason.rs",
    "replace/plan.rs",
    "replace/record.rs",
    "review.rs",
];

/// What every file of it may import.
const EVERYWHERE: &[&str] = &["std", "core", "serde", "serde_json", "crate", "super", "self"];

/// What one file, and what is below it, may import besides: each for a reason.
const BESIDES: &[(&str, &str)] = &[
    ("job/hash.rs", "sha2"),               // the template hash is a SHA-256
    ("patch.rs", "json_patch"),            // the patch is proven by applying it
    ("patch.rs", "thiserror"),             // its error
    ("policy.rs", "schemars"), // the file's JSON schema is made from the types that read it
    ("policy/file.rs", "crate::manifest"), // the policy file is YAML
    ("policy/file.rs", "schemars"),
    ("policy/file.rs", "thiserror"),
    ("replace/record.rs", "base64"), // a digest as text
    ("replace/record.rs", "sha2"),   // the digest of who asks
    ("review.rs", "base64"),         // a patch is base64 in an answer
    ("review.rs", "thiserror"),
];

/// Modules of this crate that the core is made of.
const MODULES: &[&str] = &["decide", "job", "patch", "policy", "reason", "replace", "review"];

/// Words that would be an effect, in a path or alone.
const EFFECTS: &[&str] = &[
    "SystemTime",
    "Instant",
    "std::env",
    "env!",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::io",
    "static mut",
    "thread_local",
    "OnceLock",
    "LazyLock",
    "Mutex",
    "RwLock",
    "Atomic",
    "println!",
    "eprintln!",
    "tracing::",
    "tokio::",
    "kube::",
    "rand::",
    "unsafe ",
    "async ",
    "todo!",
    "unimplemented!",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The core's files with their paths below `src`, and their code without tests and comments.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> = CORE.iter().map(|name| source().join(name)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
            files.push((name, code(&text)));
        }
    }
    assert!(files.len() > 20, "{} files", files.len());
    files.sort();
    files
}

/// Without what follows `#[cfg(test)]` (tests stand last in a file) and without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The paths that `use` items begin with: the crate, and for `crate::` the module.
fn imports(code: &str) -> BTreeSet<String> {
    let mut imports = BTreeSet::new();
    for item in code.split(';') {
        let item = item.trim_start();
        let at =
            ["use ", "pub use ", "pub(super) use ", "pub(crate) use "].iter().find_map(|start| {
                item.strip_prefix(start)
                    .or_else(|| item.split_once(&format!("\n{start}")).map(|(_, rest)| rest))
            });
        if let Some(path) = at {
            imports.extend(roots(path.trim()));
        }
    }
    imports
}

fn roots(path: &str) -> Vec<String> {
    let root: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let rest = path[root.len()..].trim_start_matches("::");
    if root != "crate" {
        return vec![root];
    }
    match rest.strip_prefix('{') {
        Some(list) => list
            .split(',')
            .map(|one| format!("crate::{}", roots(one.trim()).concat()))
            .filter(|one| one != "crate::")
            .collect(),
        None => vec![format!("crate::{}", roots(rest).concat())],
    }
}

#[test]
fn the_core_imports_only_what_is_pure() {
    for (file, code) in files() {
        let own_modules = imports(&code);
        for import in own_modules {
            let allowed = match import.strip_prefix("crate::") {
                Some(module) => MODULES.contains(&module) || is_besides(&file, &import),
                None => {
                    EVERYWHERE.contains(&import.as_str())
                        || is_besides(&file, &import)
                        // A module's own submodules, which `pub use` names without `self`.
                        || code.contains(&format!("mod {import};"))
                }
            };
            assert!(allowed, "src/{file} imports {import}, which is no part of the pure core");
        }
    }
}

fn is_besides(file: &str, import: &str) -> bool {
    BESIDES.contains(&(file, import))
}

#[test]
fn every_exception_is_needed() {
    let files = files();
    for (file, import) in BESIDES {
        let (_, code) = files.iter().find(|(name, _)| name == file).expect(file);
        assert!(code.contains(import), "src/{file} does not use {import} any more");
    }
}

#[test]
fn the_core_names_no_clock_no_environment_and_no_effect() {
    for (file, code) in files() {
        for effect in EFFECTS {
            let reads_the_policy_file =
                file == "policy/file.rs" && ["std::fs", "std::io"].contains(effect);
            assert!(
                reads_the_policy_file || !code.contains(effect),
                "src/{file} mentions {effect}"
            );
        }
    }
}

#[test]
fn imports_are_read_whatever_their_shape() {
    let code = "//! x\nuse std::fmt;\npub use a::{b,\n c};\nuse crate::{job::Job, review};\n\
                fn f() {}\nuse crate::patch::Draft;\n";
    let found = imports(code);
    let expected = ["a", "crate::job", "crate::patch", "crate::review", "std"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
