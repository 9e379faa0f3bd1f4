//! Writes a node as YAML that every tool reads alike.
//!
//! Block style as kubectl prints it, block scalars for texts of several lines, quotes wherever a
//! YAML 1.1 or 1.2 reader could take a string for something else. What is written reads back
//! equal: property tests hold it to that.

use super::node::{Mapping, Node};
use super::scalar;

/// Beyond this length YAML wants a key to be announced by `? `.
const SIMPLE_KEY: usize = 1000;

/// A document with this content, from the beginning of a line, with a newline at its end.
#[must_use]
pub fn document(node: &Node) -> String {
    let mut out = String::new();
    match node {
        Node::Mapping(members) if !members.is_empty() => mapping(&mut out, members, 0),
        Node::Sequence(items) if !items.is_empty() => sequence(&mut out, items, 0),
        node => scalar_line(&mut out, node, 0),
    }
    out
}

/// The members, the first from where `out` stands, the others from `indent`.
fn mapping(out: &mut String, members: &Mapping, indent: usize) {
    for (number, (key, node)) in members.iter().enumerate() {
        if number > 0 {
            spaces(out, indent);
        }
        let key = inline(key);
        if key.len() > SIMPLE_KEY {
            out.push_str("? ");
            out.push_str(&key);
            out.push('\n');
            spaces(out, indent);
        } else {
            out.push_str(&key);
        }
        out.push(':');
        match node {
            Node::Mapping(members) if !members.is_empty() => {
                out.push('\n');
                spaces(out, indent + 2);
                mapping(out, members, indent + 2);
            }
            Node::Sequence(items) if !items.is_empty() => {
                out.push('\n');
                spaces(out, indent);
                sequence(out, items, indent);
            }
            node => {
                out.push(' ');
                scalar_line(out, node, indent + 2);
            }
        }
    }
}

/// The items, the first from where `out` stands, the others from `indent`.
fn sequence(out: &mut String, items: &[Node], indent: usize) {
    for (number, node) in items.iter().enumerate() {
        if number > 0 {
            spaces(out, indent);
        }
        out.push_str("- ");
        match node {
            Node::Mapping(members) if !members.is_empty() => mapping(out, members, indent + 2),
            Node::Sequence(items) if !items.is_empty() => sequence(out, items, indent + 2),
            node => scalar_line(out, node, indent + 2),
        }
    }
}

/// A node that is not written over several nodes' lines, with its newline.
fn scalar_line(out: &mut String, node: &Node, indent: usize) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Node::Number(number) => out.push_str(&number.spelling()),
        Node::Sequence(_) => out.push_str("[]"),
        Node::Mapping(_) => out.push_str("{}"),
        Node::String(text) if indent > 0 && fits_block(text) => return block(out, text, indent),
        Node::String(text) => out.push_str(&inline(text)),
    }
    out.push('\n');
}

fn block(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in body.split('\n') {
        if !line.is_empty() {
            spaces(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
    for _ in 1..text.len() - body.len() {
        out.push('\n');
    }
}

/// Whether a text of several lines can be a block scalar without an indentation indicator.
fn fits_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text.lines().all(|line| line.is_empty() || !line.trim().is_empty())
        && text.chars().all(|c| matches!(c, '\n' | '\t') || is_printable(c))
}

/// Characters that no YAML version takes for a line break, a mark, or refuses unescaped.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A string on one line: plain where that is safe, else in double quotes.
fn inline(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let starts_well = |first: char| {
        first.is_alphanumeric() || matches!(first, '_' | '/' | '.' | '$' | '(' | '-' | '+' | '^')
    };
    let not_a_marker = !text.starts_with("---") && !text.starts_with("...") && text != "-";
    text.chars().next().is_some_and(starts_well)
        && !text.starts_with("- ")
        && not_a_marker
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| matches!(c, ' '..='~') || (c.is_alphanumeric() && is_printable(c)))
        && !looks_typed(text)
}

/// Whether some YAML reader could take the text for a number, a date, a boolean or null.
fn looks_typed(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let numeric = |c: char| c.is_ascii_hexdigit() || ".:_+-xXoOTtZz ".contains(c);
    let leads = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
        || (text.starts_with(leads)
            && text.contains(|c: char| c.is_ascii_digit())
            && text.chars().all(numeric))
        || [".inf", ".nan"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text.trim_start_matches(['+', '-'])))
        || !matches!(scalar::resolve(text, true, None), Ok(Node::String(_)))
}

fn quoted(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::{Number, yaml};

    fn written(yaml: &str) -> String {
        document(&yaml::read(yaml).unwrap().unwrap())
    }

    #[test]
    fn maps_and_lists_look_as_kubectl_prints_them() {
        let text =
            "a:\n  b: 1\n  c:\n  - x\n  - d: 2\n    e: null\n  - - 1\n    - {}\n  - []\nf: true\n";
        assert_eq!(written(text), text);
    }

    #[test]
    fn texts_of_several_lines_are_blocks() {
        let text = "a: |\n  x\n\n   y \n  \tz\nb:\n- |-\n  p\n  q\n- |+\n  r\n  s\n\nc: 1\n";
        assert_eq!(written(text), text);
        assert_eq!(written("a: \"x\\n   \\ny\"\n"), "a: \"x\\n   \\ny\"\n");
        assert_eq!(written("a: \" x\\ny\"\n"), "a: \" x\\ny\"\n");
    }

    #[test]
    fn strings_that_would_read_back_as_something_else_are_quoted() {
        for text in [
            "1",
            "0644",
            "1e3",
            "yes",
            "Y",
            "null",
            "~",
            "",
            "2001-01-01",
            "1:30",
            "0o7",
            "1_0",
            ".5",
            "<<",
            "=",
            "- a",
            "a: b",
            "a #b",
            "a:",
            " a",
            "a ",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "{a",
            "[a",
            "---",
            "-",
            "|",
            ">",
            "#a",
            "'a",
            "\"a",
            "?",
            ",",
            ".inf",
            "-.INF",
            "+1",
        ] {
            let line = document(&Node::String(text.to_owned()));
            assert!(line.starts_with('"'), "{text} is written as {line}");
        }
        for text in
            ["busybox:1.36", "--flag=a b", "/bin/sh", "$(A)", "a,b", "10Mi", "-c", "é", "1.2.3-rc"]
        {
            assert_eq!(document(&Node::String(text.to_owned())), format!("{text}\n"));
        }
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\n\t]{0,12}",
            "\\PC{0,8}",
            any::<String>(),
            "[-0-9+._:eExobTZ]{0,8}",
            "([ a#:|\n-]{0,6}\n){1,4}",
            prop::sample::select(vec!["yes", "NO", "~", "0x1F", ".inf", "<<", "---", "...", "1e3"])
                .prop_map(str::to_owned),
        ]
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            any::<i64>().prop_map(|value| Node::Number(Number::Int(value))),
            (i64::MAX as u64 + 1..).prop_map(|value| Node::Number(Number::Unsigned(value))),
            any_text().prop_map(Node::String),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Node::Sequence),
                prop::collection::btree_map(any_text(), inner, 0..5)
                    .prop_map(|members| Node::Mapping(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_equal(node in any_node()) {
            let text = document(&node);
            let back = yaml::read(&text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
            prop_assert_eq!(back.unwrap_or(Node::Null), node, "{}", text);
        }
    }

    #[test]
    fn a_key_longer_than_yaml_allows_is_announced() {
        let key = "k".repeat(2000);
        let node = Node::Mapping(vec![(key, Node::Sequence(vec![Node::Bool(true)]))]);
        assert_eq!(yaml::read(&document(&node)).unwrap().unwrap(), node);
    }
}
