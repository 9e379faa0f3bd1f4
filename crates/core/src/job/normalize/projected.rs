//! Volume sources made of items: projected volumes, downward API files, claims of ephemeral volumes.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::{LABEL_SELECTOR, OBJECT_FIELD_SELECTOR, OBJECT_META, RESOURCE_FIELD_SELECTOR};
use super::shape::Shape::{Bool, Int, Object, Objects, Quantities, Text, TextMap, Texts};
use super::shape::{Default, Type, plain, pointer};

pub(super) static PROJECTED_VOLUME_SOURCE: Type = Type {
    fields: &[
        plain("sources", Objects(&VOLUME_PROJECTION, &[])),
        pointer("defaultMode", Int).or(Default::Int(420)),
        pointer("defaultUser", Int),
    ],
    after: None,
};

pub(super) static VOLUME_PROJECTION: Type = Type {
    fields: &[
        pointer("secret", Object(&SECRET_PROJECTION)),
        pointer("downwardAPI", Object(&DOWNWARD_API_PROJECTION)),
        pointer("configMap", Object(&CONFIG_MAP_PROJECTION)),
        pointer("serviceAccountToken", Object(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
        pointer("clusterTrustBundle", Object(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
        pointer("podCertificate", Object(&POD_CERTIFICATE_PROJECTION)),
    ],
    after: None,
};

pub(super) static SECRET_PROJECTION: Type = Type {
    fields: &[
        plain("name", Text),
        plain("items", Objects(&KEY_TO_PATH, &["path"])),
        pointer("optional", Bool),
    ],
    after: None,
};

pub(super) static KEY_TO_PATH: Type = Type {
    fields: &[plain("key", Text), plain("path", Text), pointer("mode", Int), pointer("user", Int)],
    after: None,
};

pub(super) static DOWNWARD_API_PROJECTION: Type =
    Type { fields: &[plain("items", Objects(&DOWNWARD_API_VOLUME_FILE, &["path"]))], after: None };

pub(super) static DOWNWARD_API_VOLUME_FILE: Type = Type {
    fields: &[
        plain("path", Text),
        pointer("fieldRef", Object(&OBJECT_FIELD_SELECTOR)),
        pointer("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)),
        pointer("mode", Int),
        pointer("user", Int),
    ],
    after: None,
};

pub(super) static CONFIG_MAP_PROJECTION: Type = Type {
    fields: &[
        plain("name", Text),
        plain("items", Objects(&KEY_TO_PATH, &["path"])),
        pointer("optional", Bool),
    ],
    after: None,
};

pub(super) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Type = Type {
    fields: &[
        plain("audience", Text),
        pointer("expirationSeconds", Int).or(Default::Int(3600)),
        plain("path", Text),
        pointer("user", Int),
    ],
    after: None,
};

pub(super) static CLUSTER_TRUST_BUNDLE_PROJECTION: Type = Type {
    fields: &[
        pointer("name", Text),
        pointer("signerName", Text),
        pointer("labelSelector", Object(&LABEL_SELECTOR)),
        pointer("optional", Bool),
        plain("path", Text),
        pointer("user", Int),
    ],
    after: None,
};

pub(super) static POD_CERTIFICATE_PROJECTION: Type = Type {
    fields: &[
        plain("signerName", Text),
        plain("keyType", Text),
        pointer("maxExpirationSeconds", Int),
        plain("credentialBundlePath", Text),
        plain("keyPath", Text),
        plain("certificateChainPath", Text),
        plain("userAnnotations", TextMap),
        pointer("user", Int),
    ],
    after: None,
};

pub(super) static EPHEMERAL_VOLUME_SOURCE: Type = Type {
    fields: &[pointer("volumeClaimTemplate", Object(&PERSISTENT_VOLUME_CLAIM_TEMPLATE))],
    after: None,
};

pub(super) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Type = Type {
    fields: &[
        plain("metadata", Object(&OBJECT_META)),
        plain("spec", Object(&PERSISTENT_VOLUME_CLAIM_SPEC)),
    ],
    after: None,
};

pub(super) static PERSISTENT_VOLUME_CLAIM_SPEC: Type = Type {
    fields: &[
        plain("accessModes", Texts),
        pointer("selector", Object(&LABEL_SELECTOR)),
        plain("resources", Object(&VOLUME_RESOURCE_REQUIREMENTS)),
        plain("volumeName", Text),
        pointer("storageClassName", Text),
        pointer("volumeMode", Text).or(Default::Text("Filesystem")),
        pointer("dataSource", Object(&TYPED_LOCAL_OBJECT_REFERENCE)),
        pointer("dataSourceRef", Object(&TYPED_OBJECT_REFERENCE)),
        pointer("volumeAttributesClassName", Text),
    ],
    after: None,
};

pub(super) static VOLUME_RESOURCE_REQUIREMENTS: Type =
    Type { fields: &[plain("limits", Quantities), plain("requests", Quantities)], after: None };

pub(super) static TYPED_LOCAL_OBJECT_REFERENCE: Type = Type {
    fields: &[pointer("apiGroup", Text), plain("kind", Text), plain("name", Text)],
    after: None,
};

pub(super) static TYPED_OBJECT_REFERENCE: Type = Type {
    fields: &[
        pointer("apiGroup", Text),
        plain("kind", Text),
        plain("name", Text),
        pointer("namespace", Text),
    ],
    after: None,
};
