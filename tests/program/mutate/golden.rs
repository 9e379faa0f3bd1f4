//! `rejob mutate` on golden streams, one test a folder: `cargo test --test program block_scalars`.
//!
//! A folder of tests/cases/mutate holds `input.yaml` (or `.json`), the arguments in `args` where
//! there are any, and either `output.*`, what comes out, or `error`, what is said instead.
//! `UPDATE_CASES=1` writes the outcomes anew; read the difference before you commit it.

use std::fs;
use std::path::PathBuf;

use rstest::rstest;

use super::mutate;

#[rstest]
fn comes_out_as_it_says(
    #[files("tests/cases/mutate/*")]
    #[dirs]
    folder: PathBuf,
) {
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
