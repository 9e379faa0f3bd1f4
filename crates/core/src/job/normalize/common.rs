//! Types that several others use.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::shape::Shape::{Any, Bool, Int, Objects, Quantities, Quantity, Text, TextMap, Texts};
use super::shape::{Default, Type, of, plain, pointer};

pub(super) static APP_ARMOR_PROFILE: Type =
    of(&[plain("type", Text), pointer("localhostProfile", Text)]);

pub(super) static LABEL_SELECTOR: Type = of(&[
    plain("matchLabels", TextMap),
    plain("matchExpressions", Objects(&LABEL_SELECTOR_REQUIREMENT, &[])),
]);

pub(super) static LABEL_SELECTOR_REQUIREMENT: Type =
    of(&[plain("key", Text), plain("operator", Text), plain("values", Texts)]);

pub(super) static LOCAL_OBJECT_REFERENCE: Type = of(&[plain("name", Text)]);

pub(super) static OBJECT_FIELD_SELECTOR: Type =
    of(&[plain("apiVersion", Text).or(Default::Text("v1")), plain("fieldPath", Text)]);

pub(super) static OBJECT_META: Type = of(&[
    plain("name", Text),
    plain("generateName", Text),
    plain("namespace", Text),
    plain("selfLink", Text),
    plain("uid", Text),
    plain("resourceVersion", Text),
    plain("generation", Int),
    plain("creationTimestamp", Text),
    pointer("deletionTimestamp", Text),
    pointer("deletionGracePeriodSeconds", Int),
    plain("labels", TextMap),
    plain("annotations", TextMap),
    plain("ownerReferences", Any),
    plain("finalizers", Texts),
    plain("managedFields", Any),
]);

pub(super) static RESOURCE_CLAIM: Type = of(&[plain("name", Text), plain("request", Text)]);

pub(super) static RESOURCE_FIELD_SELECTOR: Type =
    of(&[plain("containerName", Text), plain("resource", Text), plain("divisor", Quantity)]);

pub(super) static RESOURCE_REQUIREMENTS: Type = of(&[
    plain("limits", Quantities),
    plain("requests", Quantities),
    plain("claims", Objects(&RESOURCE_CLAIM, &["name"])),
]);

pub(super) static SE_LINUX_OPTIONS: Type =
    of(&[plain("user", Text), plain("role", Text), plain("type", Text), plain("level", Text)]);

pub(super) static SECCOMP_PROFILE: Type =
    of(&[plain("type", Text), pointer("localhostProfile", Text)]);

pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Type = of(&[
    pointer("gmsaCredentialSpecName", Text),
    pointer("gmsaCredentialSpec", Text),
    pointer("runAsUserName", Text),
    pointer("hostProcess", Bool),
]);
