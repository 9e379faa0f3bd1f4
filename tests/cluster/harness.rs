//! The parts of the test harness that must hold when things go wrong: builds that are killed or
//! asked for twice, and processes whose owner dies.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use support::gobuild::{self, Build, Program};
use support::guard::{self, Guard, Lease, Owner};
use support::wait;

const PROGRAMS: [Program; 1] = [Program { name: "program", package: "example.com/program" }];

/// Asks for the program of the module in `dir`, with a `go` that does what `behavior` says, `$out`
/// being the file it shall write. (Not a script written here: a thread that forks at the wrong
/// moment would keep it open for writing, and it could not be run.)
fn ensure_with(dir: &Path, behavior: &str) -> Result<(), String> {
    fs::write(dir.join("behavior"), behavior).unwrap();
    ensure(dir)
}

/// The same with the behavior that is there.
fn ensure(dir: &Path) -> Result<(), String> {
    let (go, into) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake-go"), dir.join("into"));
    Build { go, title: "Test 1.0", module: dir, into: &into, ldflags: "" }.ensure(&PROGRAMS)
}

fn calls(dir: &Path) -> usize {
    fs::read_to_string(dir.join("calls")).unwrap_or_default().lines().count()
}

#[test]
fn test_binaries_that_ask_at_once_build_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("behavior"), "sleep 0.3; echo built >$out").unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ensure(dir.path()))).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
    assert_eq!(calls(dir.path()), 1);
    assert_eq!(fs::read_to_string(dir.path().join("into/program")).unwrap(), "built\n");
}

#[test]
fn a_build_that_was_killed_is_not_taken_for_a_finished_one() {
    let dir = tempfile::tempdir().unwrap();
    let sentence = ensure_with(dir.path(), "echo half >$out; kill -9 $$").unwrap_err();
    assert!(sentence.contains("program of Test 1.0 cannot be built"), "{sentence}");
    assert!(!dir.path().join("into/program").exists());
    ensure_with(dir.path(), "echo built >$out").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("into/program")).unwrap(), "built\n");
}

#[test]
fn a_build_that_fails_shows_what_go_said() {
    let dir = tempfile::tempdir().unwrap();
    let message = ensure_with(dir.path(), "echo 'no required module' >&2; exit 1").unwrap_err();
    for part in ["no required module", "Go 1.26"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    // That is no way to get another program than Kubernetes.
    assert!(!message.contains("KUBEBUILDER_ASSETS"), "{message}");
}

#[test]
fn the_digest_of_sources_changes_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let digest = || gobuild::digest(&[dir.path()]);
    let mut seen = vec![digest()];
    for (file, text) in [("go.mod", "a"), ("go.sum", "b"), ("main.go", "c"), ("main.go", "d")] {
        fs::write(dir.path().join(file), text).unwrap();
        assert!(!seen.contains(&digest()), "{file}");
        seen.push(digest());
    }
    fs::write(dir.path().join("behavior"), "e").unwrap();
    assert_eq!(seen.last(), Some(&digest()));
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

/// A guarded folder with a process in it.
fn guarded(parent: &Path, owner: Owner) -> (PathBuf, Guard, Child) {
    let dir = parent.join("controlplane");
    fs::create_dir_all(&dir).unwrap();
    let guard = Guard::start(&dir, owner);
    let child = sleeper();
    guard::note(&dir, child.id());
    fs::write(dir.join("some.log"), "log").unwrap();
    (dir, guard, child)
}

#[test]
fn the_guard_ends_the_processes_and_removes_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, mut guard, mut child) = guarded(parent.path(), Owner::Holder);
    drop(Lease::begin(&dir));
    guard.end();
    assert!(!child.wait().unwrap().success());
    assert!(!dir.exists());
}

#[test]
fn the_logs_of_a_test_that_panicked_are_kept() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, mut guard, mut child) = guarded(parent.path(), Owner::Holder);
    let lease = Lease::begin(&dir);
    let panicked = std::thread::spawn(move || {
        let _lease = lease;
        panic!("as a failing test does");
    });
    assert!(panicked.join().is_err());
    guard.end();
    assert!(!child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(dir.join("some.log")).unwrap(), "log");
}

#[test]
fn the_guard_of_a_whole_run_acts_when_the_runner_is_killed() {
    let parent = tempfile::tempdir().unwrap();
    let mut runner = sleeper();
    let (dir, _guard, mut child) = guarded(parent.path(), Owner::Process(runner.id()));
    assert!(child.try_wait().unwrap().is_none());
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait::until("the process ends", || child.try_wait().unwrap());
    wait::until("the folder is gone", || (!dir.exists()).then_some(()));
}
