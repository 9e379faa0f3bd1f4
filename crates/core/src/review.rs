//! The wire envelope of an AdmissionReview (`admission.k8s.io/v1`) with a request; the answer is that of [`mod@crate::answer`].
//!
//! The envelope is our own: kube's serializes `patch` as an array of numbers. A review that cannot be
//! read is read again without its objects: nothing is wrong with an object of another kind.

mod fields;
mod wire;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labeled;
use wire::Plain;

/// The version that rejob speaks.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The longest name of a request, its user or its manager, in bytes: each log line has them. No real one
/// is that long.
const LONGEST_NAME: usize = 1024;

/// Why a body is not a review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReview {
    /// Nothing, or blanks only.
    #[error("the body is empty; send an AdmissionReview of {API_VERSION}")]
    Empty,
    /// Not JSON, or JSON of another shape.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(String),
    /// Another kind or version.
    #[error("the body is {found}; send an AdmissionReview of {API_VERSION}")]
    WrongKind {
        /// What it calls itself.
        found: String,
    },
}

labeled! {
    /// What the request does.
    pub enum Operation [1];
    /// An object is created.
    Create = "CREATE";
    /// An object is changed: PUT or PATCH, a server-side apply included.
    Update = "UPDATE";
    /// Whatever else a webhook configuration may send.
    Other = "OTHER";
}

/// Who made the request, as the API server authenticated it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(expecting = "an object")]
pub struct UserInfo {
    /// The name.
    #[serde(default)]
    pub username: String,
    /// The uid, where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What authenticators added.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One admission request, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The review's uid, which the answer repeats.
    pub uid: String,
    /// Whether the request is about a batch/v1 Job; the objects are read only then.
    pub is_job: bool,
    /// The subresource, if any.
    pub subresource: Option<String>,
    /// The operation.
    pub operation: Operation,
    /// The namespace.
    pub namespace: String,
    /// The name, empty for a CREATE with `generateName`.
    pub name: String,
    /// Who made the request.
    pub user: UserInfo,
    /// The object as it would be stored.
    pub object: Option<Value>,
    /// The object as it is stored.
    pub old_object: Option<Value>,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// `options.fieldManager`.
    pub field_manager: Option<String>,
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads one AdmissionReview.
///
/// # Errors
/// When the bytes are not JSON, not an AdmissionReview of `admission.k8s.io/v1`, or a review whose
/// request lacks what every request has.
pub fn parse(body: &[u8]) -> Result<Request, InvalidReview> {
    let error = match wire::read::<Plain>(body) {
        Ok(review) => return request(review),
        Err(error) => error,
    };
    let review = wire::read::<IgnoredAny>(body);
    // What another kind or version lacks is not the point.
    let request = request(review.map_err(|error| wrong_kind(body).unwrap_or(error))?)?;
    if request.is_job { Err(error) } else { Ok(request) }
}

/// What a body calls itself that cannot be read, where that is another kind or version.
fn wrong_kind(body: &[u8]) -> Option<InvalidReview> {
    let wire::Object(head) = serde_json::from_slice::<wire::Object<wire::Head>>(body).ok()?;
    expect_a_review(&head.kind, &head.api_version).err()
}

fn expect_a_review(kind: &str, api_version: &str) -> Result<(), InvalidReview> {
    let found = match (kind, api_version) {
        ("AdmissionReview", API_VERSION) => return Ok(()),
        ("", _) => "without a kind".to_owned(),
        (kind, version) => format!("a {kind:?} of {version:?}"),
    };
    Err(InvalidReview::WrongKind { found })
}

/// The request of a review, with its objects if they are Jobs and were read.
fn request<O: wire::ObjectOf>(review: wire::Review<O>) -> Result<Request, InvalidReview> {
    expect_a_review(&review.kind, &review.api_version)?;
    let request =
        review.request.ok_or_else(|| InvalidReview::Malformed("it has no request".to_owned()))?.0;
    if request.uid.is_empty() {
        return Err(InvalidReview::Malformed("request.uid is empty".to_owned()));
    }
    let user = request.user_info.as_ref().map(|user| &user.0.username);
    let manager = request.options.as_ref().and_then(|options| options.0.field_manager.as_ref());
    for (field, name) in [
        ("uid", Some(&request.uid)),
        ("namespace", request.namespace.as_ref()),
        ("name", request.name.as_ref()),
        ("userInfo.username", user),
        ("options.fieldManager", manager),
    ] {
        if name.is_some_and(|name| name.len() > LONGEST_NAME) {
            let why = format!("request.{field} is longer than {LONGEST_NAME} bytes");
            return Err(InvalidReview::Malformed(why));
        }
    }
    let kind = request.kind.0;
    let is_job = kind.group == "batch" && kind.version == "v1" && kind.kind == "Job";
    let read = |object: Option<O>, field: &str| match object.and_then(O::value) {
        Some(object @ Value::Object(_)) if is_job => Ok(Some(object)),
        Some(_) if is_job => {
            Err(InvalidReview::Malformed(format!("request.{field} is not an object")))
        }
        _ => Ok(None),
    };
    let mut request = Request {
        object: read(request.object, "object")?,
        old_object: read(request.old_object, "oldObject")?,
        uid: request.uid,
        is_job,
        subresource: request.sub_resource.filter(|name| !name.is_empty()),
        operation: request.operation,
        namespace: request.namespace.unwrap_or_default(),
        name: request.name.unwrap_or_default(),
        user: request.user_info.map(|user| user.0).unwrap_or_default(),
        dry_run: request.dry_run.unwrap_or_default(),
        field_manager: request
            .options
            .and_then(|options| options.0.field_manager)
            .filter(|manager| !manager.is_empty()),
    };
    fields::read(&mut request)?;
    Ok(request)
}

/// Who asks, and with which field manager, in words; an empty one is none.
pub fn requester(user: &str, manager: Option<&str>) -> String {
    match manager.filter(|manager| !manager.is_empty()) {
        Some(manager) => format!("{user} with {manager}"),
        None => user.to_owned(),
    }
}

#[cfg(test)]
mod tests;
