//! The program itself: flags, what it prints, signals and exit codes.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use clap::CommandFactory;

/// Where commands that are printed for a person are run: the root of the checkout.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn rejob() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.arg("serve").current_dir(ROOT);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REJOB_") {
            command.env_remove(name);
        }
    }
    command
}

fn on_free_ports() -> Command {
    let mut command = rejob();
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("REJOB_DRAIN_GRACE", "0s");
    command
}

/// A running server, killed when dropped.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rejob starts");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The next line on standard output that contains the text.
    fn printed(&mut self, text: &str) -> String {
        line_with(&mut self.stdout, text)
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_with(reader: &mut impl BufRead, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no {text:?} in:\n{seen}");
        if line.contains(text) {
            return line.trim().to_owned();
        }
        seen.push_str(&line);
    }
}

fn refused(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_printed_line_works_as_printed() {
    let elsewhere = tempfile::tempdir().unwrap();
    for directory in [Path::new(ROOT), elsewhere.path()] {
        works_as_printed(directory);
    }
}

fn works_as_printed(directory: &Path) {
    let mut server = Process::start(on_free_ports().current_dir(directory));
    let curl = server.printed("curl ");
    assert_eq!(curl.contains("@examples/"), directory == Path::new(ROOT), "{curl}");
    let Output { status, stdout, stderr } = Command::new("sh")
        .args(["-c", &curl])
        .current_dir(directory)
        .output()
        .expect("a shell is needed to run the printed line");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "curl is needed to run the printed line: {curl}\n{stderr}");
    let answer = String::from_utf8(stdout).unwrap();
    assert!(answer.starts_with("answer:   allowed\nrule:     create (renamed)\n"), "{answer}");
    let renamed = r#"patch:    {"op":"replace","path":"/metadata/name","value":"nightly-"#;
    assert!(answer.contains(renamed), "{answer}");
}

#[test]
fn sigterm_and_sigint_end_it_with_success_and_nothing_stays_behind() {
    for signal in ["TERM", "INT"] {
        let mut server = Process::start(&mut on_free_ports());
        let line = server.printed("its CA is ");
        let ca = PathBuf::from(line.split_once("its CA is ").unwrap().1);
        let directory = ca.parent().unwrap();
        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        server.signal(signal);
        assert_eq!(server.exit_code(), Some(0), "{signal}");
        assert!(!directory.exists(), "{signal}: {} is left", directory.display());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut command = on_free_ports();
    command.arg("--drain-grace=1h");
    let mut server = Process::start(&mut command);
    server.printed("listening");
    server.signal("TERM");
    line_with(&mut server.stderr, "draining");
    server.signal("TERM");
    // The log is written to its last line.
    line_with(&mut server.stderr, "second signal: ending at once");
    assert_eq!(server.exit_code(), Some(1));
}

#[test]
fn json_logs_name_the_ports_and_nothing_else_is_printed() {
    let mut server = Process::start(on_free_ports().arg("--log-format=json"));
    let line: serde_json::Value =
        serde_json::from_str(&line_with(&mut server.stderr, "listening")).unwrap();
    for port in ["webhook", "admin"] {
        let address: std::net::SocketAddr = line[port].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0);
    }
    server.signal("TERM");
    let mut rest = String::new();
    server.stderr.read_to_string(&mut rest).unwrap();
    for line in rest.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
    let mut printed = String::new();
    server.stdout.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}

#[test]
fn variables_stand_in_for_flags() {
    let mut command = rejob();
    command.envs([("REJOB_LISTEN", "127.0.0.1:0"), ("REJOB_ADMIN_LISTEN", "127.0.0.1:0")]);
    let mut server = Process::start(&mut command);
    assert!(!server.printed("listening").contains(":8443"));
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let mut command = on_free_ports();
    let cli = rejob::cli::Cli::command();
    for arg in cli.find_subcommand("serve").unwrap().get_arguments() {
        if let Some(name) = arg.get_env() {
            command.env(name, "");
        }
    }
    let mut server = Process::start(&mut command);
    server.printed("its CA is ");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn every_flag_has_its_variable() {
    let cli = rejob::cli::Cli::command();
    cli.clone().debug_assert();
    let serve = cli.find_subcommand("serve").unwrap();
    for flag in serve.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg))) {
        let expected = match flag.0 {
            "pod-namespace" => "POD_NAMESPACE".to_owned(), // the downward API's usual name
            name => format!("REJOB_{}", name.to_uppercase().replace('-', "_")),
        };
        assert_eq!(flag.1.get_env().unwrap(), expected.as_str(), "--{}", flag.0);
        assert!(flag.1.get_help().is_some(), "--{} has no help", flag.0);
    }
}

#[test]
fn what_cannot_start_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let missing = "/nonexistent/file";
    for (flags, code, parts) in [
        (vec!["--listen", &taken], 1, vec![taken.as_str(), "--listen", "another"]),
        (vec!["--admin-listen", &taken], 1, vec![taken.as_str(), "--admin-listen"]),
        (vec!["--listen", "192.0.2.1:0"], 1, vec!["192.0.2.1", "an address of this machine"]),
        (vec!["--listen", "localhost"], 2, vec!["--listen", "127.0.0.1:8443"]),
        (vec!["--policies", missing], 1, vec![missing, "--policies"]),
        (vec!["--tls-cert", missing], 2, vec!["--tls-key"]),
        (vec!["--tls-cert", missing, "--tls-key", missing], 1, vec![missing]),
        (vec!["--client-ca", missing, "--client-name", "a"], 1, vec![missing]),
        (vec!["--client-ca", missing], 2, vec!["--client-ca needs --client-name"]),
        (vec!["--token-secret", "a/b"], 2, vec!["--token-secret needs --tls-cert"]),
        (vec!["--log-level", "rejob=loud"], 2, vec!["rejob=loud", "--log-level", "debug"]),
        (vec!["--log-level", "verbose"], 2, vec!["\"verbose\" is not a level", "debug"]),
        (vec!["--max-body-bytes", "0"], 2, vec!["--max-body-bytes"]),
        (vec!["--idle-timeout", "soon"], 2, vec!["--idle-timeout", "1m30s"]),
    ] {
        let mut command = rejob();
        for port in ["--listen", "--admin-listen"] {
            if !flags.contains(&port) {
                command.args([port, "127.0.0.1:0"]);
            }
        }
        let (got, error) = refused(command.args(&flags));
        assert_eq!(got, Some(code), "{flags:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{flags:?}: {part} is missing in: {error}");
        }
        if code == 1 {
            // One sentence, after whatever was logged.
            let last = error.lines().last().unwrap();
            assert!(last.starts_with("rejob: "), "{flags:?}: {error}");
            assert_eq!(error.matches("rejob: ").count(), 1, "{flags:?}: {error}");
        }
    }
}
