//! The knobs of a policy by the names they have in a policy file, read one at a time.
//!
//! Each refusal says in one sentence what the value is and what it may be, whoever wrote it: a
//! policy file, or the configuration of a KRM function.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Policy, Ttl, WaitSeconds};

/// The knobs, in the order of the documentation.
pub const NAMES: [&str; 5] =
    ["onChange", "whileRunning", "waitSeconds", "naming", "ttlSecondsAfterFinished"];

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
        knobs.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// Sets one knob as a policy file names it.
    ///
    /// # Errors
    /// When it does not exist, or cannot have this value.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), InvalidKnob> {
        let set = match name {
            "onChange" => choose(&mut self.on_change, value, "Replace, Keep, Deny, Ignore"),
            "whileRunning" => choose(&mut self.while_running, value, "Wait, Replace, Deny"),
            "naming" => choose(&mut self.naming, value, "Stable, TemplateHash"),
            "waitSeconds" => count(value)
                .and_then(|seconds| WaitSeconds::try_from(seconds).ok())
                .map(|wait| self.wait_seconds = wait)
                .ok_or_else(|| range(WaitSeconds::MIN, WaitSeconds::MAX)),
            "ttlSecondsAfterFinished" if value.is_null() => {
                self.ttl_seconds_after_finished = None;
                Ok(())
            }
            "ttlSecondsAfterFinished" => count(value)
                .and_then(|seconds| Ttl::try_from(seconds).ok())
                .map(|ttl| self.ttl_seconds_after_finished = Some(ttl))
                .ok_or_else(|| range(0, Ttl::MAX)),
            _ => {
                let problem = format!("is no field; allowed: {}", NAMES.join(", "));
                return Err(InvalidKnob { name: name.to_owned(), problem });
            }
        };
        set.map_err(|allowed| InvalidKnob {
            name: name.to_owned(),
            problem: format!("is {}; allowed: {allowed}", shown(value)),
        })
    }
}

/// The value as it stands in a sentence: JSON, cut to 40 characters.
#[must_use]
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

fn choose<T: for<'a> Deserialize<'a>>(
    knob: &mut T,
    value: &Value,
    allowed: &str,
) -> Result<(), String> {
    T::deserialize(value).map(|value| *knob = value).map_err(|_| allowed.to_owned())
}

fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|seconds| u32::try_from(seconds).ok())
}

fn range(least: u32, greatest: u32) -> String {
    format!("a whole number from {least} to {greatest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_of_the_type_can_be_set_by_its_name() {
        let policy = serde_json::json!({
            "onChange": "Deny", "whileRunning": "Replace", "waitSeconds": 7,
            "naming": "TemplateHash", "ttlSecondsAfterFinished": 9
        });
        let knobs = policy.as_object().unwrap();
        assert!(NAMES.iter().all(|name| knobs.contains_key(*name)) && knobs.len() == NAMES.len());
        let mut set = Policy::default();
        set.set_all(knobs).unwrap();
        assert_eq!(serde_json::to_value(&set).unwrap(), policy);
    }

    #[test]
    fn the_allowed_values_are_all_there_are() {
        for (name, choices) in [
            ("onChange", serde_json::to_value(schemars::schema_for!(super::super::OnChange))),
            (
                "whileRunning",
                serde_json::to_value(schemars::schema_for!(super::super::WhileRunning)),
            ),
            ("naming", serde_json::to_value(schemars::schema_for!(super::super::Naming))),
        ] {
            let schema = choices.unwrap();
            let all = schema["oneOf"].as_array().or(schema["enum"].as_array()).unwrap();
            let all: Vec<_> =
                all.iter().map(|one| one["const"].as_str().or(one.as_str()).unwrap()).collect();
            let problem = Policy::default().set(name, &Value::from("x")).unwrap_err().problem;
            assert_eq!(problem, format!("is \"x\"; allowed: {}", all.join(", ")));
        }
    }
}
