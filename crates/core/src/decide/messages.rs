//! The words that users read: warnings and refusals.
//!
//! A warning has at most 120 characters and no control characters, and there are at most five
//! (`k8s.io/apiserver/pkg/warning` cuts at about 4 KiB in all). A refusal never says the words
//! that Flux takes as leave to delete the Job.

use crate::job::{Change, Job, NameKeeper};
use crate::policy::{OnChange, Policy};

/// The longest warning, in characters.
const LONGEST: usize = 120;
/// The longest refusal, in characters.
const LONGEST_REFUSAL: usize = 1000;
/// How many warnings an answer carries.
const MOST: usize = 5;
/// How many changes a sentence names.
const NAMED: usize = 3;

/// Part of what Flux takes as leave to delete the Job.
const FORBIDDEN: &str = "immutable";

/// What the warnings of a report say, by which `rejob rerun` knows one.
pub const ONLY_REPORTED: &str = "(onChange is Report)";
/// What a warning says where no policy runs the Job again, by which `rejob rerun` knows it.
pub const RERUN_DOES_NOTHING: &str = "rejob.dev/rerun does nothing";

/// The warnings of an answer.
#[derive(Debug, Default)]
pub struct Warnings(Vec<String>);

impl Warnings {
    /// Adds a warning, cut to what a client shows.
    pub fn add(&mut self, text: impl AsRef<str>) {
        if self.0.len() < MOST {
            self.0.push(cut(text.as_ref(), LONGEST));
        }
    }

    /// The warnings in their order.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Cuts a text to a number of characters, without control characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let mut clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = clean.by_ref().take(longest).collect();
    if clean.next().is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

/// A refusal as it is sent: readable, and without the words that Flux takes as leave to delete the
/// Job, wherever they come from (a label's name, the API server's own message).
pub(super) fn refusal(message: impl AsRef<str>) -> String {
    let mut text = message.as_ref().to_owned();
    while let Some(at) = text.to_ascii_lowercase().find(FORBIDDEN) {
        text.replace_range(at..at + FORBIDDEN.len(), "unchangeable");
    }
    cut(&text, LONGEST_REFUSAL)
}

/// The Job's name as a sentence says it; one without a name has the request's.
pub(super) fn name<'a>(job: Job<'a>, fallback: &'a str) -> &'a str {
    match job.name() {
        Some(name) => name,
        None if fallback.is_empty() => "(generated name)",
        None => fallback,
    }
}

/// The paths that changed, joined: the first few, and how many more.
pub(super) fn changed_paths(changes: &[Change]) -> String {
    join(changes.iter().map(|change| change.path.clone()), changes.len())
}

/// The changes with old and new values, joined.
pub fn describe_changes(changes: &[Change]) -> String {
    join(changes.iter().map(Change::describe), changes.len())
}

/// A number that changes, with its values.
pub(super) fn changed_number(path: &str, old: Option<i64>, new: Option<i64>) -> Option<String> {
    let text = |number: Option<i64>| number.map_or("none".to_owned(), |number| number.to_string());
    (old != new).then(|| format!("{path}: {} -> {}", text(old), text(new)))
}

/// Why a request failed, as warnings: the API server drops the message of a failed turn but keeps its
/// warnings.
pub fn as_warnings(message: &str) -> Vec<String> {
    let mut warnings = Warnings::default();
    let mut line = String::new();
    for word in message.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LONGEST {
            warnings.add(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    warnings.add(&line);
    warnings.into_vec()
}

fn join(texts: impl Iterator<Item = String>, all: usize) -> String {
    let named: Vec<String> = texts.take(NAMED).collect();
    let more = all.saturating_sub(named.len());
    let named = named.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Why a Job keeps its name under naming TemplateHash.
pub(super) fn name_kept(name: &str, keeper: NameKeeper, policy: &Policy) -> String {
    let why = match keeper {
        NameKeeper::ServerSideApply => "a server-side apply cannot be renamed".to_owned(),
        NameKeeper::KubectlReplace => "kubectl replace looks it up by that name".to_owned(),
        NameKeeper::Client(client) => format!("{} looks it up by that name", client.title()),
    };
    let then = match policy.on_change {
        OnChange::Replace => "a change replaces it",
        OnChange::Report => "a change is reported",
        OnChange::Keep => "a change keeps the old Job",
        OnChange::Deny => "a change is refused",
        OnChange::Ignore => "a change is left to the API server",
    };
    format!("job {} keeps its name: {why}; {then}", cut(name, 40))
}
