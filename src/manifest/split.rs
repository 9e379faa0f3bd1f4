//! Cuts a stream into its documents, by its markers alone.
//!
//! A line that begins with `---` or `...` cannot stand inside a scalar, so lines are enough: each
//! document is found without reading it, one at a time is in memory as a tree, and what is not
//! changed is copied. Joined together, the texts of the documents are the stream.

use std::borrow::Cow;

use super::node::Node;
use super::problem::{ManifestError, Problem};
use super::{json, yaml};

/// The byte order mark, which some editors write in front of UTF-8.
pub const BOM: &str = "\u{feff}";

/// Why a document is not written.
const UNWRITABLE: &str = "the changed document would read as another one because of what stands \
    before and after its content: end each line with a newline alone, and remove the comments";

/// A document of a stream.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    /// The file it stands in.
    file: &'a str,
    /// Everything that belongs to it: markers, directives and comments included.
    text: &'a str,
    /// Which document of the file it is, from 1.
    number: usize,
    /// The line of the file at which it begins, from 1.
    line: usize,
    /// Where its JSON value begins and ends; `None` for YAML.
    json: Option<(usize, usize)>,
}

impl<'a> Document<'a> {
    /// The text, byte for byte.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The file it stands in.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// Reads the document; `None` when there is nothing in it.
    ///
    /// # Errors
    /// When it is neither YAML nor JSON, or has a key twice.
    pub fn read(&self) -> Result<Option<Node>, ManifestError> {
        if self.content() == self.text.len() {
            return Ok(None);
        }
        let read = match self.json_value() {
            Some((before, value, _)) => json::read(value).map(Some).map_err(|problem| Problem {
                line: problem.line + before.matches('\n').count(),
                ..problem
            }),
            None => yaml::read(&without_mark(self.text)),
        };
        read.map_err(|problem| self.error(problem))
    }

    /// The document with another content: in its format, with the markers and comments that stand
    /// before and after the content.
    ///
    /// # Errors
    /// When that would read as something else, as where a carriage return alone ends a line.
    pub fn write(&self, node: &Node) -> Result<String, ManifestError> {
        let written = self.written(node);
        let again = documents(self.file, &written);
        let nodes: Result<Vec<_>, _> = again.iter().map(Document::read).collect();
        let same = nodes.is_ok_and(|nodes| nodes.iter().flatten().eq([node]));
        same.then_some(written).ok_or_else(|| self.refuse(UNWRITABLE.to_owned()))
    }

    fn written(&self, node: &Node) -> String {
        let text = if let Some((before, value, after)) = self.json_value() {
            format!("{before}{}{after}", json::write(node, &json::Layout::of(value)))
        } else {
            let text = without_mark(self.text);
            let head = head(&text);
            let newline = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
            let mut written = format!("{head}{newline}{}{}", yaml::write(node), tail(&text));
            if let Some(at) = mark(self.text) {
                written.insert_str(at, BOM);
            }
            written
        };
        if self.text.contains("\r\n") {
            text.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            text
        }
    }

    /// An error about the whole document.
    pub fn refuse(&self, message: String) -> ManifestError {
        let line = 1 + self.text.get(..self.content()).unwrap_or_default().matches('\n').count();
        self.error(Problem { line, message })
    }

    fn error(&self, problem: Problem) -> ManifestError {
        ManifestError {
            file: self.file.to_owned(),
            document: self.number,
            line: self.line + problem.line.saturating_sub(1),
            message: problem.message,
        }
    }

    fn content(&self) -> usize {
        self.json.map_or_else(|| content_start(self.text), |(start, _)| start)
    }

    fn json_value(&self) -> Option<(&'a str, &'a str, &'a str)> {
        let (start, end) = self.json?;
        let (before, rest) = self.text.split_at_checked(start)?;
        let (value, after) = rest.split_at_checked(end.checked_sub(start)?)?;
        Some((before, value, after))
    }
}

/// The documents of a text, in order.
pub(super) fn documents<'a>(file: &'a str, text: &'a str) -> Vec<Document<'a>> {
    let mut documents = Vec::new();
    let mut line = 1;
    for text in chunks(text) {
        let values = json_values(text);
        let pieces = values.len().max(1);
        let mut start = 0;
        for piece in 0..pieces {
            let value = values.get(piece);
            // The last piece takes the rest, so that nothing is lost.
            let end = value.filter(|_| piece + 1 < pieces).map_or(text.len(), |&(_, end)| end);
            let piece = text.get(start..end).unwrap_or_default();
            let number = documents.len() + 1;
            let json = value.map(|&(from, to)| (from - start, to - start));
            documents.push(Document { file, text: piece, number, line, json });
            line += piece.matches('\n').count();
            start = end;
        }
    }
    documents
}

/// Cuts before each `---` that does not follow only comments and directives, and after each `...`.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let (mut start, mut at) = (0, 0);
    let (mut marked, mut content) = (false, false);
    let mut cut = |from: usize, to: usize| {
        chunks.extend(text.get(from..to).filter(|chunk| !chunk.is_empty()));
    };
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if is_marker(line, "---") {
            if marked || content {
                cut(start, at);
                start = at;
            }
            (marked, content) = (true, false);
        } else if is_marker(line, "...") {
            cut(start, end);
            start = end;
            (marked, content) = (false, false);
        } else {
            let directive = line.starts_with('%') && !marked;
            content |= (content || !directive) && !is_blank_or_comment(line);
        }
        at = end;
    }
    cut(start, text.len());
    chunks
}

/// Whether the line is a document marker: alone, or with space after it.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with(BLANKS))
}

/// What is blank in YAML; other spaces of Unicode are text.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start_matches(BLANKS);
    line.is_empty() || line.starts_with('#')
}

/// The byte at which the content of a document begins, after blank lines, comments, directives and
/// the marker.
fn content_start(text: &str) -> usize {
    let mut at = 0;
    let mut marked = false;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        if !marked && is_marker(line, "---") {
            marked = true;
            rest = line.get(3..).unwrap_or_default();
        } else if !marked && line.starts_with('%') {
            rest = "";
        }
        if !is_blank_or_comment(rest) {
            let indent = rest.len() - rest.trim_start_matches(BLANKS).len();
            return at + (line.len() - rest.len()) + indent;
        }
        at += line.len();
    }
    text.len()
}

/// Where the JSON values of a document are, if it is nothing else than JSON values.
fn json_values(text: &str) -> Vec<(usize, usize)> {
    let start = content_start(text);
    let body = text.get(start..).unwrap_or_default();
    if !body.starts_with(['{', '[']) {
        return Vec::new();
    }
    let mut stream = serde_json::Deserializer::from_str(body).into_iter::<serde::de::IgnoredAny>();
    let mut values = Vec::new();
    let mut from = 0;
    while let Some(value) = stream.next() {
        if value.is_err() {
            // After a value, what begins like one is a broken one: no YAML goes on like that.
            let rest = body.get(from..).unwrap_or_default().trim_start();
            if values.is_empty() || !rest.starts_with(['{', '[']) {
                return Vec::new();
            }
            values.push((text.len() - rest.len(), text.len()));
            return values;
        }
        let end = stream.byte_offset();
        let space = body.get(from..end).map_or(0, |piece| piece.len() - piece.trim_start().len());
        values.push((start + from + space, start + end));
        from = end;
    }
    values
}

/// Where a byte order mark begins what follows the document's marker, as in files that were joined:
/// kubectl reads over it there, and nowhere else.
fn mark(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if is_marker(line, "---") {
            let alone = line.get(3..).is_some_and(is_blank_or_comment);
            return text.get(at..).filter(|rest| alone && rest.starts_with(BOM)).map(|_| at);
        }
        if !is_blank_or_comment(line) && !line.starts_with('%') {
            return None;
        }
    }
    None
}

/// The text without that mark.
fn without_mark(text: &str) -> Cow<'_, str> {
    match mark(text).and_then(|at| text.split_at_checked(at)) {
        Some((before, rest)) => {
            Cow::Owned(format!("{before}{}", rest.strip_prefix(BOM).unwrap_or(rest)))
        }
        None => Cow::Borrowed(text),
    }
}

/// What stands before the content: directives, comments and the marker.
fn head(text: &str) -> &str {
    let head = text.get(..content_start(text)).unwrap_or_default();
    // The content is written from the beginning of a line: what indented it goes.
    let line = head.rfind('\n').map_or(0, |at| at + 1);
    match head.get(line..) {
        Some(before) if is_marker(before, "---") => head.get(..line + 3).unwrap_or_default(),
        _ => head.get(..line).unwrap_or_default(),
    }
}

/// The comments and the `...` that end a document.
fn tail(text: &str) -> &str {
    let mut at = text.len();
    let mut tail = text.len();
    for line in text.split_inclusive('\n').rev() {
        at -= line.len();
        if line.starts_with('#') || is_marker(line, "...") {
            tail = at;
        } else if !line.trim_matches(BLANKS).is_empty() {
            break;
        }
    }
    text.get(tail..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        documents("f", text).iter().map(Document::text).collect()
    }

    #[test]
    fn markers_cut_a_stream() {
        for (text, wanted) in [
            ("a\n---\nb\n", vec!["a\n", "---\nb\n"]),
            ("---\na\n---\n---\nb", vec!["---\na\n", "---\n", "---\nb"]),
            ("# c\n---\na\n", vec!["# c\n---\na\n"]),
            (
                "%YAML 1.1\n---\na\n...\n%YAML 1.1\n---\nb\n",
                vec!["%YAML 1.1\n---\na\n...\n", "%YAML 1.1\n---\nb\n"],
            ),
            ("a: |\n  ---\n  x\n---\r\nb\r\n", vec!["a: |\n  ---\n  x\n", "---\r\nb\r\n"]),
            ("a\n--- # c\nb\n---x\n", vec!["a\n", "--- # c\nb\n---x\n"]),
            (
                "{\"a\":1}{\"b\":2}\n\n{}\n---\n[1]\n",
                vec!["{\"a\":1}", "{\"b\":2}", "\n\n{}\n", "---\n[1]\n"],
            ),
            ("", vec![]),
        ] {
            assert_eq!(texts(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn errors_name_file_document_and_line_of_the_file() {
        let text = "a: 1\n---\n\nb: 1\nb: 2\n";
        let documents = documents("job.yaml", text);
        let error = documents[1].read().unwrap_err().to_string();
        assert!(error.starts_with("job.yaml: document 2, line 5: the key \"b\""), "{error}");
        let text = "{\"a\": 1}\n\n{}\n{\"a\": 1,\n}\n{}\n";
        let documents = super::documents("job.json", text);
        let read: Vec<_> = documents.iter().map(Document::read).collect();
        assert!(read.len() == 3 && read[0].is_ok() && read[1].is_ok());
        let error = documents[2].read().unwrap_err().to_string();
        assert!(error.starts_with("job.json: document 3, line 5: trailing comma"), "{error}");
        let text = "{}\n{\"a\": 1,\n \"a\": 2}\n";
        let documents = super::documents("job.json", text);
        let error = documents[1].read().unwrap_err().to_string();
        assert!(error.starts_with("job.json: document 2, line 3: the key \"a\""), "{error}");
    }

    #[test]
    fn head_and_tail_of_a_rewritten_document_stay() {
        for (text, wanted) in [
            ("# s\n---\n# t\na: 1 # gone\n# u\n...\n", "# s\n---\n# t\na: 1\n# u\n...\n"),
            ("--- {a: 1}\n", "---\na: 1\n"),
            ("---\n\n  a: 1\n", "---\n\na: 1\n"),
            ("--- # c\n&x\na: 1\n\n\n", "--- # c\na: 1\n"),
            ("--- !!map\r\na: 1\r\n", "---\r\na: 1\r\n"),
            ("a: 1", "a: 1\n"),
            (" {\"a\": 1}\n", " {\"a\":1}\n"),
            ("a: |+\n  x\n\n# c\n", "a: |+\n  x\n\n# c\n"),
            ("---\n\u{feff}a: 1 # gone\n", "---\n\u{feff}a: 1\n"),
            ("--- # c\r\n\u{feff}# d\r\na: 1\r\n", "--- # c\r\n\u{feff}# d\r\na: 1\r\n"),
        ] {
            let documents = documents("f", text);
            let node = documents[0].read().unwrap().unwrap();
            assert_eq!(documents[0].write(&node).unwrap(), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_document_that_would_read_as_another_one_is_not_written() {
        let text = " \r\r\r\r\n?\r # n\r\n#\r\r\r\r T\r\r m";
        let documents = documents("f", text);
        let node = documents[0].read().unwrap().unwrap();
        let error = documents[0].write(&node).unwrap_err().to_string();
        assert!(error.starts_with("f: document 1, line 2: the changed document"), "{error}");
    }

    #[test]
    fn only_yamls_own_blanks_are_blank() {
        let text = "a: 1\nx:\n# c\n  \u{a0}\n";
        let documents = documents("f", text);
        let node = documents[0].read().unwrap().unwrap();
        let written = documents[0].write(&node).unwrap();
        assert_eq!(written.matches('\u{a0}').count(), 1, "{written:?}");
    }

    #[test]
    fn a_byte_order_mark_stands_only_where_kubectl_reads_over_it() {
        for (text, read) in [
            ("a: 1\n---\n\u{feff}a: 2\n", true),
            ("a: 1\n--- # c\n\u{feff}\na: 2\n", true),
            ("a: 1\n\u{feff}---\na: 2\n", false),
            ("a: 1\n--- \u{feff}\na: 2\n", false),
            ("a: 1\n---\n\u{feff}\u{feff}a: 2\n", false),
            ("a: 1\n---\n# c\n\u{feff}a: 2\n", false),
        ] {
            let documents = documents("f", text);
            let nodes: Result<Vec<_>, _> = documents.iter().map(Document::read).collect();
            assert_eq!(nodes.is_ok(), read, "{text:?}: {nodes:?}");
            let nodes = nodes.unwrap_or_default();
            assert!(nodes.iter().flatten().all(|node| node.get("a").is_some()), "{nodes:?}");
        }
    }
}
