//! The knobs of a policy, as one table: their names in a policy file, their annotations, their values
//! and what they do. Reading a policy file, a KRM function's configuration and a Job's annotations all
//! go by it, and each refusal says in one sentence what the value is and what it may be. The schemas of
//! the policy file and of the chart's values, the default policy file and the table of
//! `docs/policies.md` are made from it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Policy, Ttl, WaitSeconds};

/// One knob.
#[derive(Debug)]
pub struct Knob {
    /// Its name in a policy file.
    pub name: &'static str,
    /// The annotation of a Job that overrides it.
    pub annotation: &'static str,
    /// Its values.
    pub values: Values,
    /// What it does, for the documentation: one Markdown text for each name, or one for all values.
    pub effects: &'static [&'static str],
    /// Sets it to a value of a policy file; `None` when it cannot have that value.
    set: fn(&mut Policy, &Value) -> Option<()>,
}

/// The values that a knob may have.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Number {
        /// The least one.
        least: u32,
        /// The greatest one.
        greatest: u32,
    },
}

/// All knobs, in the order of the documentation.
pub const KNOBS: &[Knob] = &[
    Knob {
        name: "onChange",
        annotation: "rejob.dev/on-change",
        values: Values::OneOf(&["Replace", "Report", "Keep", "Deny", "Ignore"]),
        effects: &[
            "A changed [immutable part](glossary.md) replaces the Job",
            "The API server answers as without rejob, and [you learn](report.md) what Replace would do",
            "The old Job stays, the rest is accepted, and a warning names what was not applied",
            "The request is refused with a message that names the changed fields",
            "The API server decides, and answers 422",
        ],
        set: |policy, value| put(&mut policy.on_change, value),
    },
    Knob {
        name: "whileRunning",
        annotation: "rejob.dev/while-running",
        values: Values::OneOf(&["Wait", "Replace", "Deny"]),
        effects: &[
            "While the old Job is running, the client is told to [wait](waiting.md)",
            "The old Job is replaced even while it is running",
            "The request is refused while the old Job is running",
        ],
        set: |policy, value| put(&mut policy.while_running, value),
    },
    Knob {
        name: "waitSeconds",
        annotation: "rejob.dev/wait-seconds",
        values: Values::Number { least: WaitSeconds::MIN, greatest: WaitSeconds::MAX },
        effects: &["How long a deploy may wait under Wait, in seconds"],
        set: |policy, value| put(&mut policy.wait_seconds, value),
    },
    Knob {
        name: "naming",
        annotation: "rejob.dev/naming",
        values: Values::OneOf(&["Stable", "TemplateHash"]),
        effects: &[
            "A created Job has the name of its manifest",
            "It is named [`<name>-<template hash>`](#names-with-a-hash)",
        ],
        set: |policy, value| put(&mut policy.naming, value),
    },
    Knob {
        name: "ttlSecondsAfterFinished",
        annotation: "rejob.dev/ttl-seconds-after-finished",
        values: Values::Number { least: 0, greatest: Ttl::MAX },
        effects: &[
            "Seconds after which a finished Job is deleted, if the Job sets none itself. Not for [GitOps tools](#ttl)",
        ],
        set: |policy, value| put(&mut policy.ttl_seconds_after_finished, value),
    },
];

fn put<T: for<'a> Deserialize<'a>>(knob: &mut T, value: &Value) -> Option<()> {
    T::deserialize(value).ok().map(|value| *knob = value)
}

impl Knob {
    /// What it does, without Markdown: `VALUE: effect` for each of its values, or one text for all.
    pub fn plain_effects(&self) -> Vec<String> {
        let plain = self.effects.iter().map(|markdown| {
            let words = markdown.split('[').map(|part| match part.split_once("](") {
                Some((words, link)) => {
                    words.to_owned() + link.split_once(')').map_or("", |at| at.1)
                }
                None => part.to_owned(),
            });
            words.collect::<String>().replace('`', "")
        });
        match self.values {
            Values::OneOf(names) if names.len() == self.effects.len() => {
                names.iter().zip(plain).map(|(name, effect)| format!("{name}: {effect}")).collect()
            }
            _ => plain.collect(),
        }
    }

    /// Its value where nothing is said; `None` where it then does nothing.
    pub fn default_value(&self) -> Option<Value> {
        serde_json::to_value(Policy::default()).ok()?.get(self.name).cloned()
    }

    /// The JSON schema of its values.
    pub fn schema(&self) -> Value {
        let description = self.plain_effects().join(". ");
        let mut schema = Map::from_iter([("description".to_owned(), description.into())]);
        schema.extend(self.default_value().map(|value| ("default".to_owned(), value)));
        let values = match self.values {
            Values::OneOf(names) => [("type", json!("string")), ("enum", json!(names))].to_vec(),
            Values::Number { least, greatest } => [
                ("type", json!("integer")),
                ("minimum", least.into()),
                ("maximum", greatest.into()),
            ]
            .to_vec(),
        };
        schema.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(schema)
    }
}

impl Values {
    /// The value that an annotation's text stands for. A number has digits only: no sign, no space.
    pub fn of_text(self, text: &str) -> Value {
        let number =
            || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        match self {
            Self::OneOf(_) => Value::from(text),
            Self::Number { .. } => number().map_or(Value::from(text), |number: u32| number.into()),
        }
    }
}

/// The allowed values, as they stand in a sentence.
impl std::fmt::Display for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneOf(names) => f.write_str(&names.join(", ")),
            Self::Number { least, greatest } => write!(f, "{least} to {greatest}"),
        }
    }
}

/// The names of all knobs, as they stand in a sentence.
pub fn names() -> String {
    KNOBS.iter().map(|knob| knob.name).collect::<Vec<_>>().join(", ")
}

/// A knob that does not exist, or cannot have the value it is given.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidKnob {
    /// The name of the knob.
    pub name: String,
    /// What is wrong with it, with the allowed names or values: the rest of the sentence.
    pub problem: String,
}

impl std::fmt::Display for InvalidKnob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.problem)
    }
}

impl Policy {
    /// Sets knobs as a policy file names them.
    ///
    /// # Errors
    /// The first knob that does not exist or has no value it may have.
    pub fn set_all(&mut self, knobs: &Map<String, Value>) -> Result<(), InvalidKnob> {
        for (name, value) in knobs {
            let invalid = |problem| InvalidKnob { name: name.clone(), problem };
            let Some(knob) = KNOBS.iter().find(|knob| knob.name == name) else {
                return Err(invalid(format!("is not a field; allowed: {}", names())));
            };
            let kind = match knob.values {
                Values::OneOf(_) => "",
                Values::Number { .. } => "a whole number from ",
            };
            let problem = || format!("is {}; allowed: {kind}{}", shown(value), knob.values);
            self.set(knob, value).ok_or_else(|| invalid(problem()))?;
        }
        Ok(())
    }

    /// Sets one knob; `None` when it cannot have that value.
    pub(super) fn set(&mut self, knob: &Knob, value: &Value) -> Option<()> {
        // An enum would be read from a map with its name as well.
        let readable = matches!(knob.values, Values::Number { .. }) || value.is_string();
        if readable { (knob.set)(self, value) } else { None }
    }
}

/// The value as it stands in a sentence: JSON, cut to 40 characters.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => return "a list".to_owned(),
        Value::Object(_) => return "a map".to_owned(),
        value => value.to_string(),
    };
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_knob_of_the_type_can_be_set_by_its_name() {
        let wanted: Map<_, _> = KNOBS
            .iter()
            .map(|knob| match knob.values {
                Values::OneOf(names) => (knob.name.to_owned(), json!(names.last())),
                Values::Number { greatest, .. } => (knob.name.to_owned(), json!(greatest)),
            })
            .collect();
        let mut set = Policy::default();
        set.set_all(&wanted).unwrap();
        assert_eq!(serde_json::to_value(&set).unwrap(), Value::Object(wanted));
    }

    #[test]
    fn a_knob_that_cannot_be_set_is_told_with_what_is_allowed() {
        let long = "é".repeat(50);
        for (knob, value, problem) in [
            ("onchange", json!("Keep"), format!("is not a field; allowed: {}", names())),
            ("onChange", json!("keep"), format!(r#"is "keep"; allowed: {}"#, KNOBS[0].values)),
            (
                "onChange",
                json!({ "Keep": null }),
                format!("is a map; allowed: {}", KNOBS[0].values),
            ),
            ("onChange", json!([]), format!("is a list; allowed: {}", KNOBS[0].values)),
            (
                "onChange",
                json!(long),
                format!(r#"is "{}…; allowed: {}"#, "é".repeat(39), KNOBS[0].values),
            ),
            ("waitSeconds", json!(0), "is 0; allowed: a whole number from 1 to 3600".to_owned()),
        ] {
            let knobs = Map::from_iter([(knob.to_owned(), value)]);
            let refused = Policy::default().set_all(&knobs).unwrap_err();
            assert_eq!(refused.to_string(), format!("{knob} {problem}"));
        }
        assert!(names().starts_with("onChange, whileRunning, "), "{}", names());
        assert!(KNOBS[0].values.to_string().starts_with("Replace, "), "{}", KNOBS[0].values);
    }

    #[test]
    fn an_annotations_number_has_digits_only() {
        let number = Values::Number { least: 1, greatest: 9 };
        assert_eq!(number.of_text("07"), json!(7));
        for text in ["+7", " 7", "7.0", "", "99999999999"] {
            assert_eq!(number.of_text(text), json!(text));
        }
        assert_eq!(Values::OneOf(&["7"]).of_text("7"), json!("7"));
    }

    #[test]
    fn the_allowed_values_are_all_there_are() {
        let mut policy = Policy::default();
        for knob in KNOBS {
            match knob.values {
                Values::OneOf(names) => {
                    // "unknown variant `?`, expected one of `Replace`, …"
                    let unknown = json!({ knob.name: "?" });
                    let told = serde_json::from_value::<Policy>(unknown).unwrap_err().to_string();
                    let all: Vec<_> = told.split('`').skip(3).step_by(2).collect();
                    assert_eq!(names, all, "{}", knob.name);
                }
                Values::Number { least, greatest } => {
                    for (number, allowed) in [
                        (i64::from(least) - 1, false),
                        (least.into(), true),
                        (greatest.into(), true),
                        (i64::from(greatest) + 1, false),
                    ] {
                        let set = policy.set(knob, &json!(number)).is_some();
                        assert_eq!(set, allowed, "{} {number}", knob.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_schema_tells_what_the_values_do() {
        let schema = |name| KNOBS.iter().find(|knob| knob.name == name).unwrap().schema();
        let told = schema("onChange")["description"].as_str().unwrap().to_owned();
        assert!(told.starts_with("Replace: A changed immutable part replaces the Job. Report: "));
        assert_eq!(schema("onChange")["default"], "Replace");
        let ttl = schema("ttlSecondsAfterFinished");
        assert_eq!((&ttl["minimum"], ttl.get("default")), (&json!(0), None));
        assert!(ttl["description"].as_str().unwrap().ends_with("Not for GitOps tools"));
    }
}
