//! What documents mean, what is refused, and that what is written reads back.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn value(text: &str) -> Value {
    read(text).unwrap().unwrap().to_value()
}

fn refused(text: &str) -> (usize, String) {
    let problem = read(text).unwrap_err();
    (problem.line, problem.message)
}

fn written(yaml: &str) -> String {
    write(&read(yaml).unwrap().unwrap())
}

#[test]
fn a_document_without_a_node_is_none() {
    for text in ["", "# only this\n", "---\n...\n", "%YAML 1.1\n---\n# a\n", "~\n"] {
        assert!(read(text).unwrap().is_none(), "{text:?}");
    }
}

#[test]
fn a_truth_value_in_a_mix_of_cases_is_refused() {
    for text in ["yEs", "nO", "oFF", "tRUE", "FaLse"] {
        let (line, message) = refused(&format!("a: 1\nb: [{text}]\n"));
        assert_eq!((line, message.ends_with("quote it")), (2, true), "{message}");
        assert_eq!(value(&format!("a: \"{text}\"\n")), json!({ "a": text }));
    }
    for (text, message) in [("backoffLimit: 0X4\n", "0X4"), ("a: {b: tRUE}\n", "tRUE")] {
        assert!(refused(text).1.starts_with(message), "{text}");
    }
    assert_eq!(value("- True\n- NO\n- on\n"), json!([true, false, true]));
}

/// As `isMerge` of go.yaml.in/yaml/v2 has it.
#[test]
fn a_quoted_merge_key_is_text() {
    for text in ["\"<<\": {a: 1}\nb: 2\n", "'<<': {a: 1}\nb: 2\n"] {
        assert_eq!(value(text), json!({ "<<": { "a": 1 }, "b": 2 }));
    }
    assert_eq!(value(&written("'<<': ~\n")), json!({ "<<": null }));
    let (line, message) = refused("a: {<<: {b: 1}}\n'<<': 1\n");
    assert!(line == 2 && message.contains("write the merged map out"), "{line}: {message}");
}

/// Go's readers take no tab for the first character of a block's line.
#[test]
fn text_that_begins_with_a_tab_is_quoted() {
    for text in ["\tset -e\n\techo hi\n", "\n\tx\ny\n"] {
        let node = Node::String(text.to_owned());
        let written = write(&Node::Sequence(vec![node.clone()]));
        assert!(written.contains('"') && !written.contains('\t'), "{written:?}");
        assert_eq!(read(&written).unwrap(), Some(Node::Sequence(vec![node])));
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
        (
            "x: &x {a: {<<: {c: 1}}}\nz: {<<: *x, b: 1}\n",
            json!({"x": {"a": {"c": 1}}, "z": {"a": {"c": 1}, "b": 1}}),
        ),
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
        (
            "a: {\"b\":}\nc: {'d':, 'e f':, g: }\n",
            json!({"a": {"b": null}, "c": {"d": null, "e f": null, "g": null}}),
        ),
        ("a: b:,c:]\nd: [x:y, 'z:']\n", json!({"a": "b:,c:]", "d": ["x:y", "z:"]})),
        ("a: |\n  b:,\n  -]\n", json!({"a": "b:,\n-]\n"})),
        ("1: a\n0x10: b\non: c\n", json!({"1": "a", "16": "b", "true": "c"})),
        ("- !!binary aGk=\n- !!int \"3\"\n- !!float 3\n- !!str 7\n", json!(["hi", 3, 3.0, "7"])),
    ] {
        assert_eq!(value(text), wanted, "{text:?}");
    }
}

/// Each value is what sigs.k8s.io/yaml 1.6.0 (go.yaml.in/yaml/v2 2.4.4) makes of the text.
#[test]
fn plain_scalars_mean_what_kubectl_reads() {
    for (text, wanted) in [
        ("yes", json!(true)),
        ("on", json!(true)),
        ("y", json!(true)),
        ("Off", json!(false)),
        ("~", json!(null)),
        ("", json!(null)),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("-0b11", json!(-3)),
        ("08", json!(8.0)),
        ("1_000", json!(1000)),
        ("+5", json!(5)),
        ("1e3", json!(1000.0)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("1:30", json!("1:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("1.2.3", json!("1.2.3")),
        ("+", json!("+")),
        ("--flag", json!("--flag")),
        ("-+5", json!("-+5")),
        ("0x", json!("0x")),
        ("1Gi", json!("1Gi")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("'1'", json!("1")),
        ("\"yes\"", json!("yes")),
        ("''", json!("")),
    ] {
        assert_eq!(value(&format!("a: {text}\n")), json!({ "a": wanted }), "{text:?}");
    }
}

#[test]
fn text_that_kubectl_and_others_read_differently_is_refused() {
    for text in [
        "x: 1\na: [grep, error:]\n",
        "x: 1\na: [keys, user:, x:y]\n",
        "x: 1\na: {m: user:, b: c}\n",
        "x: 1\na: [it's:, 'b c']\n",
        "x: 1\na: {b:}\n",
        "x: 1\na: [f :]\n",
        "x: 1\na: [tar, xf, -, -C]\n",
        "x: 1\na: .nan\n",
        "x: 1\na: 1e400\n",
    ] {
        let (line, message) = refused(text);
        assert!(line == 2 && message.contains("quote it"), "{text:?}: {line} {message}");
    }
    for text in ["a: !foo 3\n", "1.20: a\n", ": b\n", "? [a]\n: b\n"] {
        refused(text);
    }
}

#[test]
fn a_key_given_twice_is_refused_with_its_line() {
    for text in ["a: 1\nb: 2\na: 3\n", "x: {b: 1,\n z: 2,\n b: 1}\n"] {
        let (line, message) = refused(text);
        assert!(line == 3 && message.contains("given twice"), "{text:?}: {line} {message}");
    }
    assert!(refused("x:\n  1: a\n  '1': b\n").1.contains("given twice"));
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
        let (_, message) = refused(text);
        assert!(!message.contains('\n') && !message.contains(" at line "), "{message}");
    }
    assert_eq!(refused("a: 1\nb:\n  c: 1\n d: 2\n").0, 4);
    assert_eq!(
        refused("a: 1\n---\nb: 1\n"),
        (3, "a second document begins without a line of --- before it".to_owned())
    );
}

#[test]
fn aliases_cannot_fill_the_memory_or_the_stack() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    assert!(refused(&bomb).1.contains("aliases"));
    // On a stack as large as the main thread's, where every command reads.
    let deep = std::thread::Builder::new().stack_size(8 << 20).spawn(depth_has_a_bound);
    deep.unwrap().join().unwrap();
    let many = "- a\n".repeat(300_000);
    assert!(read(&many).is_ok());
}

fn depth_has_a_bound() {
    let mut deep = "a0: &a0 []\n".to_owned();
    for level in 1..10 {
        let (open, close) = ("[".repeat(30), "]".repeat(30));
        writeln!(deep, "a{level}: &a{level} {open}*a{}{close}", level - 1).unwrap();
    }
    assert!(refused(&deep).1.contains("deep"));
    let (open, close) = ("[".repeat(100), "]".repeat(100));
    assert!(read(&format!("a: {open}{close}\n")).is_ok());
    let (open, close) = ("[".repeat(600), "]".repeat(600));
    assert!(refused(&format!("a: {open}{close}\n")).1.contains("127 levels deep"));
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
        "0X1F",
        "yEs",
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
        let line = write(&Node::String(text.to_owned()));
        assert!(line.starts_with(['"', '\'']), "{text} is written as {line}");
    }
    for text in
        ["busybox:1.36", "--flag=a b", "/bin/sh", "$(A)", "a,b", "10Mi", "-c", "é", "1.2.3-rc"]
    {
        assert_eq!(write(&Node::String(text.to_owned())), format!("{text}\n"));
    }
    let long = "sh -c ".repeat(40);
    assert_eq!(write(&Node::String(long.trim().to_owned())), format!("{}\n", long.trim()));
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
        let text = write(&node);
        let back = read(&text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
        prop_assert_eq!(back.unwrap_or(Node::Null), node, "{}", text);
    }
}

#[test]
fn a_key_longer_than_yaml_allows_is_announced() {
    let key = "k".repeat(2000);
    let node = Node::Mapping(vec![(key, Node::Sequence(vec![Node::Bool(true)]))]);
    assert_eq!(read(&write(&node)).unwrap().unwrap(), node);
}
