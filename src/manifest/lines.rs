//! Where the members of a document's maps stand, for errors about what they say.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser};

/// The line of each member of the maps of a document, from 1.
#[derive(Debug, Default)]
pub struct LineNumbers {
    lines: HashMap<Vec<String>, usize>,
    first: usize,
}

impl LineNumbers {
    /// The lines of a YAML or JSON document that has been read without an error.
    pub fn of(text: &str) -> Self {
        let mut found = Self { first: 1, ..Self::default() };
        let mut path = Vec::new();
        // One for each open list or map: for a map, whether a key is awaited.
        let mut open: Vec<Option<bool>> = Vec::new();
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            if event.is_node() && open.is_empty() {
                found.first = span.start.line();
            }
            if let (Event::Scalar(text, ..), Some(Some(true))) = (&event, open.last()) {
                path.push(text.to_string());
                found.lines.entry(path.clone()).or_insert(span.start.line());
                open.pop();
                open.push(Some(false));
                continue;
            }
            match event {
                Event::MappingStart(..) => open.push(Some(true)),
                Event::SequenceStart(..) => {
                    path.push("-".to_owned());
                    open.push(None);
                }
                Event::MappingEnd | Event::SequenceEnd | Event::Scalar(..) | Event::Alias(_) => {
                    if matches!(event, Event::MappingEnd | Event::SequenceEnd)
                        && open.pop().flatten().is_none()
                    {
                        path.pop();
                    }
                    if let Some(awaited @ Some(_)) = open.last_mut() {
                        path.pop();
                        *awaited = Some(true);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The line of the member at that path; of what it stands in, where it has none of its own
    /// because an alias or a merge brought it.
    pub fn line(&self, path: &[&str]) -> usize {
        let mut path: Vec<String> = path.iter().map(|&key| key.to_owned()).collect();
        while !path.is_empty() {
            if let Some(line) = self.lines.get(&path) {
                return *line;
            }
            path.pop();
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_the_line_of_its_key() {
        let text = "# c\n---\na:\n  b: 1\n  l:\n  - x: 1\n  - [y, {z: 1}]\n  c:\n    d: |\n      t\n\
                    e: {f: 1,\n  g: 2}\n2: ~\n'on': &x {h: 1}\ni: *x\nj:\n  <<: *x\n";
        let lines = LineNumbers::of(text);
        for (path, line) in [
            (&["a"][..], 3),
            (&["a", "b"], 4),
            (&["a", "l"], 5),
            (&["a", "c", "d"], 9),
            (&["e", "f"], 11),
            (&["e", "g"], 12),
            (&["2"], 13),
            (&["on", "h"], 14),
            (&["i", "h"], 15),
            (&["j", "h"], 16),
            (&["k"], 3),
        ] {
            assert_eq!(lines.line(path), line, "{path:?}");
        }
    }

    #[test]
    fn json_has_lines_too() {
        assert_eq!(LineNumbers::of("{\n \"a\": {\n  \"b\": 1}}\n").line(&["a", "b"]), 3);
    }
}
