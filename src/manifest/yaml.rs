//! Reads one YAML document by the rules of kubectl.
//!
//! The events come from granit-parser, a YAML 1.2 parser that takes 1.1 documents; what scalars
//! mean is [`scalar`]'s business. Duplicate keys are refused (kubectl's strict validation does,
//! and a key given twice is never meant), merge keys are expanded, and aliases are expanded within
//! a budget, so that a few lines of YAML cannot fill the memory.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::dialect::{Dialect, with_known_breaks};
use super::node::{Mapping, Node};
use super::{Problem, scalar};

/// How much a document's aliases may add to it, in bytes of text and 32 for each node.
const ALIAS_BUDGET: usize = 64 << 20;
/// How deep lists and maps may nest once aliases are expanded: the tree is walked by recursion.
const MAX_DEPTH: usize = 500;

/// Reads the only document in the text; `None` when there is no node in it.
///
/// # Errors
/// When the text is no YAML, has more than one document, a key twice, or more aliases than fit.
pub fn read(text: &str) -> Result<Option<Node>, Problem> {
    let mut dialect = Dialect::new(text);
    let mut built = build(&dialect);
    if matches!(built, Err(Unread::Yaml(_))) {
        dialect.mend().map_err(|error| not_yaml(&error))?;
        built = build(&dialect);
    }
    built.map_err(|unread| match unread {
        Unread::Other(problem) => problem,
        Unread::Yaml(error) => not_yaml(&error),
    })
}

/// Why there is no node.
enum Unread {
    Yaml(ScanError),
    Other(Problem),
}

fn not_yaml(error: &ScanError) -> Problem {
    let message = match error.info().as_str() {
        "recursion limit exceeded" => too_deep(),
        info => format!("not YAML: {info}"),
    };
    Problem { line: error.marker().line(), message }
}

fn build(dialect: &Dialect<'_>) -> Result<Option<Node>, Unread> {
    let mut builder = Builder::default();
    for event in events(&dialect.source) {
        let (event, span) = event.map_err(Unread::Yaml)?;
        let event = match event {
            Event::Scalar(text, style, anchor, tag) => {
                Event::Scalar(dialect.text(text), style, anchor, tag)
            }
            other => other,
        };
        let line = span.start.line();
        builder.take(event).map_err(|message| Unread::Other(Problem { line, message }))?;
    }
    Ok(builder.root)
}

/// The byte at which the node of a document begins; `None` when there is none.
pub(super) fn start(text: &str) -> Option<usize> {
    let text = with_known_breaks(text);
    let first = events(&text).map_while(Result::ok).find(|(event, _)| event.is_node());
    first.and_then(|(_, span)| span.start.byte_offset())
}

/// The events of a text, without its comments.
pub(super) fn events(text: &str) -> Parser<'_, StrInput<'_>> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    // How deep a document may be is for the builder to say.
    options.flow_nesting_limit = MAX_DEPTH + 1;
    options.block_nesting_limit = MAX_DEPTH + 1;
    Parser::new_from_str_with_options(text, options)
}

/// A list or map whose end has not come yet.
struct Frame {
    anchor: usize,
    /// Levels below this one, so far.
    depth: usize,
    /// Of everything in it, so far.
    weight: usize,
    shape: Shape,
}

enum Shape {
    Sequence(Vec<Node>),
    Mapping(Members),
}

#[derive(Default)]
struct Members {
    list: Mapping,
    index: HashMap<String, usize>,
    /// The keys that stand in the map itself, not in one that is merged into it.
    own: HashSet<String>,
    key: Key,
}

#[derive(Default)]
enum Key {
    #[default]
    Awaited,
    Name(String),
    Merge,
}

/// A finished node with what it costs.
#[derive(Clone)]
struct Built {
    node: Node,
    depth: usize,
    weight: usize,
    /// A plain `<<` where a key is awaited.
    merge: bool,
}

#[derive(Default)]
struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    aliased: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        if event.is_node() && self.frames.is_empty() && self.root.is_some() {
            return Err("a second document begins without a line of --- before it".to_owned());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let built = scalar_node(&text, style, tag.as_deref())?;
                self.finish(built, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(anchor, Shape::Sequence(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(anchor, Shape::Mapping(Members::default()));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.frames.pop() else { return Ok(()) };
                let node = match frame.shape {
                    Shape::Sequence(items) => Node::Sequence(items),
                    Shape::Mapping(members) => Node::Mapping(members.list),
                };
                let built =
                    Built { node, depth: frame.depth + 1, weight: frame.weight, merge: false };
                self.finish(built, frame.anchor)
            }
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    return Err("an alias stands inside the node it names".to_owned());
                };
                self.aliased = charge(self.aliased, target.weight)?;
                let built = target.clone();
                self.finish(built, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, shape: Shape) {
        self.frames.push(Frame { anchor, depth: 0, weight: 0, shape });
    }

    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), String> {
        if self.frames.len() + built.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if anchor != 0 {
            self.aliased = charge(self.aliased, built.weight)?;
            self.anchors.insert(anchor, Built { merge: false, ..built.clone() });
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        frame.depth = frame.depth.max(built.depth);
        frame.weight = frame.weight.saturating_add(built.weight).saturating_add(32);
        match &mut frame.shape {
            Shape::Sequence(items) => {
                items.push(built.node);
                Ok(())
            }
            Shape::Mapping(members) => members.take(built),
        }
    }
}

fn too_deep() -> String {
    format!("lists and maps nest more than {MAX_DEPTH} levels deep")
}

/// What is copied for anchors and aliases after one more copy.
fn charge(aliased: usize, weight: usize) -> Result<usize, String> {
    let aliased = aliased.saturating_add(weight);
    if aliased > ALIAS_BUDGET {
        return Err(format!(
            "the anchors and aliases of this document stand for more than {} MiB: write it out",
            ALIAS_BUDGET >> 20
        ));
    }
    Ok(aliased)
}

impl Members {
    fn take(&mut self, built: Built) -> Result<(), String> {
        match std::mem::take(&mut self.key) {
            Key::Awaited if built.merge => self.key = Key::Merge,
            Key::Awaited => {
                let name = scalar::key(&built.node)?;
                if !self.own.insert(name.clone()) {
                    return Err(format!("the key {name:?} is given twice in one map: remove one"));
                }
                self.key = Key::Name(name);
            }
            Key::Name(name) => self.set(name, built.node),
            Key::Merge => self.merge(built.node)?,
        }
        Ok(())
    }

    fn set(&mut self, name: String, node: Node) {
        let at = self.index.get(&name).copied();
        if let Some((_, old)) = at.and_then(|at| self.list.get_mut(at)) {
            *old = node;
        } else {
            self.index.insert(name.clone(), self.list.len());
            self.list.push((name, node));
        }
    }

    /// What comes later in the document wins, as in go.yaml.in/yaml/v2: a merge after a key
    /// replaces it. Of several maps in one merge the first wins.
    fn merge(&mut self, node: Node) -> Result<(), String> {
        let maps = match node {
            Node::Sequence(items) => items,
            node => vec![node],
        };
        for map in maps.into_iter().rev() {
            let Node::Mapping(members) = map else {
                return Err("the value of << is neither a map nor a list of maps".to_owned());
            };
            for (name, node) in members {
                self.set(name, node);
            }
        }
        Ok(())
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Built, String> {
    // A local tag (`!foo`) makes a string of any scalar.
    let plain = style == ScalarStyle::Plain && tag.is_none();
    let tag = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let merge = text == "<<" && (plain || tag.as_deref() == Some("merge"));
    let node = scalar::resolve(text, plain, tag.as_deref())?;
    Ok(Built { node, depth: 0, weight: 32 + text.len(), merge })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Value {
        read(text).unwrap().unwrap().to_value()
    }

    fn refused(text: &str) -> (usize, String) {
        let problem = read(text).unwrap_err();
        (problem.line, problem.message)
    }

    #[test]
    fn a_document_without_a_node_is_none() {
        for text in ["", "# only this\n", "---\n...\n", "%YAML 1.1\n---\n# a\n"] {
            let node = read(text).unwrap();
            assert!(matches!(node, None | Some(Node::Null)), "{text:?}");
        }
    }

    /// Each value is what sigs.k8s.io/yaml 1.6.0 makes of the text.
    #[test]
    fn documents_mean_what_kubectl_reads() {
        for (text, wanted) in [
            ("a: &x {b: 1}\nc: *x\n", json!({"a": {"b": 1}, "c": {"b": 1}})),
            ("<<: {a: 2, b: 3}\na: 1\n", json!({"a": 1, "b": 3})),
            ("a: 1\n<<: {a: 2, b: 3}\n", json!({"a": 2, "b": 3})),
            ("<<: [{a: 2}, {a: 3, b: 4}]\n", json!({"a": 2, "b": 4})),
            ("'<<': 1\n", json!({"<<": 1})),
            ("a: !foo 3\n", json!({"a": "3"})),
            ("a: !!set {a, b}\n", json!({"a": {"a": null, "b": null}})),
            ("a: |\n  x \n\n   y\nb: >-\n  p\n  q\n", json!({"a": "x \n\n y\n", "b": "p q"})),
            ("a: |\n  x", json!({"a": "x\n"})),
            ("a: |+\n  x\n\n", json!({"a": "x\n\n"})),
            ("a: \"\\u00e9\\x41\\ud83d\\ude00\"\n", json!({"a": "\u{e9}A\u{1f600}"})),
            ("a:\r\n- 1\r\n- |\r\n  x\r\n", json!({"a": [1, "x\n"]})),
            ("%YAML 1.1\n---\non: off\n...\n", json!({"true": false})),
            ("a: \"x \u{85} \u{85} y\"\nb: 'x\u{85}y'\n", json!({"a": "x\ny", "b": "x y"})),
            ("a: x\u{85} y\nb: z # c\u{85}c: 1\n", json!({"a": "x y", "b": "z", "c": 1})),
            ("a: |\n  x\u{85}  y\n", json!({"a": "x\ny\n"})),
            ("a: \"x\\Ny\u{2028}z\"\n", json!({"a": "x\u{85}y\u{2028}z"})),
            ("a: [grep, error:]\n", json!({"a": ["grep", "error:"]})),
            ("a: [keys, user:, x:y, z::]\n", json!({"a": ["keys", "user:", "x:y", "z::"]})),
            ("{a:}\n", json!({"a:": null})),
            ("a: {m: user:, b: c}\n", json!({"a": {"m": "user:", "b": "c"}})),
            ("a: {m: user:}\nb: 'x:, y:]'\n", json!({"a": {"m": "user:"}, "b": "x:, y:]"})),
            ("a: [it's:, b c:]\n", json!({"a": ["it's:", "b c:"]})),
            (
                "a: {\"b\":}\nc: {'d':, 'e f':}\n",
                json!({"a": {"b": null}, "c": {"d": null, "e f": null}}),
            ),
            ("a: &x b\nc: {*x :}\n", json!({"a": "b", "c": {"b": null}})),
            ("a: b:,c:]\n", json!({"a": "b:,c:]"})),
            ("a: |\n  b:,\n  -]\n", json!({"a": "b:,\n-]\n"})),
            (
                "a: [tar, xf, -, -C, -]\nb: [-,-]\n",
                json!({"a": ["tar", "xf", "-", "-C", "-"], "b": ["-", "-"]}),
            ),
            ("a: {b: -}\nc: a-, b-]\n", json!({"a": {"b": "-"}, "c": "a-, b-]"})),
            ("a: [\u{e000}:, -]\n", json!({"a": ["\u{e000}:", "-"]})),
            (
                "a: [x:, -]\nb: \"\\uE000\\ue001\"\n",
                json!({"a": ["x:", "-"], "b": "\u{e000}\u{e001}"}),
            ),
            ("a: {&x b:, !!str c:}\n", json!({"a": {"b:": null, "c:": null}})),
            ("a: [b &c:, d *e:, f :]\n", json!({"a": ["b &c:", "d *e:", "f :"]})),
            ("a: \"it\\'s \\\\ \\'\\'\"\nb: 'c:\\'\n", json!({"a": "it's \\ ''", "b": "c:\\"})),
            ("a: {b: \"x\"}#c\nd: \"x\"#c\n", json!({"a": {"b": "x"}, "d": "x"})),
            ("a: [\n\t1,\n\t\"b\"\n\t]\n", json!({"a": [1, "b"]})),
            (
                "x:\n  a: [\n\t]\n  b: {\n\t\tc: 1,\n\td: [e,\n\t\tf],\n\t}\n",
                json!({"x": {"a": [], "b": {"c": 1, "d": ["e", "f"]}}}),
            ),
        ] {
            assert_eq!(value(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_line() {
        for text in ["a: 1\nb: 2\na: 3\n", "x:\n  1: a\n  '1': b\n", "x: {b: 1,\n y: 2,\n b: 1}\n"]
        {
            let (line, message) = refused(text);
            assert!(line == 3 && message.contains("given twice"), "{text:?}: {line} {message}");
        }
    }

    #[test]
    fn invalid_yaml_is_refused_with_its_line() {
        for text in [
            "a: 1\n\tb: 2\n",
            "a: [1\nb: 2\n",
            "a: \"x\nb: 1\n",
            "a: *b\n",
            "&a [*a]\n",
            "a: b: c\n",
            "a:\n\tb: 1\n",
            "a: \"\\q\"\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert_eq!(refused("a: 1\nb:\n  c: 1\n d: 2\n").0, 4);
        assert_eq!(refused("a:\n- .nan\n").0, 2);
    }

    #[test]
    fn aliases_cannot_fill_the_memory_or_the_stack() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
        }
        assert!(refused(&bomb).1.contains("aliases"));
        let mut deep = "a0: &a0 []\n".to_owned();
        for level in 1..10 {
            let (open, close) = ("[".repeat(100), "]".repeat(100));
            writeln!(deep, "a{level}: &a{level} {open}*a{}{close}", level - 1).unwrap();
        }
        assert!(refused(&deep).1.contains("deep"));
        let (open, close) = ("[".repeat(400), "]".repeat(400));
        assert!(read(&format!("a: {open}{close}\n")).is_ok());
        let (open, close) = ("[".repeat(600), "]".repeat(600));
        assert!(refused(&format!("a: {open}{close}\n")).1.contains("500 levels deep"));
    }
}
