//! Where kubectl's YAML and the parser's differ in what is text.
//!
//! kubectl reads YAML 1.1 as go.yaml.in/yaml/v2 does, the parser YAML 1.2. Inside of `[ ]` and
//! `{ }` a colon or a dash before a bracket or a comma is text to the former (`[grep, error:]`,
//! `[tar, xf, -]`) and an indicator to the latter. So the parser is given other characters in
//! their place, and [`Dialect::text`] gives them back. What else the former takes and the latter
//! refuses is mended where the parser stumbles.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, ScanError, StructureStyle};

use super::yaml::events;

/// How many times a document is mended, and how many bytes are looked through for it in all.
const MOST_MENDS: usize = 1000;
const MOST_BYTES: usize = 256 << 20;

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
    pub fn new(text: &'a str) -> Self {
        let text = with_known_breaks(text);
        let places: Vec<usize> = indicators(&text).collect();
        if places.is_empty() {
            return Self { source: text, stand_ins: None, mends: 0 };
        }
        let mut unused = ('\u{e000}'..='\u{f8ff}').take(64).filter(|c| !names(&text, *c));
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

    /// Mends what the parser stumbles over, until it reads the text to its end.
    ///
    /// # Errors
    /// What kubectl would not take either, or one mend too many.
    pub fn mend(&mut self) -> Result<(), ScanError> {
        while let Some((error, in_flow)) = stumble(&self.source) {
            if !self.mend_one(&error, in_flow) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn mend_one(&mut self, error: &ScanError, in_flow: bool) -> bool {
        self.mends += 1;
        if self.mends > MOST_MENDS || self.mends.saturating_mul(self.source.len()) > MOST_BYTES {
            return false;
        }
        let mended = error.marker().byte_offset().and_then(|at| {
            let (before, rest) = self.source.split_at_checked(at)?;
            match error.kind() {
                // An apostrophe may be escaped between double quotes.
                ErrorKind::UnknownQuotedScalarEscape => {
                    Some(format!("{before}{}", with_known_escapes(rest)?))
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

/// Where the parser stumbles, and whether that is inside of `[ ]` or `{ }`.
fn stumble(text: &str) -> Option<(ScanError, bool)> {
    let mut open = Vec::new();
    for event in events(text) {
        match event {
            Ok((Event::SequenceStart(style, ..) | Event::MappingStart(style, ..), _)) => {
                open.push(style);
            }
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => {
                open.pop();
            }
            Ok(_) => {}
            Err(error) => return Some((error, open.last() == Some(&StructureStyle::Flow))),
        }
    }
    None
}

/// The text with each U+0085, which YAML 1.1 takes for a line break and 1.2 for a letter, as a break
/// that both know, of the same length. (The other two, U+2028 and U+2029, stay what they are inside
/// of quotes in 1.1 as well; elsewhere kubectl breaks the line there, and we do not.)
pub(super) fn with_known_breaks(text: &str) -> Cow<'_, str> {
    if text.contains('\u{85}') {
        Cow::Owned(text.replace('\u{85}', "\r\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a text has a character, or the digits of an escape that stands for it.
fn names(text: &str, c: char) -> bool {
    let digits = format!("{:x}", u32::from(c));
    text.contains(c) || text.contains(&digits) || text.contains(&digits.to_uppercase())
}

/// The text, whose first double-quoted scalar has another escape for each `\'`; `None` when it has none.
fn with_known_escapes(text: &str) -> Option<String> {
    let begin = text.find('"')? + 1;
    let (mut known, mut from, mut escaped) = (String::new(), 0, false);
    for (at, byte) in text.bytes().enumerate().skip(begin) {
        match byte {
            b'\'' if escaped => {
                known.push_str(text.get(from..at)?);
                known.push_str("x27");
                from = at + 1;
            }
            b'"' if !escaped => break,
            _ => {}
        }
        escaped = !escaped && byte == b'\\';
    }
    (from > 0).then(|| known + text.get(from..).unwrap_or_default())
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

/// Whether this ends in the middle of a plain scalar, and not with a quote, an alias or the like,
/// whose colon makes a key of it.
fn ends_plain_scalar(before: &[u8]) -> bool {
    let delimits = |byte: &u8| b",[]{}\"'".contains(byte);
    let entry = before.rsplit(delimits).next().unwrap_or_default();
    let value = entry.windows(2).rposition(|pair| pair == b": ").map_or(0, |at| at + 2);
    let mut scalar = entry.get(value..).unwrap_or_default().trim_ascii();
    // An anchor and a tag stand before it.
    while let [b'&' | b'!', ..] = scalar {
        let end = scalar.iter().position(u8::is_ascii_whitespace).unwrap_or(scalar.len());
        scalar = scalar.get(end..).unwrap_or_default().trim_ascii_start();
    }
    scalar.first().is_some_and(|first| !b"*?".contains(first))
}

fn may_begin_scalar(before: &[u8]) -> bool {
    before.last().is_some_and(|byte| byte.is_ascii_whitespace() || b",[{".contains(byte))
}
