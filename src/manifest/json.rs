//! Reads and writes one JSON document, and reads a node from whatever serde reads.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::PrettyFormatter;
use serde_json::value::RawValue;

use super::node::{Mapping, Node, Number};
use super::problem::Problem;

/// Reads the only value in the text.
///
/// # Errors
/// When the text is not JSON, or has a key twice.
pub fn read(text: &str) -> Result<Node, Problem> {
    let mut node = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = match message.strip_suffix(&place).unwrap_or(&message) {
            "recursion limit exceeded" => "lists and maps nest more than 127 levels deep",
            message => message,
        }
        .to_owned();
        Problem { line: error.line(), message }
    })?;
    spell(&mut node, &mut Spellings(text));
    Ok(node)
}

/// Gives each number the spelling it has in the text, in the order of the text: `1E5`, `0.10` and
/// numbers of more digits than a float holds are written back as they came.
fn spell(node: &mut Node, spellings: &mut Spellings<'_>) {
    match node {
        Node::Number(number) => {
            if let (Some(spelling), Number::Float(_, text)) = (spellings.next(), number) {
                *text = spelling.into();
            }
        }
        Node::Sequence(items) => items.iter_mut().for_each(|item| spell(item, spellings)),
        Node::Mapping(members) => {
            for (_, member) in members {
                spell(member, spellings);
            }
        }
        Node::Null | Node::Bool(_) | Node::String(_) => {}
    }
}

/// The numbers of a JSON text, which is known to be valid; what stands in strings is none.
struct Spellings<'a>(&'a str);

impl<'a> Iterator for Spellings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut quoted = false;
        let mut escaped = false;
        let begin = self.0.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'-' | b'0'..=b'9' => return !quoted,
                _ => {}
            }
            false
        })?;
        let rest = self.0.get(begin..)?;
        let part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let (number, rest) =
            rest.split_at_checked(rest.find(|c| !part(c)).unwrap_or(rest.len()))?;
        self.0 = rest;
        Some(number)
    }
}

/// How a JSON text is laid out.
#[derive(Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line.
    Compact,
    /// One member a line, indented by this.
    Indented(String),
}

impl Layout {
    /// The layout of a text, as its first member shows it.
    pub fn of(text: &str) -> Self {
        let Some((_, second)) = text.split_once('\n') else { return Self::Compact };
        let indent: String = second.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        Self::Indented(if indent.is_empty() { "  ".to_owned() } else { indent })
    }
}

/// Writes a node as JSON, without a newline at its end.
pub fn write(node: &Node, layout: &Layout) -> String {
    let mut bytes = Vec::new();
    let written = match layout {
        Layout::Compact => node.serialize(&mut serde_json::Serializer::new(&mut bytes)),
        Layout::Indented(indent) => {
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            node.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        }
    };
    debug_assert!(written.is_ok(), "a node has no key that is not text");
    String::from_utf8(bytes).unwrap_or_default()
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number::Int(value)) => serializer.serialize_i64(*value),
            Self::Number(Number::Unsigned(value)) => serializer.serialize_u64(*value),
            Self::Number(Number::Float(value, text)) => {
                match RawValue::from_string(text.to_string()) {
                    Ok(raw) => raw.serialize(serializer),
                    Err(_) => serializer.serialize_f64(*value),
                }
            }
            Self::String(text) => serializer.serialize_str(text),
            Self::Sequence(items) => serializer.collect_seq(items),
            Self::Mapping(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, node) in members {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(Number::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(i64::try_from(value).map_or(Number::Unsigned(value), Number::Int)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(Number::float(value, "")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Node::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut nodes = Mapping::new();
        let mut known = HashSet::new();
        while let Some(key) = members.next_key()? {
            let key = key_text(key).map_err(A::Error::custom)?;
            if !known.insert(key.clone()) {
                return Err(A::Error::custom(given_twice(&key)));
            }
            nodes.push((key, members.next_value()?));
        }
        Ok(Node::Mapping(nodes))
    }
}

/// What is said of a key that a map has already.
pub(super) fn given_twice(key: &str) -> String {
    format!("the key {key:?} is given twice in one map: remove one")
}

/// The key of a map as JSON has it; a YAML key may be something else.
fn key_text(key: Node) -> Result<String, &'static str> {
    match key {
        Node::String(text) => Ok(text),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Number(number @ (Number::Int(_) | Number::Unsigned(_))) => Ok(number.spelling()),
        Node::Number(Number::Float(..)) => Err("a key is a number with a fraction: quote it"),
        Node::Null => Err("a key is empty: write the name of a field before the colon"),
        Node::Sequence(_) | Node::Mapping(_) => {
            Err("a list or map is used as a key: Kubernetes knows keys that are text only")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_and_writes_in_its_layout() {
        for text in [
            r#"{"b":1,"a":[1.5,-2,18446744073709551615,true,null,"x"]}"#,
            "{\n\t\"b\": {\n\t\t\"a\": 1\n\t}\n}",
            "{\n    \"b\": []\n}",
        ] {
            assert_eq!(write(&read(text).unwrap(), &Layout::of(text)), text);
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let text = r#"{"-1":[1E5,0.10,-0,-0.0,1e-7,18446744073709551616],"a\\":["\"2.50",12345678901234567890123456,7,3.00,1.5e+300,"\\",2.0]}"#;
        assert_eq!(write(&read(text).unwrap(), &Layout::of(text)), text);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line() {
        assert_eq!(read("{\n\"a\":}").unwrap_err().line, 2);
        assert!(read("{\"a\":1,\"a\":1}").unwrap_err().message.contains("given twice"));
        let deep = "[".repeat(200);
        assert!(read(&deep).unwrap_err().message.contains("127 levels deep"));
    }
}
