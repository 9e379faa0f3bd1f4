//! Affinity and its terms.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::LABEL_SELECTOR;
use super::shape::Shape::{Int, Object, Objects, Text, Texts};
use super::shape::{Type, of, plain, pointer};

pub(super) static AFFINITY: Type = of(&[
    pointer("nodeAffinity", Object(&NODE_AFFINITY)),
    pointer("podAffinity", Object(&POD_AFFINITY)),
    pointer("podAntiAffinity", Object(&POD_AFFINITY)),
]);

pub(super) static NODE_AFFINITY: Type = of(&[
    pointer("requiredDuringSchedulingIgnoredDuringExecution", Object(&NODE_SELECTOR)),
    plain(
        "preferredDuringSchedulingIgnoredDuringExecution",
        Objects(&PREFERRED_SCHEDULING_TERM, &[]),
    ),
]);

pub(super) static NODE_SELECTOR: Type =
    of(&[plain("nodeSelectorTerms", Objects(&NODE_SELECTOR_TERM, &[]))]);

pub(super) static NODE_SELECTOR_TERM: Type = of(&[
    plain("matchExpressions", Objects(&NODE_SELECTOR_REQUIREMENT, &[])),
    plain("matchFields", Objects(&NODE_SELECTOR_REQUIREMENT, &[])),
]);

pub(super) static NODE_SELECTOR_REQUIREMENT: Type =
    of(&[plain("key", Text), plain("operator", Text), plain("values", Texts)]);

pub(super) static PREFERRED_SCHEDULING_TERM: Type =
    of(&[plain("weight", Int), plain("preference", Object(&NODE_SELECTOR_TERM))]);

pub(super) static POD_AFFINITY: Type = of(&[
    plain("requiredDuringSchedulingIgnoredDuringExecution", Objects(&POD_AFFINITY_TERM, &[])),
    plain(
        "preferredDuringSchedulingIgnoredDuringExecution",
        Objects(&WEIGHTED_POD_AFFINITY_TERM, &[]),
    ),
]);

pub(super) static POD_AFFINITY_TERM: Type = of(&[
    pointer("labelSelector", Object(&LABEL_SELECTOR)),
    plain("namespaces", Texts),
    plain("topologyKey", Text),
    pointer("namespaceSelector", Object(&LABEL_SELECTOR)),
    plain("matchLabelKeys", Texts),
    plain("mismatchLabelKeys", Texts),
]);

pub(super) static WEIGHTED_POD_AFFINITY_TERM: Type =
    of(&[plain("weight", Int), plain("podAffinityTerm", Object(&POD_AFFINITY_TERM))]);
