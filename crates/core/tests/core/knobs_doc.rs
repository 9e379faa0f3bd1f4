//! The knobs in `docs/policies.md`, in the chart's schema of values and in the default policy file are made
//! from the table of knobs: `UPDATE_DOCS=1 cargo test --test core knobs_doc` writes them anew, and without
//! that stale ones fail.

use std::fmt::Write as _;

use rejob_core::policy::knobs::{KNOBS, Knob, Values};
use serde_json::Value;

/// The rows of a knob: a row for each value where each has an effect of its own.
fn rows(knob: &Knob) -> String {
    let default = match knob.default_value() {
        None => "none".to_owned(),
        Some(Value::String(name)) => name,
        Some(number) => number.to_string(),
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

/// The knob as the default policy file tells it.
fn lines(knob: &Knob) -> String {
    let mut text = format!("    # {} (annotation {}):\n", knob.name, knob.annotation);
    let range = match knob.values {
        Values::OneOf(_) => String::new(),
        Values::Number { .. } => format!("; {}", knob.values),
    };
    for effect in knob.plain_effects() {
        writeln!(text, "    #   {effect}{range}").unwrap();
    }
    match knob.default_value() {
        None => writeln!(text, "    # {}: 3600", knob.name).unwrap(),
        Some(Value::String(name)) => writeln!(text, "    {}: {name}", knob.name).unwrap(),
        Some(number) => writeln!(text, "    {}: {number}", knob.name).unwrap(),
    }
    text
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
    let schema = |knob: &Knob| format!("        \"{}\": {}", knob.name, knob.schema());
    let made = KNOBS.iter().map(schema).collect::<Vec<_>>().join(",\n") + "\n";
    let begin = "    \"policy\": {\n      \"type\": \"object\",\n      \
                 \"additionalProperties\": false,\n      \"properties\": {\n";
    stands_between("charts/rejob/values.schema.json", begin, "      }\n", &made);
}

#[test]
fn the_default_policy_file_tells_every_knob() {
    let made: String = KNOBS.iter().map(lines).collect();
    stands_between("src/commands/generate/policies.yaml", "  replace:\n", "\n  #", &made);
}
