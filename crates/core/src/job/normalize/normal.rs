//! A value in normal form: what it has in common with the value that came is borrowed.
//!
//! A review is a few kilobytes, of which little changes, and it is normalized once or twice in each
//! decision: nothing is copied that need not be.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A value in normal form.
#[derive(Debug, PartialEq)]
pub(in crate::job) enum Normal<'a> {
    /// A scalar, or what has no shape that is known.
    Value(Cow<'a, Value>),
    /// A list whose items are in normal form.
    List(Vec<Normal<'a>>),
    /// An object whose fields are in normal form.
    Object(Fields<'a>),
}

/// The fields of an object in normal form, sorted by name.
#[derive(Debug, Default, PartialEq)]
pub(in crate::job) struct Fields<'a>(Vec<(&'a str, Normal<'a>)>);

impl<'a> Normal<'a> {
    /// A value as it came.
    pub fn borrowed(value: &'a Value) -> Self {
        Self::Value(Cow::Borrowed(value))
    }

    /// A value that the normal form makes.
    pub fn owned(value: Value) -> Self {
        Self::Value(Cow::Owned(value))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The value, as one of its own.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value.into_owned(),
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(fields) => fields.into_value(),
        }
    }
}

impl<'a> Fields<'a> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One field.
    pub fn get(&self, name: &str) -> Option<&Normal<'a>> {
        self.0.get(self.find(name).ok()?).map(|(_, value)| value)
    }

    /// One field, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Normal<'a>> {
        let at = self.find(name).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Normal<'a>> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Puts a field in its place, unless it is there.
    pub fn insert_missing(&mut self, name: &'a str, value: Normal<'a>) {
        if let Err(at) = self.find(name) {
            self.0.insert(at, (name, value));
        }
    }

    /// Keeps the fields of which this holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// The fields, as a value of its own.
    pub fn into_value(self) -> Value {
        let fields = self.0.into_iter().map(|(name, value)| (name.to_owned(), value.into_value()));
        Value::Object(fields.collect())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| (*own).cmp(name))
    }
}

/// From fields in the order of their names, as a `Map` has them.
impl<'a> FromIterator<(&'a str, Normal<'a>)> for Fields<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, Normal<'a>)>>(fields: I) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        debug_assert!(fields.is_sorted_by(|(one, _), (next, _)| one < next));
        Self(fields)
    }
}

impl Serialize for Normal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
