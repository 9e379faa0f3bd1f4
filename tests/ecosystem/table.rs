//! docs/ecosystem.md: each test writes a part of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A part of the page: what was played, and what came out without rejob and with it.
pub struct Table {
    title: &'static str,
    about: String,
    rows: Vec<[String; 3]>,
}

impl Table {
    /// A part under that title, with a paragraph of how it was played.
    pub fn new(title: &'static str, about: impl Into<String>) -> Self {
        Self { title, about: about.into(), rows: Vec::new() }
    }

    /// Adds what came out.
    pub fn row(&mut self, situation: &str, without: &str, with: &str) {
        self.rows.push([situation, without, with].map(|cell| cell.replace('|', "\\|")));
    }

    /// Compares the part with the page's, or writes it.
    #[track_caller]
    pub fn compare(&self) {
        static PAGE: Mutex<()> = Mutex::new(());
        let _turn = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ecosystem.md");
        let page = fs::read_to_string(&path).expect("read docs/ecosystem.md");
        let heading = format!("## {}\n", self.title);
        let start = page.find(&heading).unwrap_or_else(|| {
            panic!("docs/ecosystem.md has no heading {:?}: add it where it is to be", self.title)
        });
        let rest = &page[start + heading.len()..];
        let end = rest.find("\n## ").map_or(page.len(), |at| start + heading.len() + at);
        let part = format!("{heading}{}", self.body());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, format!("{}{part}{}", &page[..start], &page[end..])).expect("write");
            return;
        }
        assert_eq!(
            &page[start..end],
            part,
            "docs/ecosystem.md is stale: run UPDATE_DOCS=1 just ecosystem"
        );
    }

    fn body(&self) -> String {
        let mut body = format!("\n{}\n\n", self.about);
        body.push_str("| situation | without rejob | with rejob |\n|---|---|---|\n");
        for [situation, without, with] in &self.rows {
            let _ = writeln!(body, "| {situation} | {without} | {with} |");
        }
        body
    }
}
