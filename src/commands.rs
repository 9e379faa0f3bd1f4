//! One shell per subcommand: read, call the core, write.
//!
//! What they share is here and in three places more: [`crate::manifest::Input`] opens what a command
//! reads, [`policies`] finds the policy, [`connection`] the cluster. Standard output carries only what a script reads; all
//! else goes to standard error.

pub mod connection;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod hash;
mod job_run;
pub mod mutate;
pub mod policies;
pub mod report;
pub mod rerun;
pub mod review;
pub mod serve;
pub mod status;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use crate::decide::{Decision, Verdict};
use crate::error::{UsageError, with_causes};
use crate::manifest::{Input, kinds};
use crate::review::{Operation, Request, UserInfo};

/// The exit code for a command line that asks for something that does not exist; clap's own.
const USAGE: u8 = 2;

/// The exit code where something is refused.
const DENIED: u8 = 3;

/// How a command prints what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs a command that talks to a cluster.
///
/// # Errors
/// The command's, and when no thread can be started.
pub fn block_on(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a thread; is the limit of processes reached?")?
        .block_on(command)
}

/// Says on standard error what went wrong, and gives the exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let message = with_causes(error.as_ref());
    // Standard error may be closed; then nobody reads the message.
    let _ = writeln!(std::io::stderr(), "rejob: {message}");
    if error.is::<UsageError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Writes to standard output. A reader that has seen enough (`rejob … | head`) is not an error.
///
/// # Errors
/// When standard output takes nothing, on a full disk for instance.
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// The Jobs of these manifests.
fn jobs(files: &[PathBuf]) -> anyhow::Result<Vec<Value>> {
    let mut jobs = Vec::new();
    for input in Input::read_all(files)? {
        for document in input.documents() {
            let Some(mut root) = document.read()? else { continue };
            kinds::refuse_bare_list(&mut root).map_err(|message| document.refuse(message))?;
            kinds::for_each_job(&mut root, &mut |job| {
                jobs.push(job.to_value());
                anyhow::Ok(())
            })?;
        }
    }
    Ok(jobs)
}

/// A document for programs, with a line end.
fn json_line(document: &impl Serialize) -> String {
    // Structs of strings and numbers: writing them does not fail.
    let mut json = serde_json::to_string_pretty(document).unwrap_or_default();
    json.push('\n');
    json
}

/// The text of a `Warning` header: `299 - "text"`.
fn warning(header: &str) -> String {
    let text = header.strip_prefix("299 - ").unwrap_or(header);
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut unescaped = String::new();
    let mut rest = quoted.unwrap_or(text).chars();
    while let Some(char) = rest.next() {
        unescaped.push(if char == '\\' { rest.next().unwrap_or(char) } else { char });
    }
    unescaped
}

/// A text of the cluster's for a terminal: without control characters.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Rows as columns, as kubectl prints them; the last column ends the line.
fn table(rows: &[Vec<String>]) -> String {
    let length =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns)
        .map(|column| rows.iter().map(|row| length(row, column)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}   ", plain(cell)));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

/// The dry run of a request about a Job, as the API server would ask about it.
fn request(operation: Operation, namespace: &str, job: Value, stored: Option<Value>) -> Request {
    Request {
        uid: String::new(),
        is_job: true,
        subresource: None,
        operation,
        namespace: namespace.to_owned(),
        name: job_name(&job).to_owned(),
        user: UserInfo::default(),
        object: Some(job),
        old_object: stored,
        dry_run: true,
        field_manager: None,
    }
}

/// The decision as it is answered once all that its plan checks has passed.
fn passed(decision: Decision) -> Decision {
    match decision.verdict {
        Verdict::Replace(_) => decision.passed(),
        Verdict::Admit | Verdict::Deny(_) => decision,
    }
}

/// The name of a Job for people: its own, or what the API server makes it from.
fn job_name(job: &Value) -> &str {
    let text = |field| text_at(job, field).filter(|name| !name.is_empty());
    text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or("without a name")
}

/// The text at a pointer.
fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_as_it_was_meant() {
        for (header, text) in [
            (r#"299 - "plain""#, "plain"),
            (r#"299 - "ends with \"quotes\"""#, r#"ends with "quotes""#),
            (r#"299 - "a \\""#, r"a \"),
            (r#"299 - "\\\"""#, r#"\""#),
            ("299 - bare", "bare"),
        ] {
            assert_eq!(warning(header), text);
        }
    }

    #[test]
    fn a_table_carries_no_control_characters() {
        let rows = [vec!["a\u{1b}[2J".to_owned(), "b\nc".to_owned()]];
        assert_eq!(table(&rows), "a [2J   b c\n");
    }
}
