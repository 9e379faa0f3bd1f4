//! The shape of a review on the wire, as far as rejob reads it.
//!
//! What is an object in Kubernetes must be one here: serde would also take an array of the fields'
//! values in order. The sentences about a wrong shape speak of JSON, never of this program's types.

#![allow(clippy::struct_field_names, reason = "the names of the wire")]

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{InvalidReview, Operation, UserInfo};

/// A value that must be a JSON object.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<O> {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
    pub request: Option<Object<WireRequest<O>>>,
}

/// What a body calls itself, whatever else it holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireRequest<O> {
    pub uid: String,
    pub kind: Object<GroupVersionKind>,
    #[serde(default)]
    pub sub_resource: Option<String>,
    #[serde(deserialize_with = "operation")]
    pub operation: Operation,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub user_info: Option<Object<UserInfo>>,
    pub object: Option<O>,
    pub old_object: Option<O>,
    #[serde(default)]
    pub dry_run: Option<bool>,
    #[serde(default)]
    pub options: Option<Object<WireOptions>>,
}

#[derive(Deserialize)]
pub(super) struct GroupVersionKind {
    #[serde(default)]
    pub group: String,
    pub version: String,
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireOptions {
    #[serde(default)]
    pub field_manager: Option<String>,
}

fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    Ok(match String::deserialize(deserializer)?.as_str() {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        _ => Operation::Other,
    })
}

/// What is kept of an object in a review.
pub(super) trait ObjectOf: for<'de> Deserialize<'de> {
    /// The object, if it was kept.
    fn value(self) -> Option<Value>;
}

impl ObjectOf for IgnoredAny {
    fn value(self) -> Option<Value> {
        None
    }
}

/// Any JSON value, whatever its keys are: `serde_json`'s own reader takes one of them for a sign
/// that a string is to be read as JSON in its turn, however deep that is.
///
/// Of an object each `metadata.managedFields[].fieldsV1` is its text: [`super::fields`] reads it where
/// a rule needs it.
pub(super) struct Plain(Value);

impl ObjectOf for Plain {
    fn value(self) -> Option<Value> {
        Some(self.0)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Location::Object.deserialize(deserializer).map(Self)
    }
}

/// Reads a JSON text as [`Plain`] does, whole.
pub(super) fn read_value(text: &str) -> Result<Value, serde_json::Error> {
    Location::Elsewhere.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// Where in an object of a review a value stands.
#[derive(Clone, Copy)]
enum Location {
    Object,
    Metadata,
    /// The list, and each of its entries.
    ManagedFields,
    Elsewhere,
}

impl Location {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            (Self::Metadata, "managedFields") => Self::ManagedFields,
            _ => Self::Elsewhere,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Location {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Location {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let value = if matches!(self, Self::ManagedFields) && key == "fieldsV1" {
                Value::String(fields.next_value::<&RawValue>()?.get().to_owned())
            } else {
                fields.next_value_seed(self.below(&key))?
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The review in a body, and what is wrong with it.
pub(super) fn read<O: ObjectOf>(body: &[u8]) -> Result<Review<O>, InvalidReview> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(InvalidReview::Empty),
        Some(b'{') => match serde_json::from_slice::<Object<Review<O>>>(body) {
            Ok(review) => Ok(review.0),
            Err(error) => Err(malformed(error)),
        },
        Some(_) => match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Err(InvalidReview::Malformed("it is not a JSON object".to_owned())),
            Err(error) => Err(malformed(error)),
        },
    }
}

/// The sentence about JSON that cannot be read.
pub(super) fn malformed(error: serde_json::Error) -> InvalidReview {
    InvalidReview::Malformed(if error.is_eof() {
        format!("the JSON ends too early, at line {} column {}", error.line(), error.column())
    } else {
        error.to_string()
    })
}
