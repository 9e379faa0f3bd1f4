//! Affinity and its terms.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::LABEL_SELECTOR;
use super::shape::Shape::{Int, Object, Objects, Text, Texts};
use super::shape::{Type, plain, pointer};

pub(super) static AFFINITY: Type = Type {
    fields: &[
        pointer("nodeAffinity", Object(&NODE_AFFINITY)),
        pointer("podAffinity", Object(&POD_AFFINITY)),
        pointer("podAntiAffinity", Object(&POD_AFFINITY)),
    ],
    after: None,
};

pub(super) static NODE_AFFINITY: Type = Type {
    fields: &[
        pointer("requiredDuringSchedulingIgnoredDuringExecution", Object(&NODE_SELECTOR)),
        plain(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Objects(&PREFERRED_SCHEDULING_TERM, &[]),
        ),
    ],
    after: None,
};

pub(super) static NODE_SELECTOR: Type =
    Type { fields: &[plain("nodeSelectorTerms", Objects(&NODE_SELECTOR_TERM, &[]))], after: None };

pub(super) static NODE_SELECTOR_TERM: Type = Type {
    fields: &[
        plain("matchExpressions", Objects(&NODE_SELECTOR_REQUIREMENT, &[])),
        plain("matchFields", Objects(&NODE_SELECTOR_REQUIREMENT, &[])),
    ],
    after: None,
};

pub(super) static NODE_SELECTOR_REQUIREMENT: Type = Type {
    fields: &[plain("key", Text), plain("operator", Text), plain("values", Texts)],
    after: None,
};

pub(super) static PREFERRED_SCHEDULING_TERM: Type = Type {
    fields: &[plain("weight", Int), plain("preference", Object(&NODE_SELECTOR_TERM))],
    after: None,
};

pub(super) static POD_AFFINITY: Type = Type {
    fields: &[
        plain("requiredDuringSchedulingIgnoredDuringExecution", Objects(&POD_AFFINITY_TERM, &[])),
        plain(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Objects(&WEIGHTED_POD_AFFINITY_TERM, &[]),
        ),
    ],
    after: None,
};

pub(super) static POD_AFFINITY_TERM: Type = Type {
    fields: &[
        pointer("labelSelector", Object(&LABEL_SELECTOR)),
        plain("namespaces", Texts),
        plain("topologyKey", Text),
        pointer("namespaceSelector", Object(&LABEL_SELECTOR)),
        plain("matchLabelKeys", Texts),
        plain("mismatchLabelKeys", Texts),
    ],
    after: None,
};

pub(super) static WEIGHTED_POD_AFFINITY_TERM: Type = Type {
    fields: &[plain("weight", Int), plain("podAffinityTerm", Object(&POD_AFFINITY_TERM))],
    after: None,
};
