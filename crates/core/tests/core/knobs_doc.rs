//! The knobs in `docs/policies.md` and in the chart's schema of values are made from the table of knobs:
//! `UPDATE_DOCS=1 cargo test --test core knobs_doc` writes them anew, and without that stale ones fail.

use std::fmt::Write as _;

use rejob_core::policy::Policy;
use rejob_core::policy::knobs::{KNOBS, Knob, Values};
use serde_json::{Value, json};

/// The rows of a knob: a row for each value where each has an effect of its own.
fn rows(knob: &Knob) -> String {
    let defaults = serde_json::to_value(Policy::default()).unwrap();
    let default = match &defaults[knob.name] {
        Value::Null => "none".to_owned(),
        Value::String(name) => name.clone(),
        number => number.to_string(),
    };
    let bold = |value: &str| {
        if value == default { format!("**{value}**") } else { value.to_owned() }
    };
    let values: Vec<String> = match knob.values {
        Values::OneOf(names) => names.iter().map(|name| bold(name)).collect(),
        Values::Number { least, greatest } => {
            vec![format!("{least}-{greatest}"), bold(&default)]
        }
    };
    let values = if knob.effects.len() == 1 { vec![values.join(", ")] } else { values };
    assert_eq!(values.len(), knob.effects.len(), "{}: an effect for each value, or one", knob.name);
    let mut text = String::new();
    let mut first = format!("`{}` `{}` ", knob.name, knob.annotation);
    for (value, effect) in values.iter().zip(knob.effects) {
        writeln!(text, "| {first}| {value} | {effect} |").unwrap();
        first.clear();
    }
    text
}

fn schema(knob: &Knob) -> String {
    let schema = match knob.values {
        Values::OneOf(names) => {
            let names: Vec<String> = names.iter().map(|name| json!(name).to_string()).collect();
            format!(r#"{{"type": "string", "enum": [{}]}}"#, names.join(", "))
        }
        Values::Number { least, greatest } => {
            format!(r#"{{"type": "integer", "minimum": {least}, "maximum": {greatest}}}"#)
        }
    };
    format!("        \"{}\": {schema}", knob.name)
}

/// What stands between these two texts in a file is `made`.
fn stands_between(file: &str, begin: &str, end: &str, made: &str) {
    let path = crate::root().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let from = text.find(begin).expect("the beginning") + begin.len();
    let to = from + text[from..].find(end).expect("the end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{}{made}{}", &text[..from], &text[to..])).unwrap();
    } else {
        let stale = format!("{file} is stale: run UPDATE_DOCS=1 cargo test --test core knobs_doc");
        assert_eq!(&text[from..to], made, "{stale}");
    }
}

#[test]
fn the_page_tells_every_knob() {
    let made: String = KNOBS.iter().map(rows).collect();
    let begin = "| field, annotation | values, **default** | effect |\n|---|---|---|\n";
    stands_between("docs/policies.md", begin, "| `rejob.dev/skip`", &made);
}

#[test]
fn the_charts_schema_has_every_knob() {
    let made = KNOBS.iter().map(schema).collect::<Vec<_>>().join(",\n") + "\n";
    let begin = "    \"policy\": {\n      \"type\": \"object\",\n      \
                 \"additionalProperties\": false,\n      \"properties\": {\n";
    stands_between("charts/rejob/values.schema.json", begin, "      }\n", &made);
}
