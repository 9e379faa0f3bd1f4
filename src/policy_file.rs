//! The policy file: YAML with a map `policies` of name to knobs.
//!
//! Whatever is wrong is refused at once, naming file, line, field and the allowed values: a server
//! that starts with half of a policy would act on production Jobs by rules nobody wrote.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::kubernetes::names::is_label;
use crate::manifest::{Input, LineNumbers};

use crate::policy::knobs::{self, KNOBS};
use crate::policy::{Policy, PolicySet, RESERVED};

/// The JSON schema of the policy file.
pub fn schema() -> Value {
    let knobs = KNOBS.iter().map(|knob| (knob.name.to_owned(), knob.schema()));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rejob policy file",
        "type": "object",
        "required": ["policies"],
        "additionalProperties": false,
        "properties": {
            "policies": {
                "description": "The policies by name. A namespace opts in with the label \
                                rejob.dev/policy: <name>. One without a knob may be left empty.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {
                    "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
                    "not": { "enum": RESERVED }
                },
                "additionalProperties": {
                    "type": ["object", "null"],
                    "additionalProperties": false,
                    "properties": knobs.collect::<Map<_, _>>()
                }
            }
        }
    })
}

/// Why a policy file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path}: {source}; check --policies")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not say what a policy file may say.
    #[error("{path}:{line}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Field and allowed values.
        message: String,
    },
}

/// Reads a policy file.
///
/// # Errors
/// When the file cannot be read, has an unknown field or value, no policy, or a name that
/// cannot be a label value.
pub fn read(path: &Path) -> Result<PolicySet, PolicyFileError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|source| PolicyFileError::Read { path: name.clone(), source })?;
    parse_bytes(bytes, &name)
}

/// Reads the text of a policy file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, path: &str) -> Result<PolicySet, PolicyFileError> {
    parse_bytes(text.into(), path)
}

fn parse_bytes(bytes: Vec<u8>, path: &str) -> Result<PolicySet, PolicyFileError> {
    let refuse = |line, message| PolicyFileError::Invalid { path: path.to_owned(), line, message };
    let input = Input::new(path.to_owned(), bytes).map_err(|error| {
        refuse(error.line().unwrap_or(1), "the text is not UTF-8; save it as UTF-8".to_owned())
    })?;
    let mut root = None;
    for document in input.documents() {
        let Some(node) = document.read().map_err(|error| refuse(error.line, error.message))? else {
            continue;
        };
        if root.replace(node.to_value()).is_some() {
            let second = document.refuse("a second document begins".to_owned());
            let message = "a second document begins; a policy file has one only";
            return Err(refuse(second.line, message.to_owned()));
        }
    }
    let lines = LineNumbers::of(&input.text);
    let refuse_at = |path: &[&str], message| refuse(lines.line(path), message);
    let mut policies = BTreeMap::new();
    for (name, knobs) in named(root.as_ref(), &refuse_at)? {
        let at = |problem: &str| format!("policies.{name} {problem}");
        if !is_label(name) {
            return Err(refuse_at(&["policies", name], at(NO_POLICY_NAME)));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(refuse_at(&["policies", name], at(RESERVED_NAME)));
        }
        let mut policy = Policy::default();
        match knobs {
            // `a:` alone is a policy with all defaults.
            Value::Null => {}
            Value::Object(knobs) => policy.set_all(knobs).map_err(|invalid| {
                let path = ["policies", name, &invalid.name];
                refuse_at(&path, format!("policies.{name}.{invalid}"))
            })?,
            other => {
                let allowed = knobs::names();
                let problem = format!("is {}; allowed: a map of {allowed}", knobs::shown(other));
                return Err(refuse_at(&["policies", name], at(&problem)));
            }
        }
        policies.insert(name.clone(), policy);
    }
    Ok(policies.into())
}

const NO_POLICY_NAME: &str = "is not a name for a policy; allowed: at most 63 of a-z, 0-9 and -, \
                              beginning and ending with a letter or digit";

const RESERVED_NAME: &str = "is the name of a webhook entry of rejob's own; choose another";

/// The policies of a file by name: at least one.
fn named<'a>(
    root: Option<&'a Value>,
    refuse: &dyn Fn(&[&str], String) -> PolicyFileError,
) -> Result<&'a Map<String, Value>, PolicyFileError> {
    const REMEDY: &str = "name at least one policy, or start from `rejob generate config`";
    let members = match root {
        None | Some(Value::Null) => {
            return Err(refuse(&[], format!("the file is empty; {REMEDY}")));
        }
        Some(Value::Object(members)) => members,
        Some(other) => {
            let shown = knobs::shown(other);
            return Err(refuse(&[], format!("the file is {shown}; allowed: a map with policies")));
        }
    };
    if let Some(unknown) = members.keys().find(|key| *key != "policies") {
        return Err(refuse(&[unknown], format!("{unknown} is not a field; allowed: policies")));
    }
    match members.get("policies") {
        Some(Value::Object(policies)) if !policies.is_empty() => Ok(policies),
        Some(Value::Object(_) | Value::Null) => {
            Err(refuse(&["policies"], format!("policies is empty; {REMEDY}")))
        }
        Some(other) => {
            let message =
                format!("policies is {}; allowed: a map of name to policy", knobs::shown(other));
            Err(refuse(&["policies"], message))
        }
        None => Err(refuse(&[], format!("policies is missing; {REMEDY}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text, "policies.yaml").unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_the_whole_set() {
        let set =
            parse("policies:\n  quick:\n    whileRunning: Replace\n    waitSeconds: 5\n", "p")
                .unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), ["quick"]);
    }

    #[test]
    fn an_empty_policy_has_all_defaults() {
        for text in [
            "policies: {a: }",
            "policies:\n  a:\n",
            "policies: {a: {}}",
            "\u{feff}---\npolicies:\r\n  a: ~\r\n---\n",
        ] {
            let set = parse(text, "p").unwrap();
            assert_eq!(set.get("a"), Some(&Policy::default()), "{text:?}");
        }
    }

    /// The law: file, line, field and what is allowed, in one sentence.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_mistake_is_one_sentence_with_its_place() {
        const NAME: &str = "is not a name for a policy; allowed: at most 63 of a-z, 0-9 and -, \
                            beginning and ending with a letter or digit";
        const WAIT: &str = "allowed: a whole number from 1 to 3600";
        const TTL: &str = "allowed: a whole number from 0 to 2147483647";
        const REMEDY: &str = "name at least one policy, or start from `rejob generate config`";
        let all = knobs::names();
        let knob = |line: &str| format!("policies:\n  # one\n  a:\n    {line}\n");
        let policy = |line: &str| format!("policies:\n  {line}\n");
        let long = "x".repeat(64);
        for (text, wanted) in [
            (policy("dormant: {}"), format!("2: policies.dormant {RESERVED_NAME}")),
            (policy("rerun: {}"), format!("2: policies.rerun {RESERVED_NAME}")),
            (
                knob("onChange: replace"),
                "4: policies.a.onChange is \"replace\"; allowed: Replace, Report, Keep, Deny, Ignore"
                    .to_owned(),
            ),
            (
                knob("onChange: true"),
                "4: policies.a.onChange is true; allowed: Replace, Report, Keep, Deny, Ignore".to_owned(),
            ),
            (
                knob("onChange:"),
                "4: policies.a.onChange is null; allowed: Replace, Report, Keep, Deny, Ignore".to_owned(),
            ),
            (
                knob("onChange: [Keep]"),
                "4: policies.a.onChange is a list; allowed: Replace, Report, Keep, Deny, Ignore".to_owned(),
            ),
            (
                knob("onChange: {Keep: 1}"),
                "4: policies.a.onChange is a map; allowed: Replace, Report, Keep, Deny, Ignore".to_owned(),
            ),
            (
                knob("onChange: {Deny: }"),
                "4: policies.a.onChange is a map; allowed: Replace, Report, Keep, Deny, Ignore".to_owned(),
            ),
            (
                knob("whileRunning: wait"),
                "4: policies.a.whileRunning is \"wait\"; allowed: Wait, Replace, Deny".to_owned(),
            ),
            (
                knob("naming: Hash"),
                "4: policies.a.naming is \"Hash\"; allowed: Stable, TemplateHash".to_owned(),
            ),
            (
                knob(&format!("naming: {long}")),
                format!(
                    "4: policies.a.naming is \"{}…; allowed: Stable, TemplateHash",
                    &long[..39]
                ),
            ),
            (
                knob("onchange: Keep"),
                format!("4: policies.a.onchange is not a field; allowed: {all}"),
            ),
            (
                knob("naming: Stable\n    ttl: 7"),
                format!("5: policies.a.ttl is not a field; allowed: {all}"),
            ),
            (knob("waitSeconds: 0"), format!("4: policies.a.waitSeconds is 0; {WAIT}")),
            (knob("waitSeconds: 3601"), format!("4: policies.a.waitSeconds is 3601; {WAIT}")),
            (knob("waitSeconds: -1"), format!("4: policies.a.waitSeconds is -1; {WAIT}")),
            (
                knob("waitSeconds: 99999999999"),
                format!("4: policies.a.waitSeconds is 99999999999; {WAIT}"),
            ),
            (knob("waitSeconds: 60.5"), format!("4: policies.a.waitSeconds is 60.5; {WAIT}")),
            (knob("waitSeconds: \"60\""), format!("4: policies.a.waitSeconds is \"60\"; {WAIT}")),
            (knob("waitSeconds: 60s"), format!("4: policies.a.waitSeconds is \"60s\"; {WAIT}")),
            (knob("waitSeconds: ~"), format!("4: policies.a.waitSeconds is null; {WAIT}")),
            (
                knob("ttlSecondsAfterFinished: -1"),
                format!("4: policies.a.ttlSecondsAfterFinished is -1; {TTL}"),
            ),
            (
                knob("ttlSecondsAfterFinished: 2147483648"),
                format!("4: policies.a.ttlSecondsAfterFinished is 2147483648; {TTL}"),
            ),
            (
                knob("ttlSecondsAfterFinished: 1h"),
                format!("4: policies.a.ttlSecondsAfterFinished is \"1h\"; {TTL}"),
            ),
            (
                policy("a: Replace"),
                format!("2: policies.a is \"Replace\"; allowed: a map of {all}"),
            ),
            (
                policy("a: [onChange]"),
                format!("2: policies.a is a list; allowed: a map of {all}"),
            ),
            (policy("ok: {}\n  A: {}"), format!("3: policies.A {NAME}")),
            (policy("-a: {}"), format!("2: policies.-a {NAME}")),
            (policy("a/b: {}"), format!("2: policies.a/b {NAME}")),
            (policy("a.b: {}"), format!("2: policies.a.b {NAME}")),
            (policy(&format!("{long}: {{}}")), format!("2: policies.{long} {NAME}")),
            (
                policy("a: {}\n  a: {}"),
                "3: the key \"a\" is given twice in one map: remove one".to_owned(),
            ),
            ("# mine\npolicies: {}\n".to_owned(), format!("2: policies is empty; {REMEDY}")),
            ("policies:\n".to_owned(), format!("1: policies is empty; {REMEDY}")),
            (
                "policies: [a]\n".to_owned(),
                "1: policies is a list; allowed: a map of name to policy".to_owned(),
            ),
            ("{}\n".to_owned(), format!("1: policies is missing; {REMEDY}")),
            (
                "policies: {a: }\npolicy: b\n".to_owned(),
                "2: policy is not a field; allowed: policies".to_owned(),
            ),
            ("- a\n".to_owned(), "1: the file is a list; allowed: a map with policies".to_owned()),
            (String::new(), format!("1: the file is empty; {REMEDY}")),
            ("# nothing\n\n".to_owned(), format!("1: the file is empty; {REMEDY}")),
            (
                "policies: {a: }\n---\npolicies: {b: }\n".to_owned(),
                "3: a second document begins; a policy file has one only".to_owned(),
            ),
            (
                "{\"policies\": {\n\"a\": {\"naming\": 1}}}\n".to_owned(),
                "2: policies.a.naming is 1; allowed: Stable, TemplateHash".to_owned(),
            ),
            (
                "x: &x {waitSeconds: 0}\npolicies:\n  a: *x\n".to_owned(),
                "1: x is not a field; allowed: policies".to_owned(),
            ),
        ] {
            assert_eq!(refused(&text), format!("policies.yaml:{wanted}"), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_yaml_has_its_line_and_stays_one_sentence() {
        for (text, line) in [
            ("policies:\n\ta: 1\n", 2),
            ("policies: {a: \n", 1),
            ("policies:\n  a: b: c\n", 2),
            ("policies: *a\n", 1),
            ("policies:\n  {{- x }}: 1\n", 2),
        ] {
            let message = refused(text);
            assert!(message.starts_with(&format!("policies.yaml:{line}: ")), "{message}");
            assert!(!message.contains('\n') && !message.contains("Options"), "{message}");
        }
        let error = parse_bytes(b"a: 1\nb: \xe9\n".to_vec(), "p").unwrap_err().to_string();
        assert_eq!(error, "p:2: the text is not UTF-8; save it as UTF-8");
    }
}
