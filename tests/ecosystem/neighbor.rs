//! A program of somebody else, built from the Go module proxy and run beside the control plane.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::gobuild::{self, Build};
use support::output::Output;
use support::plane::ControlPlane;
use support::user::User;
use support::{guard, paths, wait};

/// What is built: the folder in tests/ecosystem, which is also the program's name.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub version: &'static str,
    /// The module of its sources.
    pub module: &'static str,
    /// The package of its `main`.
    pub package: &'static str,
}

impl Program {
    /// The program; built when it is not there yet.
    pub fn get(self) -> PathBuf {
        let Self { name, version, package, .. } = self;
        let mut into = gobuild::root().join(format!("{name}-{version}"));
        // Its `main` is in tests/ecosystem, and may change.
        if package.starts_with("rejob.dev/") {
            into.add_extension(gobuild::digest(&[&self.folder()]));
        }
        let title = format!("{name} {version}");
        Build { go: "go", title: &title, module: &self.folder(), into: &into, ldflags: "-s -w" }
            .ensure(&[gobuild::Program { name, package }])
            .unwrap_or_else(|sentence| panic!("no {title} to test with: {sentence}"));
        into.join(name)
    }

    /// A folder or a file of its sources.
    pub fn source(self, path: &str) -> String {
        let mut go = Command::new("go");
        go.args(["list", "-m", "-f", "{{.Dir}}", self.module]).current_dir(self.folder());
        let module = Output::of(&mut go, "").ok();
        Path::new(module.line()).join(path).display().to_string()
    }

    fn folder(self) -> PathBuf {
        paths::sources().join("tests/ecosystem").join(self.name)
    }
}

/// The running program; dropping it ends it.
pub struct Neighbor {
    child: Child,
    log: PathBuf,
    dir: PathBuf,
}

impl Neighbor {
    /// Runs it as that user with these arguments and this environment, in the folder of its control
    /// plane, where its log is.
    pub fn start(
        plane: &ControlPlane,
        user: &User,
        program: Program,
        args: &[String],
        env: &[(&str, &str)],
    ) -> Self {
        let log = plane.dir().join(format!("{}.log", program.name));
        let file = File::create(&log).expect("create a log");
        let child = user
            .command(&program.get())
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("share a log"))
            .stderr(file)
            .spawn()
            .expect("run a neighbor");
        guard::note(plane.dir(), child.id());
        Self { child, log, dir: plane.dir().to_owned() }
    }

    /// Panics with the end of its log when it has ended.
    #[track_caller]
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().expect("ask for its end") {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(15).collect();
            let lines: Vec<_> = lines.into_iter().rev().collect();
            panic!("{} ended: {status}\n{}", self.log.display(), lines.join("\n"));
        }
    }
}

/// Mounts a Secret that the program writes itself, once it has, as the kubelet does.
pub fn mount(plane: &ControlPlane, neighbor: &mut Neighbor, secret: &str, dir: &Path) {
    let data = wait::until("the program has written its Secret", || {
        neighbor.assert_runs();
        plane.admin().get(secret).body["data"].as_object().cloned()
    });
    let unfinished = dir.with_added_extension("unfinished");
    fs::create_dir_all(&unfinished).expect("create a folder");
    for (key, value) in data {
        let content = STANDARD.decode(value.as_str().expect("a text")).expect("base64");
        fs::write(unfinished.join(key), content).expect("write a file");
    }
    fs::rename(unfinished, dir).expect("put the folder in place");
}

impl Drop for Neighbor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guard::forget(&self.dir, self.child.id());
    }
}

/// Applies that text, or what the arguments name, as the admin.
#[track_caller]
pub fn apply(plane: &ControlPlane, text: &str, args: &[&str]) {
    let args = [&["apply", "--server-side", "--force-conflicts"], args].concat();
    plane.admin().kubectl(&args, text).ok();
}
