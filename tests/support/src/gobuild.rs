//! Builds Go programs into `target/controlplane/`, once.
//!
//! Several test binaries may ask at the same moment: a file lock lets one build and the others
//! wait. A program appears under its name by a rename, so a build that was killed half-way is never
//! taken for a finished one. Progress goes to the real stderr, past the capture of the test harness.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::paths;

/// What a build takes, in the words of every failing test.
pub const HOW_TO_GET_IT: &str =
    "put Go 1.26 or later on PATH (the rest is built once, into target)";

/// A Go program: the name of its file and its package.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The file's name.
    pub name: &'static str,
    /// The import path of its `main` package.
    pub package: &'static str,
}

/// A set of programs built from one Go module into one folder.
#[derive(Debug)]
pub struct Build<'a> {
    /// The `go` command.
    pub go: &'a str,
    /// What is built, for the progress lines: `Kubernetes 1.37.2`.
    pub title: &'a str,
    /// The folder with `go.mod`.
    pub module: &'a Path,
    /// The folder that the programs go to.
    pub into: &'a Path,
    /// `-ldflags`.
    pub ldflags: &'a str,
}

/// `target/controlplane`.
pub fn root() -> PathBuf {
    paths::target().join("controlplane")
}

/// The folder `tests/controlplane/<name>` of the sources.
pub fn module(name: &str) -> PathBuf {
    paths::sources().join("tests/controlplane").join(name)
}

/// A digest of `go.mod`, `go.sum` and the Go files in these folders, for the name of the folder that is
/// built into: of a program whose sources are here, and change.
///
/// Panics when they cannot be read.
pub fn digest(modules: &[&Path]) -> String {
    let mut digest = DefaultHasher::new();
    for module in modules {
        let mut files: Vec<_> = fs::read_dir(module)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", module.display()))
            .map(|entry| entry.expect("read a folder").path())
            .filter(|file| {
                file.extension().is_some_and(|it| it == "go" || it == "mod" || it == "sum")
            })
            .collect();
        files.sort();
        for file in files {
            fs::read(file).expect("read a source").hash(&mut digest);
        }
    }
    format!("{:016x}", digest.finish())
}

/// Writes a progress line that the test harness does not capture.
pub fn progress(line: &str) {
    // `eprintln!` is captured, the handle is not.
    let _ = writeln!(std::io::stderr(), "rejob tests: {line}");
}

impl Build<'_> {
    /// Makes sure that the programs are there, building those that are not.
    ///
    /// # Errors
    /// One sentence when a program can be neither found nor built.
    pub fn ensure(&self, programs: &[Program]) -> Result<(), String> {
        let missing = |program: &&Program| !self.into.join(program.name).exists();
        if !programs.iter().any(|program| missing(&program)) {
            return Ok(());
        }
        fs::create_dir_all(self.into)
            .map_err(|error| format!("cannot create {}: {error}", self.into.display()))?;
        let _lock = self.lock()?;
        programs.iter().filter(missing).try_for_each(|program| self.build(program))
    }

    /// Takes the folder's lock; it is free again when the file is dropped, or its process dies.
    fn lock(&self) -> Result<File, String> {
        let path = self.into.join(".lock");
        let fail = |error| format!("cannot lock {}: {error}", path.display());
        let file = File::create(&path).map_err(fail)?;
        if file.try_lock().is_err() {
            progress(&format!("waiting for another test binary that builds {}", self.title));
            file.lock().map_err(fail)?;
        }
        Ok(file)
    }

    fn build(&self, program: &Program) -> Result<(), String> {
        let Program { name, package } = program;
        let begun = Instant::now();
        let unfinished = self.into.join(format!(".{name}.unfinished"));
        let mut go = Command::new(self.go)
            .args(["build", "-v", "-trimpath", "-mod=readonly", "-ldflags", self.ldflags, "-o"])
            .arg(&unfinished)
            .arg(package)
            .current_dir(self.module)
            .env_remove("GOFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!(
                    "{} is not built and `{}` cannot be run ({error}): {HOW_TO_GET_IT}",
                    self.title, self.go
                )
            })?;
        progress(&format!("building {name} of {} (once; minutes when cold)", self.title));
        let mut said = Vec::new();
        let mut last = begun;
        for line in
            BufReader::new(go.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok)
        {
            said.push(line);
            if last.elapsed() > Duration::from_secs(10) {
                last = Instant::now();
                let (packages, seconds) = (said.len(), begun.elapsed().as_secs());
                progress(&format!("building {name}: {packages} packages so far, {seconds} s"));
            }
        }
        let status = go.wait().map_err(|error| format!("cannot wait for go build: {error}"))?;
        if !status.success() {
            let tail = said[said.len().saturating_sub(20)..].join("\n");
            return Err(format!(
                "{name} of {} cannot be built in {} ({status}); go said:\n{tail}\n{HOW_TO_GET_IT}",
                self.title,
                self.module.display()
            ));
        }
        fs::rename(&unfinished, self.into.join(name))
            .map_err(|error| format!("cannot move {} in place: {error}", unfinished.display()))?;
        progress(&format!("built {name} in {} s", begun.elapsed().as_secs()));
        Ok(())
    }
}
