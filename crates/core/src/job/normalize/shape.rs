//! The shape of a part of a Job: a table that says, for each field of the schema, how its value is
//! brought into normal form and when the API server takes it for absent.
//!
//! Two values have the same normal form exactly where the API server, after decoding and
//! defaulting them, finds them semantically equal; so what differs here is what it calls a change.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::normal::{Fields, Normal};
use crate::job::quantity;

/// The shape of one value.
#[derive(Clone, Copy)]
pub(in crate::job) enum Shape {
    /// Not modeled: kept as it is.
    Any,
    /// A string.
    Text,
    /// A number without a fraction.
    Int,
    /// A truth value.
    Bool,
    /// A port: a number or a name, and `80` is not `"80"`.
    IntOrString,
    /// A quantity, to the nano.
    Quantity,
    /// A `ResourceList`: quantities by resource name, which the API server rounds up to the milli.
    Quantities,
    /// Strings.
    Texts,
    /// Numbers.
    Ints,
    /// Strings by a name that the user chose.
    TextMap,
    /// A struct.
    Object(&'static Type),
    /// A list of structs, and the fields that tell its items apart.
    Objects(&'static Type, &'static [&'static str]),
}

/// A struct of the schema.
pub(in crate::job) struct Type {
    /// Its fields.
    pub fields: &'static [Field],
    /// What has to be done when all fields are in normal form.
    pub after: Option<fn(&mut Fields<'_>)>,
}

/// A struct with these fields.
pub(super) const fn of(fields: &'static [Field]) -> Type {
    Type { fields, after: None }
}

impl Type {
    /// The same struct, with what has to be done when all its fields are in normal form.
    pub(super) const fn then(self, after: fn(&mut Fields<'_>)) -> Self {
        Self { after: Some(after), ..self }
    }

    /// The field of that name.
    pub(in crate::job) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field of a struct.
pub(in crate::job) struct Field {
    name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    pointer: bool,
    default: Option<Default>,
}

/// The value that the API server writes where a field is absent.
#[derive(Clone, Copy)]
pub(super) enum Default {
    /// A string.
    Text(&'static str),
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// `{}`.
    EmptyObject,
}

/// A field that is a value in Go: its zero value is the same as its absence.
pub(super) const fn plain(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, pointer: false, default: None }
}

/// A field that is a pointer in Go: a zero value is a value, only `null` is absence.
pub(super) const fn pointer(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, pointer: true, default: None }
}

impl Field {
    /// The same field with the default that the API server gives it.
    pub(super) const fn or(self, default: Default) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Whether this normal form of the field says no more than its absence does.
    fn is_absent(&self, normal: &Normal<'_>) -> bool {
        (!self.pointer && is_zero(self.shape, normal))
            || self.default.is_some_and(|default| default.is(normal))
    }
}

impl Default {
    fn is(self, normal: &Normal<'_>) -> bool {
        match (self, normal) {
            (Self::Text(text), Normal::Value(value)) => value.as_str() == Some(text),
            (Self::Int(number), Normal::Value(value)) => value.as_i64() == Some(number),
            (Self::Bool(truth), Normal::Value(value)) => value.as_bool() == Some(truth),
            (Self::EmptyObject, Normal::Object(fields)) => fields.is_empty(),
            _ => false,
        }
    }
}

fn is_zero(shape: Shape, normal: &Normal<'_>) -> bool {
    let value = match normal {
        Normal::List(items) => return items.is_empty(),
        Normal::Object(fields) => return fields.is_empty(),
        Normal::Value(value) => value.as_ref(),
    };
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => match shape {
            Shape::IntOrString => false,
            Shape::Quantity => text == "0",
            _ => text.is_empty(),
        },
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

impl Shape {
    /// The normal form of a value. One that does not have this shape is kept as it is.
    pub(in crate::job) fn normalize(self, value: &Value) -> Normal<'_> {
        match (self, value) {
            (Self::Text, Value::Null) => Normal::owned(Value::from("")),
            (Self::Int, Value::Null) => Normal::owned(Value::from(0)),
            (Self::Object(_), Value::Null) => Normal::Object(Fields::default()),
            (Self::Int | Self::IntOrString, Value::Number(_)) => Normal::Value(whole(value)),
            (Self::Quantity, _) => Normal::owned(quantity::canonical(value, quantity::NANO)),
            (Self::Quantities, Value::Object(map)) => {
                each_field(map, |value| Normal::owned(quantity::canonical(value, quantity::MILLI)))
            }
            (Self::TextMap, Value::Object(map)) => {
                each_field(map, |value| Self::Text.normalize(value))
            }
            (Self::Texts, Value::Array(items)) => each_item(items, Self::Text),
            (Self::Ints, Value::Array(items)) => each_item(items, Self::Int),
            (Self::Objects(item, _), Value::Array(items)) => each_item(items, Self::Object(item)),
            (Self::Object(kind), Value::Object(map)) => Normal::Object(fields(kind, map)),
            _ => Normal::borrowed(value),
        }
    }
}

fn each_item(items: &[Value], shape: Shape) -> Normal<'_> {
    Normal::List(items.iter().map(|item| shape.normalize(item)).collect())
}

fn each_field<'a>(
    map: &'a Map<String, Value>,
    normalize: impl Fn(&'a Value) -> Normal<'a>,
) -> Normal<'a> {
    Normal::Object(map.iter().map(|(name, value)| (name.as_str(), normalize(value))).collect())
}

/// The normal form of a struct's fields; those that the table does not know are kept.
pub(in crate::job) fn fields<'a>(kind: &Type, map: &'a Map<String, Value>) -> Fields<'a> {
    let present = map.iter().filter(|(_, value)| !value.is_null());
    let mut normal: Fields<'a> = present
        .filter_map(|(name, value)| match kind.field(name) {
            None => Some((name.as_str(), Normal::borrowed(value))),
            Some(field) => {
                let value = field.shape.normalize(value);
                (!field.is_absent(&value)).then_some((name.as_str(), value))
            }
        })
        .collect();
    if let Some(after) = kind.after {
        after(&mut normal);
    }
    normal
}

/// A number without a fraction that was written with one: YAML's `3.0` reaches the server as `3`.
fn whole(value: &Value) -> Cow<'_, Value> {
    /// Every whole number up to here is exact in an `f64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() <= EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            let number = number as i64;
            Cow::Owned(Value::from(number))
        }
        _ => Cow::Borrowed(value),
    }
}
