//! Where kubectl's YAML and the parser's differ in what is text.
//!
//! kubectl reads YAML 1.1 as go.yaml.in/yaml/v2 does, the parser YAML 1.2. Inside of `[ ]` and
//! `{ }` a colon or a dash before a bracket or a comma is text to the former (`[grep, error:]`,
//! `[tar, xf, -]`) and an indicator to the latter. So the parser is given other characters in
//! their place, and [`Dialect::text`] gives them back. What else the former takes and the latter
//! refuses is mended where the parser stumbles.

use std::borrow::Cow;

use granit_parser::{ErrorKind, ScanError};

/// How many times a document is read again, for each of its mends, and how many bytes in all.
const MOST_MENDS: usize = 1000;
const MOST_BYTES: usize = 64 << 20;

/// What stands for a tab in an indentation.
const TAB: &str = "        ";

/// A document as the parser is to read it.
pub(super) struct Dialect<'a> {
    /// The text, line by line the same as it came.
    pub source: Cow<'a, str>,
    /// The character that stands for a colon, and the one for a dash, if there are any.
    stand_ins: Option<(char, char)>,
    mends: usize,
}

impl<'a> Dialect<'a> {
    pub fn new(text: Cow<'a, str>) -> Self {
        let places: Vec<usize> = indicators(&text).collect();
        if places.is_empty() {
            return Self { source: text, stand_ins: None, mends: 0 };
        }
        let mut unused = ('\u{e000}'..='\u{f8ff}').filter(|c| !text.contains(*c));
        let (Some(colon), Some(dash)) = (unused.next(), unused.next()) else {
            return Self { source: text, stand_ins: None, mends: 0 };
        };
        let mut source = String::with_capacity(text.len() + 2 * places.len());
        let mut from = 0;
        for at in places {
            let is_colon = text.as_bytes().get(at) == Some(&b':');
            source.push_str(text.get(from..at).unwrap_or_default());
            source.push(if is_colon { colon } else { dash });
            from = at + 1;
        }
        source.push_str(text.get(from..).unwrap_or_default());
        Self { source: source.into(), stand_ins: Some((colon, dash)), mends: 0 }
    }

    /// The text that a scalar stands for.
    pub fn text<'s>(&self, scalar: Cow<'s, str>) -> Cow<'s, str> {
        match self.stand_ins {
            Some((colon, dash)) if scalar.contains([colon, dash]) => {
                scalar.replace(colon, ":").replace(dash, "-").into()
            }
            _ => scalar,
        }
    }

    /// Mends what the parser stumbled over; false when kubectl would not take it either.
    pub fn mend(&mut self, error: &ScanError, in_flow: bool) -> bool {
        self.mends += 1;
        if self.mends > MOST_MENDS || self.mends.saturating_mul(self.source.len()) > MOST_BYTES {
            return false;
        }
        let mended = error.marker().byte_offset().and_then(|at| {
            let (before, rest) = self.source.split_at_checked(at)?;
            match error.kind() {
                // An apostrophe may be escaped between double quotes.
                ErrorKind::UnknownQuotedScalarEscape => {
                    let (start, end) = split_at_escape(rest)?;
                    Some(format!("{before}{start}\\x27{end}"))
                }
                // A comment may follow a quote or a bracket at once.
                ErrorKind::CommentNotSeparated => {
                    let (start, end) = rest.split_once('#')?;
                    Some(format!("{before}{start} #{end}"))
                }
                // Inside of brackets, tabs may indent.
                ErrorKind::TabInBlockIndentation if in_flow => {
                    let line = before.rfind('\n')? + 1;
                    let (above, indent) = before.split_at_checked(line)?;
                    Some(format!("{above}{}{rest}", indent.replace('\t', TAB)))
                }
                _ => None,
            }
        });
        mended.map(|mended| self.source = mended.into()).is_some()
    }
}

/// The text before and after the first `\'` that is no part of another escape.
fn split_at_escape(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = text.bytes().position(|byte| {
        let found = escaped && byte == b'\'';
        escaped = !escaped && byte == b'\\';
        found
    })?;
    Some((text.get(..at.checked_sub(1)?)?, text.get(at + 1..)?))
}

/// The bytes at which a colon or dash stands before a comma or a closing bracket, and is text to
/// kubectl if that is one of a flow collection. (If it is not, it is text to both.)
fn indicators(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    bytes.windows(2).enumerate().filter_map(move |(at, pair)| {
        let is_text = match pair {
            [b':', b',' | b']' | b'}'] => ends_plain_scalar(bytes.get(..at)?),
            [b'-', b',' | b']' | b'}'] => may_begin_scalar(bytes.get(..at)?),
            _ => false,
        };
        is_text.then_some(at)
    })
}

/// Whether this ends with the letters of a scalar, and not with a quote, an alias or the like, whose
/// colon makes a key of it.
fn ends_plain_scalar(before: &[u8]) -> bool {
    let delimits = |byte: &u8| byte.is_ascii_whitespace() || b",[]{}\"'".contains(byte);
    let begin = before.iter().rposition(delimits).map_or(0, |at| at + 1);
    before.get(begin).is_some_and(|first| !b"&*!".contains(first))
}

fn may_begin_scalar(before: &[u8]) -> bool {
    before.last().is_some_and(|byte| byte.is_ascii_whitespace() || b",[{".contains(byte))
}
