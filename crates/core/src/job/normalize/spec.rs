//! The immutable fields of a Job's spec.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::LABEL_SELECTOR;
use super::pod::POD_TEMPLATE_SPEC;
use super::shape::Shape::{Int, Ints, Object, Objects, Text};
use super::shape::{Default, Type, of, plain, pointer};

pub(in crate::job) static JOB_SPEC: Type = of(&[
    pointer("completions", Int),
    pointer("podFailurePolicy", Object(&POD_FAILURE_POLICY)),
    pointer("successPolicy", Object(&SUCCESS_POLICY)),
    pointer("backoffLimitPerIndex", Int),
    pointer("selector", Object(&LABEL_SELECTOR)),
    plain("template", Object(&POD_TEMPLATE_SPEC)),
    pointer("completionMode", Text).or(Default::Text("NonIndexed")),
    pointer("managedBy", Text),
    pointer("scheduling", Object(&JOB_SCHEDULING_CONFIGURATION)),
]);

pub(super) static POD_FAILURE_POLICY: Type =
    of(&[plain("rules", Objects(&POD_FAILURE_POLICY_RULE, &[]))]);

pub(super) static POD_FAILURE_POLICY_RULE: Type = of(&[
    plain("action", Text),
    pointer("onExitCodes", Object(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
    plain("onPodConditions", Objects(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN, &[])),
]);

pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Type =
    of(&[pointer("containerName", Text), plain("operator", Text), plain("values", Ints)]);

pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Type =
    of(&[plain("type", Text), plain("status", Text).or(Default::Text("True"))]);

pub(super) static SUCCESS_POLICY: Type = of(&[plain("rules", Objects(&SUCCESS_POLICY_RULE, &[]))]);

pub(super) static SUCCESS_POLICY_RULE: Type =
    of(&[pointer("succeededIndexes", Text), pointer("succeededCount", Int)]);

pub(super) static JOB_SCHEDULING_CONFIGURATION: Type = of(&[
    pointer("schedulingPolicy", Object(&WORKLOAD_POD_GROUP_SCHEDULING_POLICY)),
    pointer("schedulingConstraints", Object(&WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS)),
    pointer("disruptionMode", Object(&WORKLOAD_POD_GROUP_DISRUPTION_MODE)),
    plain("resourceClaims", Objects(&WORKLOAD_POD_GROUP_RESOURCE_CLAIM, &["name"])),
]);

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_POLICY: Type = of(&[
    pointer("basic", Object(&WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY)),
    pointer("gang", Object(&WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY)),
]);

pub(super) static WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY: Type = of(&[]);

pub(super) static WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY: Type = of(&[pointer("minCount", Int)]);

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS: Type =
    of(&[plain("topology", Objects(&TOPOLOGY_CONSTRAINT, &[]))]);

pub(super) static TOPOLOGY_CONSTRAINT: Type = of(&[plain("key", Text)]);

pub(super) static WORKLOAD_POD_GROUP_DISRUPTION_MODE: Type = of(&[
    pointer("single", Object(&WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE)),
    pointer("all", Object(&WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE)),
]);

pub(super) static WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE: Type = of(&[]);

pub(super) static WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE: Type = of(&[]);

pub(super) static WORKLOAD_POD_GROUP_RESOURCE_CLAIM: Type = of(&[
    plain("name", Text),
    pointer("resourceClaimName", Text),
    pointer("resourceClaimTemplateName", Text),
]);
