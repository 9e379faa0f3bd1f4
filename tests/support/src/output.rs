//! What a command said: exit code, stdout, stderr.

use std::io::Write;
use std::process::{Command, Stdio};

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Output {
    /// Runs a command with that text on its stdin.
    pub fn of(command: &mut Command, stdin: &str) -> Self {
        let line = format!("{command:?}");
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let mut pipe = child.stdin.take().expect("stdin is piped");
        let text = stdin.to_owned();
        // A thread: a command that writes before it has read everything must not block us.
        let writer = std::thread::spawn(move || {
            // A command that does not read its stdin is no error.
            let _ = pipe.write_all(text.as_bytes());
        });
        let output = child.wait_with_output().expect("wait for a command");
        writer.join().expect("write to a command");
        Self {
            command: line,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, when the command succeeded; else a panic that shows what it said.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exited(0)
    }

    /// The same, when the command exited with that code; else a panic that shows what it said.
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Panics unless stderr has that text.
    #[track_caller]
    pub fn warns(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
    }

    /// The one line of stdout, without its end.
    #[track_caller]
    pub fn line(&self) -> &str {
        let line = self.stdout.trim_end();
        assert!(!line.is_empty() && !line.contains('\n'), "not one line: {:?}", self.stdout);
        line
    }
}
