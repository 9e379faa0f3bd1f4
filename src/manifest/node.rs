//! A document as a tree that keeps the order of its keys.
//!
//! The core works on `serde_json::Value`, whose maps are sorted. A [`Node`] gives the core such a
//! value and takes the changed value back, touching only what differs, so that a rewritten
//! manifest still reads like the one that came in.

use std::collections::HashSet;

use serde_json::Value;

/// One node of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A map, in the order of the document.
    Mapping(Mapping),
}

/// A map in the order of the document; no key occurs twice.
pub type Mapping = Vec<(String, Node)>;

/// A number, as kubectl reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// Fits 64 bits with a sign.
    Int(i64),
    /// Fits 64 bits without one.
    Unsigned(u64),
    /// Anything else: the value, and its spelling, which is valid JSON.
    Float(f64, Box<str>),
}

impl Number {
    /// A finite float with its spelling, if that is valid JSON; else with the shortest one.
    pub fn float(value: f64, spelling: &str) -> Self {
        let text = match serde_json::from_str::<f64>(spelling) {
            Ok(_) => spelling.to_owned(),
            Err(_) => serde_json::Number::from_f64(value)
                .map_or_else(|| "0".to_owned(), |number| number.to_string()),
        };
        Self::Float(value, text.into_boxed_str())
    }

    /// The spelling in JSON and YAML.
    pub fn spelling(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Float(_, text) => text.to_string(),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Int(value) => Value::from(*value),
            Self::Unsigned(value) => Value::from(*value),
            Self::Float(value, _) => Value::from(*value),
        }
    }
}

impl Node {
    /// The member of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Mapping(members) => members.iter().find(|(k, _)| k == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The member of a map, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Mapping(members) => {
                members.iter_mut().find(|(k, _)| k == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same as a JSON value, for the core.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => number.to_value(),
            Self::String(text) => Value::String(text.clone()),
            Self::Sequence(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Mapping(members) => Value::Object(
                members.iter().map(|(k, node)| (k.clone(), node.to_value())).collect(),
            ),
        }
    }

    /// Makes this node say what the value says. What already does stays as it is, with its order
    /// and spelling; new members come last.
    pub fn update(&mut self, value: &Value) {
        match (&mut *self, value) {
            (Self::Mapping(members), Value::Object(wanted)) => {
                members.retain(|(key, _)| wanted.contains_key(key));
                for (key, node) in members.iter_mut() {
                    if let Some(value) = wanted.get(key) {
                        node.update(value);
                    }
                }
                let known: HashSet<String> = members.iter().map(|(key, _)| key.clone()).collect();
                let new = wanted.iter().filter(|(key, _)| !known.contains(*key));
                members.extend(new.map(|(key, value)| (key.clone(), Self::from(value))));
            }
            (Self::Sequence(items), Value::Array(wanted)) if items.len() == wanted.len() => {
                for (node, value) in items.iter_mut().zip(wanted) {
                    node.update(value);
                }
            }
            (node, value) => {
                if node.to_value() != *value {
                    *node = Self::from(value);
                }
            }
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Number::from(number)),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(items) => Self::Sequence(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Mapping(members.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect())
            }
        }
    }
}

impl From<&serde_json::Number> for Number {
    fn from(number: &serde_json::Number) -> Self {
        if let Some(value) = number.as_i64() {
            Self::Int(value)
        } else if let Some(value) = number.as_u64() {
            Self::Unsigned(value)
        } else {
            Self::float(number.as_f64().unwrap_or_default(), &number.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::yaml;

    #[test]
    fn an_update_keeps_order_and_puts_new_members_last() {
        let mut node =
            crate::manifest::json::read(r#"{"z":1,"a":{"x":1.50,"b":2},"l":[1,2]}"#).unwrap();
        node.update(&json!({"a": {"b": 3, "c": 1, "x": 1.5}, "l": [1], "z": 1, "n": null}));
        let keys = |node: &Node| match node {
            Node::Mapping(members) => members.iter().map(|(k, _)| k.clone()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(keys(&node), ["z", "a", "l", "n"]);
        assert_eq!(keys(node.get("a").unwrap()), ["x", "b", "c"]);
        assert_eq!(
            node.get("a").unwrap().get("x"),
            Some(&Node::Number(Number::float(1.5, "1.50")))
        );
        assert_eq!(node.get("l").unwrap().to_value(), json!([1]));
    }

    #[test]
    fn an_update_to_the_same_value_changes_nothing() {
        let node = yaml::read("b: 0x10\na: [1e3, {d: '1', c: ~}]\n").unwrap().unwrap();
        let mut updated = node.clone();
        updated.update(&node.to_value());
        assert_eq!(updated, node);
    }
}
