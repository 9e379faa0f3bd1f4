//! Tools from elsewhere, for the tests that are ignored by default.

use std::process::Command;

use support::output::Output;

/// Runs a program found on `PATH`.
pub fn run(program: &str, args: &[&str]) -> Output {
    Output::of(Command::new(program).args(args), "")
}

/// The validator of Kubernetes' published schemas, with the versions that the chart promises.
#[test]
#[ignore = "needs kubernetes-validate on PATH (PyPI: pip install kubernetes-validate)"]
fn rendered_objects_meet_the_schemas_of_1_30_1_33_and_1_37() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in super::render::ci_names() {
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, super::render::ci(super::render::HELMS[1], &name)).expect("write");
        for version in ["1.30.0", "1.33.0", "1.37.0"] {
            let file = path.to_str().unwrap();
            let output =
                run("kubernetes-validate", &["-k", version, "--strict", "--no-warn", file]).ok();
            assert!(
                output.stdout.contains("INFO"),
                "it checked nothing: {}{}",
                output.stdout,
                output.stderr
            );
        }
    }
}
