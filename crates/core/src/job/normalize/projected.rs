//! Volume sources made of items: projected volumes, downward API files, claims of ephemeral volumes.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::{LABEL_SELECTOR, OBJECT_FIELD_SELECTOR, OBJECT_META, RESOURCE_FIELD_SELECTOR};
use super::shape::Shape::{Bool, Int, Object, Objects, Quantities, Text, TextMap, Texts};
use super::shape::{Default, Type, of, plain, pointer};

pub(super) static PROJECTED_VOLUME_SOURCE: Type = of(&[
    plain("sources", Objects(&VOLUME_PROJECTION, &[])),
    pointer("defaultMode", Int).or(Default::Int(420)),
    pointer("defaultUser", Int),
]);

pub(super) static VOLUME_PROJECTION: Type = of(&[
    pointer("secret", Object(&SECRET_PROJECTION)),
    pointer("downwardAPI", Object(&DOWNWARD_API_PROJECTION)),
    pointer("configMap", Object(&CONFIG_MAP_PROJECTION)),
    pointer("serviceAccountToken", Object(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
    pointer("clusterTrustBundle", Object(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
    pointer("podCertificate", Object(&POD_CERTIFICATE_PROJECTION)),
]);

pub(super) static SECRET_PROJECTION: Type = of(&[
    plain("name", Text),
    plain("items", Objects(&KEY_TO_PATH, &["path"])),
    pointer("optional", Bool),
]);

pub(super) static KEY_TO_PATH: Type =
    of(&[plain("key", Text), plain("path", Text), pointer("mode", Int), pointer("user", Int)]);

pub(super) static DOWNWARD_API_PROJECTION: Type =
    of(&[plain("items", Objects(&DOWNWARD_API_VOLUME_FILE, &["path"]))]);

pub(super) static DOWNWARD_API_VOLUME_FILE: Type = of(&[
    plain("path", Text),
    pointer("fieldRef", Object(&OBJECT_FIELD_SELECTOR)),
    pointer("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)),
    pointer("mode", Int),
    pointer("user", Int),
]);

pub(super) static CONFIG_MAP_PROJECTION: Type = of(&[
    plain("name", Text),
    plain("items", Objects(&KEY_TO_PATH, &["path"])),
    pointer("optional", Bool),
]);

pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Type = of(&[
    plain("audience", Text),
    pointer("expirationSeconds", Int).or(Default::Int(3600)),
    plain("path", Text),
    pointer("user", Int),
]);

pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: Type = of(&[
    pointer("name", Text),
    pointer("signerName", Text),
    pointer("labelSelector", Object(&LABEL_SELECTOR)),
    pointer("optional", Bool),
    plain("path", Text),
    pointer("user", Int),
]);

pub(super) static POD_CERTIFICATE_PROJECTION: Type = of(&[
    plain("signerName", Text),
    plain("keyType", Text),
    pointer("maxExpirationSeconds", Int),
    plain("credentialBundlePath", Text),
    plain("keyPath", Text),
    plain("certificateChainPath", Text),
    plain("userAnnotations", TextMap),
    pointer("user", Int),
]);

pub(super) static EPHEMERAL_VOLUME_SOURCE: Type =
    of(&[pointer("volumeClaimTemplate", Object(&PERSISTENT_VOLUME_CLAIM_TEMPLATE))]);

pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Type = of(&[
    plain("metadata", Object(&OBJECT_META)),
    plain("spec", Object(&PERSISTENT_VOLUME_CLAIM_SPEC)),
]);

pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Type = of(&[
    plain("accessModes", Texts),
    pointer("selector", Object(&LABEL_SELECTOR)),
    plain("resources", Object(&VOLUME_RESOURCE_REQUIREMENTS)),
    plain("volumeName", Text),
    pointer("storageClassName", Text),
    pointer("volumeMode", Text).or(Default::Text("Filesystem")),
    pointer("dataSource", Object(&TYPED_LOCAL_OBJECT_REFERENCE)),
    pointer("dataSourceRef", Object(&TYPED_OBJECT_REFERENCE)),
    pointer("volumeAttributesClassName", Text),
]);

pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Type =
    of(&[plain("limits", Quantities), plain("requests", Quantities)]);

pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: Type =
    of(&[pointer("apiGroup", Text), plain("kind", Text), plain("name", Text)]);

pub(super) static TYPED_OBJECT_REFERENCE: Type = of(&[
    pointer("apiGroup", Text),
    plain("kind", Text),
    plain("name", Text),
    pointer("namespace", Text),
]);
