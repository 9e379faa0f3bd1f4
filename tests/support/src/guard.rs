//! Ends the processes of a control plane whatever becomes of the test process.
//!
//! A small shell outside the test's process group waits until its owner is gone - a panic, an exit
//! or a SIGKILL, all the same - then kills every process noted in `pids/` and removes the folder,
//! unless `leases/` shows that a test did not end well: then the logs stay.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
dir=$1
if [ "$2" = stdin ]; then cat >/dev/null
else while kill -0 "$2" 2>/dev/null; do sleep 0.2; done
fi
cd "$dir" || exit 0
for pid in pids/*; do
    [ -e "$pid" ] && kill -9 "${pid##*/}" 2>/dev/null
done
for lease in leases/*; do
    [ -e "$lease" ] && { rm -rf etcd pids; exit 0; }
done
cd / && rm -f "$dir.lock"
rm -rf "$dir" 2>/dev/null || { sleep 1; rm -rf "$dir"; }
"#;

/// Whose end ends the processes.
#[derive(Debug, Clone, Copy)]
pub enum Owner {
    /// This process, or the value that holds the guard.
    Holder,
    /// The process of that id: the test runner whose test processes share a control plane.
    Process(u32),
}

/// The guard of one folder.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    // Closing it, which the end of the process does too, is the signal.
    alive: Option<ChildStdin>,
}

impl Guard {
    /// Starts the guard of a folder, and makes the folder.
    pub fn start(dir: &Path, owner: Owner) -> Self {
        fs::create_dir_all(dir.join("pids")).expect("create pids/");
        fs::create_dir_all(dir.join("leases")).expect("create leases/");
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "rejob-test-guard"]).arg(dir);
        match owner {
            Owner::Holder => command.arg("stdin").stdin(Stdio::piped()),
            Owner::Process(pid) => command.arg(pid.to_string()).stdin(Stdio::null()),
        };
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut shell = quiet.spawn().expect("run sh");
        let alive = shell.stdin.take();
        Self { shell, alive }
    }

    /// Ends what it guards, now; for a guard whose owner is [`Owner::Holder`].
    pub fn end(&mut self) {
        if self.alive.take().is_some() {
            self.shell.wait().expect("wait for the guard");
        }
    }
}

/// Notes a process that the guard of `dir` shall kill.
pub fn note(dir: &Path, pid: u32) {
    fs::write(dir.join("pids").join(pid.to_string()), "").expect("note a pid");
}

/// Takes the note back: the process has ended and was waited for.
pub fn forget(dir: &Path, pid: u32) {
    let _ = fs::remove_file(dir.join("pids").join(pid.to_string()));
}

/// One test's use of a control plane; a test that panics, or dies, leaves it behind.
#[derive(Debug)]
pub struct Lease {
    dir: PathBuf,
    file: PathBuf,
}

impl Lease {
    /// Begins the use of the control plane in `dir`.
    pub fn begin(dir: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = dir.join("leases").join(id);
        fs::write(&file, std::thread::current().name().unwrap_or("?")).expect("write a lease");
        Self { dir: dir.to_owned(), file }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the logs of the control plane and of rejob are kept in {}",
                self.dir.display()
            );
        } else {
            let _ = fs::remove_file(&self.file);
        }
    }
}
