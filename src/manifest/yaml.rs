//! Reads a YAML document as kubectl does, and writes one that every tool reads alike.
//!
//! Reader and writer are serde-saphyr's. kubectl reads YAML 1.1 by go.yaml.in/yaml/v2; what differs
//! from that is seen to here: line breaks, the order in which merge keys win, and text that the two
//! would read differently without a word, which is refused.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, StructureStyle};
use serde_saphyr::{DoubleQuoted, DuplicateKeyPolicy, Error, MergeKeyPolicy};

use super::json::given_twice;
use super::node::{Mapping, Node, Number};
use super::problem::Problem;

/// How deep lists and maps may nest, as in JSON: the tree is walked by recursion.
const MAX_DEPTH: usize = 127;
/// How many nodes and how many bytes of text a document's anchors and aliases may add to it.
const ALIASED_NODES: usize = 250_000;
const ALIASED_BYTES: usize = 64 << 20;

/// Reads the only document in the text; `None` when there is nothing in it.
///
/// # Errors
/// When the text is not YAML, has more than one document, a key twice, more aliases than fit, or
/// text that kubectl and other readers read differently.
pub fn read(text: &str) -> Result<Option<Node>, Problem> {
    // YAML 1.1 takes U+0085 for a line break: here one of the same length that both know. (U+2028
    // and U+2029 stay what they are inside of quotes in 1.1 as well; elsewhere kubectl breaks the
    // line there, and we do not.)
    let text = text.replace('\u{85}', "\r\n");
    let merges = refuse_ambiguous(&text)?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: text.len() + ALIASED_NODES,
            max_events: 2 * (text.len() + ALIASED_NODES),
            max_total_scalar_bytes: text.len() + ALIASED_BYTES,
            max_aliases: text.len(),
            max_anchors: text.len(),
            max_recorded_anchor_events: ALIASED_NODES,
            max_recorded_anchor_bytes: ALIASED_BYTES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_NODES },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let node = serde_saphyr::from_str_with_options::<Node>(&text, options);
    let node = node.map_err(|error| problem(&error))?;
    let node =
        if merges { merged(node).map_err(|message| Problem { line: 1, message })? } else { node };
    Ok(Some(node).filter(|node| *node != Node::Null))
}

/// What the parser found wrong, in our words.
fn problem(error: &Error) -> Problem {
    let line = error.location().map_or(1, |location| location.line());
    let error = match error.without_snippet() {
        Error::AliasError { error, .. } => error,
        error => error,
    };
    let message = match error {
        Error::Message { msg, .. } => msg.clone(),
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => given_twice(key),
            None => "a key is given twice in one map: remove one".to_owned(),
        },
        Error::MultipleDocuments { .. } => {
            "a second document begins without a line of --- before it".to_owned()
        }
        Error::ExternalMessage { msg, .. } if msg.starts_with("plain scalar cannot start") => {
            format!("not YAML: {msg}: quote it")
        }
        Error::ExternalMessage { msg, .. } if msg == "recursion limit exceeded" => too_much(),
        Error::ExternalMessage { msg, .. } => format!("not YAML: {msg}"),
        Error::NonFiniteFloat { .. } => {
            "a number that Kubernetes cannot store: quote it".to_owned()
        }
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => too_much(),
        other => {
            let text = other.to_string();
            let place = text.find(" at line ").unwrap_or(text.len());
            format!("not YAML: {}", text.get(..place).unwrap_or_default())
        }
    };
    Problem { line: usize::try_from(line).unwrap_or(1), message }
}

fn too_much() -> String {
    format!(
        "lists and maps nest more than {MAX_DEPTH} levels deep, or the aliases of this document stand \
         for more than {ALIASED_NODES} nodes or {} MiB: write it out",
        ALIASED_BYTES >> 20
    )
}

/// Refuses `[grep, error:]`: inside of brackets, kubectl takes a colon before a comma or a bracket
/// for text, and YAML 1.2 for the end of a key. And `yEs`, which is text to kubectl and a truth value
/// to our reader, and `0X1F`, a number to kubectl alone. Returns whether `<<` merges here: between
/// quotes it is text. The tree does not show the difference, so a document may have only one of the two.
fn refuse_ambiguous(text: &str) -> Result<bool, Problem> {
    let mut open = Vec::new();
    let (mut merges, mut quoted) = (false, None);
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    for (event, span) in Parser::new_from_str_with_options(text, options).map_while(Result::ok) {
        match event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => open.push(style),
            Event::SequenceEnd | Event::MappingEnd => drop(open.pop()),
            Event::Scalar(value, style, ..) if value == "<<" => match style {
                ScalarStyle::Plain => merges = true,
                _ => quoted = Some(span.start.line()),
            },
            Event::Scalar(value, ScalarStyle::Plain, ..) if is_oddly_spelled(&value) => {
                let message = format!("{value} is not the same to kubectl and to others: quote it");
                return Err(Problem { line: span.start.line(), message });
            }
            Event::Scalar(value, ScalarStyle::Plain, ..)
                if open.last() == Some(&StructureStyle::Flow) && !span.is_empty() =>
            {
                let rest = span.end.byte_offset().and_then(|end| text.get(end..));
                let after = rest.and_then(|rest| rest.trim_start_matches(' ').strip_prefix(':'));
                if after.is_some_and(|after| after.starts_with([',', ']', '}'])) {
                    let message = format!(
                        "{value}: ends in a colon, which is text to kubectl and no text to others: \
                         quote it, or write a space behind the colon of a key"
                    );
                    return Err(Problem { line: span.start.line(), message });
                }
            }
            _ => {}
        }
    }
    match quoted {
        Some(line) if merges => {
            let message = "<< is text here, and merges a map elsewhere in the document: write the \
                           merged map out";
            Err(Problem { line, message: message.to_owned() })
        }
        _ => Ok(merges),
    }
}

/// Whether this is a truth value but for its mix of cases (`resolveTable` of go.yaml.in/yaml/v2 has
/// `yes`, `Yes` and `YES`), or a number but for its capital prefix, which only kubectl knows.
fn is_oddly_spelled(text: &str) -> bool {
    let prefix = text.trim_start_matches(['+', '-']).get(..2);
    if matches!(prefix, Some("0X" | "0B" | "0O")) {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    let mut capital = lower.clone();
    capital.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
    matches!(lower.as_str(), "yes" | "no" | "on" | "off" | "true" | "false")
        && text != lower
        && text != capital
        && text != lower.to_ascii_uppercase()
}

/// The node with its merge keys (`<<`) carried out. What comes later in the document wins, as in
/// go.yaml.in/yaml/v2: a merge after a key replaces it. Of several maps in one merge the first wins.
fn merged(node: Node) -> Result<Node, String> {
    match node {
        Node::Sequence(items) => {
            items.into_iter().map(merged).collect::<Result<_, _>>().map(Node::Sequence)
        }
        Node::Mapping(members) if members.iter().all(|(key, _)| key != "<<") => {
            let members = members.into_iter().map(|(key, node)| Ok((key, merged(node)?)));
            members.collect::<Result<_, String>>().map(Node::Mapping)
        }
        Node::Mapping(members) => {
            let mut all = Mapping::new();
            let mut set = |name: String, node| match all.iter_mut().find(|(key, _)| *key == name) {
                Some((_, old)) => *old = node,
                None => all.push((name, node)),
            };
            for (key, node) in members {
                let node = merged(node)?;
                if key != "<<" {
                    set(key, node);
                    continue;
                }
                let maps = match node {
                    Node::Sequence(items) => items,
                    node => vec![node],
                };
                for map in maps.into_iter().rev() {
                    let Node::Mapping(members) = map else {
                        return Err(
                            "the value of << is neither a map nor a list of maps".to_owned()
                        );
                    };
                    for (key, node) in members {
                        set(key, node);
                    }
                }
            }
            Ok(Node::Mapping(all))
        }
        node => Ok(node),
    }
}

/// A document with this content, from the beginning of a line, with a newline at its end: block
/// style as kubectl prints it, quotes wherever a YAML 1.1 or 1.2 reader could take a string for
/// something else.
pub fn write(node: &Node) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let written = serde_saphyr::to_string_with_options(&Written(node), options);
    debug_assert!(written.is_ok(), "a node has no key that is not text");
    written.unwrap_or_default()
}

/// A node as YAML has it: without the spelling that a number has in JSON.
struct Written<'a>(&'a Node);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Node::Number(Number::Float(value, _)) => serializer.serialize_f64(*value),
            Node::String(text) => WrittenText(text).serialize(serializer),
            Node::Sequence(items) => serializer.collect_seq(items.iter().map(Written)),
            Node::Mapping(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, node) in members {
                    map.serialize_entry(&WrittenText(key), &Written(node))?;
                }
                map.end()
            }
            node => node.serialize(serializer),
        }
    }
}

/// Text as every reader takes it: quoted where they would differ, and where it begins with a tab, which
/// in a block would follow the indentation, and Go's readers refuse that.
struct WrittenText<'a>(&'a str);

impl Serialize for WrittenText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let begins_with_a_tab = self.0.trim_start_matches('\n').starts_with('\t');
        if begins_with_a_tab || is_oddly_spelled(self.0) {
            DoubleQuoted(self.0).serialize(serializer)
        } else {
            serializer.serialize_str(self.0)
        }
    }
}

#[cfg(test)]
mod tests;
