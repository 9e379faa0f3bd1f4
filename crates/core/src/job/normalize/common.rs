//! Types that several others use.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::shape::Shape::{Any, Bool, Int, Objects, Quantities, Quantity, Text, TextMap, Texts};
use super::shape::{Default, Type, plain, pointer};

pub(super) static APP_ARMOR_PROFILE: Type =
    Type { fields: &[plain("type", Text), pointer("localhostProfile", Text)], after: None };

pub(super) static LABEL_SELECTOR: Type = Type {
    fields: &[
        plain("matchLabels", TextMap),
        plain("matchExpressions", Objects(&LABEL_SELECTOR_REQUIREMENT, &[])),
    ],
    after: None,
};

pub(super) static LABEL_SELECTOR_REQUIREMENT: Type = Type {
    fields: &[plain("key", Text), plain("operator", Text), plain("values", Texts)],
    after: None,
};

pub(super) static LOCAL_OBJECT_REFERENCE: Type =
    Type { fields: &[plain("name", Text)], after: None };

pub(super) static OBJECT_FIELD_SELECTOR: Type = Type {
    fields: &[plain("apiVersion", Text).or(Default::Text("v1")), plain("fieldPath", Text)],
    after: None,
};

pub(super) static OBJECT_META: Type = Type {
    fields: &[
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
    ],
    after: None,
};

pub(super) static RESOURCE_CLAIM: Type =
    Type { fields: &[plain("name", Text), plain("request", Text)], after: None };

pub(super) static RESOURCE_FIELD_SELECTOR: Type = Type {
    fields: &[plain("containerName", Text), plain("resource", Text), plain("divisor", Quantity)],
    after: None,
};

pub(super) static RESOURCE_REQUIREMENTS: Type = Type {
    fields: &[
        plain("limits", Quantities),
        plain("requests", Quantities),
        plain("claims", Objects(&RESOURCE_CLAIM, &["name"])),
    ],
    after: None,
};

pub(super) static SE_LINUX_OPTIONS: Type = Type {
    fields: &[plain("user", Text), plain("role", Text), plain("type", Text), plain("level", Text)],
    after: None,
};

pub(super) static SECCOMP_PROFILE: Type =
    Type { fields: &[plain("type", Text), pointer("localhostProfile", Text)], after: None };

pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Type = Type {
    fields: &[
        pointer("gmsaCredentialSpecName", Text),
        pointer("gmsaCredentialSpec", Text),
        pointer("runAsUserName", Text),
        pointer("hostProcess", Bool),
    ],
    after: None,
};
