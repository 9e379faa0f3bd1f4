//! The shape of a review on the wire, as far as rejob reads it.
//!
//! What is an object in Kubernetes must be one here: serde would also take an array of the fields'
//! values in order. The sentences about a wrong shape speak of JSON, never of this program's types.

#![allow(clippy::struct_field_names, reason = "the names of the wire")]

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Operation, ReviewError, UserInfo};

/// A value that must be a JSON object.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<O> {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
    pub request: Option<Object<Request<O>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<O> {
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
    pub options: Option<Object<Options>>,
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
pub(super) struct Options {
    #[serde(default)]
    pub field_manager: Option<String>,
}

fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    Ok(match String::deserialize(deserializer)?.as_str() {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        "CONNECT" => Operation::Connect,
        _ => Operation::Other,
    })
}

/// The review in a body with its objects, read in one go; `None` when anything is not as expected.
pub(super) fn read_whole(body: &[u8]) -> Option<Review<Value>> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<Object<Review<Value>>>(text).ok().map(|review| review.0)
}

/// The review in a body, and what is wrong with it. The objects stay raw, since those that are no
/// Jobs need not be such as can be read.
pub(super) fn read(body: &[u8]) -> Result<Review<&RawValue>, ReviewError> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(ReviewError::Empty),
        Some(b'{') => match serde_json::from_slice::<Object<Review<&RawValue>>>(body) {
            Ok(review) => Ok(review.0),
            Err(error) => Err(malformed(error)),
        },
        Some(_) => match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
            Ok(_) => Err(ReviewError::Malformed("it is not a JSON object".to_owned())),
            Err(error) => Err(malformed(error)),
        },
    }
}

/// The sentence about JSON that cannot be read.
pub(super) fn malformed(error: serde_json::Error) -> ReviewError {
    ReviewError::Malformed(if error.is_eof() {
        format!("the JSON breaks off at line {} column {}", error.line(), error.column())
    } else {
        error.to_string()
    })
}
