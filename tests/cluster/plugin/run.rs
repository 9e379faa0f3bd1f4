//! `kubectl rejob` as a user runs it, and what holds for all of its commands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use support::binaries::Binaries;
use support::manifest::job;
use support::namespace::Namespace;
use support::output::Output;
use support::plane::{self, ControlPlane};
use support::rejob::Rejob;
use support::user::User;

/// kubectl as that user, with the program on PATH as `kubectl-rejob`.
pub fn kubectl(plane: &ControlPlane, user: &User) -> Command {
    let folder = plane.dir().join(format!("plugin-{}", plane::unique()));
    fs::create_dir_all(&folder).expect("create a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rejob"), folder.join("kubectl-rejob"))
        .expect("link the plugin");
    let mut path = vec![folder];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = user.command(&Binaries::get().kubectl);
    command.env("PATH", env::join_paths(path).expect("a PATH")).arg("rejob");
    command
}

/// `kubectl rejob …` in that namespace, as its user.
pub fn rejob(plane: &ControlPlane, namespace: &Namespace, args: &[&str]) -> Output {
    rejob_with(plane, namespace, args, "")
}

/// The same, with a text on stdin.
pub fn rejob_with(
    plane: &ControlPlane,
    namespace: &Namespace,
    args: &[&str],
    stdin: &str,
) -> Output {
    let mut command = kubectl(plane, namespace.user());
    Output::of(command.args(args).args(["-n", namespace.name()]), stdin)
}

/// What a command with `-o json` printed.
pub fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The commands, each with what it needs.
const COMMANDS: [&[&str]; 5] =
    [&["status"], &["report"], &["rerun", "nightly"], &["explain", "-f", "-"], &["doctor"]];

#[test]
fn every_command_says_what_to_do_where_there_is_no_connection() {
    let plane = ControlPlane::shared();
    let admin = plane.admin();
    // Nobody listens on the port of a socket that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = fs::read_to_string(admin.kubeconfig()).unwrap();
    let config = config.replace(&plane.url(), &format!("https://127.0.0.1:{port}"));
    let file = plane.dir().join("nobody.kubeconfig");
    fs::write(&file, config).unwrap();
    let manifest = job("nightly", "app:1").to_string();
    for command in COMMANDS {
        let run = |kubeconfig: &Path, more: &[&str]| {
            let mut kubectl = kubectl(&plane, &admin);
            let kubectl = kubectl.env("KUBECONFIG", kubeconfig).args(command).args(more);
            Output::of(kubectl, &manifest).exited(1)
        };
        run(&file, &[]).warns("rejob: cannot ask the API server at https://127.0.0.1:");
        run(&file, &["--context", "other"]).warns("--context");
        if command[0] != "explain" {
            run(&PathBuf::from("/nowhere"), &[]).warns("give --kubeconfig, or set KUBECONFIG");
        }
    }
}

#[test]
fn the_flags_are_those_of_kubectl() {
    let plane = ControlPlane::shared();
    let admin = plane.admin();
    let file = admin.kubeconfig().display().to_string();
    let mut command = kubectl(&plane, &admin);
    let flags = ["--kubeconfig", &file, "--context", "tests", "--namespace", "default"];
    Output::of(command.env_remove("KUBECONFIG").arg("status").args(flags), "").ok();
    let help = Output::of(kubectl(&plane, &admin).args(["rerun", "--help"]), "").ok();
    assert!(help.stdout.contains("Usage: kubectl rejob rerun [OPTIONS] <JOB>"), "{}", help.stdout);
}

#[test]
fn the_doctor_is_the_same() {
    let plane = ControlPlane::shared();
    let _rejob = Rejob::builtin(&plane);
    let output = Output::of(kubectl(&plane, &plane.admin()).args(["doctor", "-o", "json"]), "");
    assert_eq!(output.code, i32::from(json(&output)["healthy"] != true), "{output:?}");
}
