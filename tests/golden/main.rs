//! `rejob mutate` on golden streams, one folder each.
//!
//! A folder of tests/cases/mutate holds `input.yaml` (or `.json`), the arguments in `args` where
//! there are any, and either `output.*`, what comes out, or `error`, what is said instead.
//! `UPDATE_CASES=1` writes the outcomes anew; read the difference before you commit it.
//!
//! The harness is our own, since the tests are files; the flags are those of any other test binary.
//! The other golden files are the core's: `crates/core/tests/golden`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output};

use assert_cmd::Command;
use libtest_mimic::{Arguments, Trial};

fn mutate(arguments: &[String], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.env_clear().arg("mutate").args(arguments).write_stdin(input).output().unwrap()
}

fn main() -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

/// One test a folder.
fn trials() -> Vec<Trial> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/mutate");
    let mut folders: Vec<_> =
        fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let refused = folders.iter().filter(|folder| folder.join("error").exists()).count();
    assert!(folders.len() >= 40 && refused >= 8, "{} cases, {refused} refused", folders.len());
    folders.into_iter().map(trial).collect()
}

/// Named as its folder: `mutate/block-scalars`.
fn trial(folder: PathBuf) -> Trial {
    let name = format!("mutate/{}", folder.file_name().unwrap().to_str().unwrap());
    Trial::test(name, move || {
        comes_out_as_it_says(&folder);
        Ok(())
    })
}

fn comes_out_as_it_says(folder: &Path) {
    let extension = if folder.join("input.json").exists() { "json" } else { "yaml" };
    let arguments = fs::read_to_string(folder.join("args")).unwrap_or_default();
    let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
    let (output, error) = (folder.join(format!("output.{extension}")), folder.join("error"));
    let got = mutate(&arguments, &fs::read(folder.join(format!("input.{extension}"))).unwrap());
    let stderr = String::from_utf8(got.stderr).unwrap();
    if std::env::var_os("UPDATE_CASES").is_some() {
        let (path, text, other) = if got.status.success() {
            (&output, got.stdout.clone(), &error)
        } else {
            (&error, stderr.clone().into_bytes(), &output)
        };
        fs::write(path, text).unwrap();
        let _ = fs::remove_file(other);
    }
    let stdout = String::from_utf8_lossy(&got.stdout);
    if error.exists() {
        assert_eq!(got.status.code(), Some(1), "{stdout}{stderr}");
        assert_eq!(stdout, "");
        assert_eq!(stderr, fs::read_to_string(&error).unwrap());
        return;
    }
    assert!(got.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    assert_eq!(stdout, String::from_utf8_lossy(&fs::read(&output).unwrap()));
    // Mutating twice is mutating once.
    let twice = mutate(&arguments, &got.stdout);
    assert_eq!(String::from_utf8_lossy(&twice.stdout), stdout);
}
