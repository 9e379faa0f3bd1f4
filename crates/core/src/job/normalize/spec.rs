//! The immutable fields of a Job's spec.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::LABEL_SELECTOR;
use super::pod::POD_TEMPLATE_SPEC;
use super::shape::Shape::{Int, Ints, Object, Objects, Text};
use super::shape::{Default, Type, plain, pointer};

pub(in crate::job) static JOB_SPEC: Type = Type {
    fields: &[
        pointer("completions", Int),
        pointer("podFailurePolicy", Object(&POD_FAILURE_POLICY)),
        pointer("successPolicy", Object(&SUCCESS_POLICY)),
        pointer("backoffLimitPerIndex", Int),
        pointer("selector", Object(&LABEL_SELECTOR)),
        plain("template", Object(&POD_TEMPLATE_SPEC)),
        pointer("completionMode", Text).or(Default::Text("NonIndexed")),
        pointer("managedBy", Text),
        pointer("scheduling", Object(&JOB_SCHEDULING_CONFIGURATION)),
    ],
    after: None,
};

pub(super) static POD_FAILURE_POLICY: Type =
    Type { fields: &[plain("rules", Objects(&POD_FAILURE_POLICY_RULE, &[]))], after: None };

pub(super) static POD_FAILURE_POLICY_RULE: Type = Type {
    fields: &[
        plain("action", Text),
        pointer("onExitCodes", Object(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
        plain("onPodConditions", Objects(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN, &[])),
    ],
    after: None,
};

pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Type = Type {
    fields: &[pointer("containerName", Text), plain("operator", Text), plain("values", Ints)],
    after: None,
};

pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Type = Type {
    fields: &[plain("type", Text), plain("status", Text).or(Default::Text("True"))],
    after: None,
};

pub(super) static SUCCESS_POLICY: Type =
    Type { fields: &[plain("rules", Objects(&SUCCESS_POLICY_RULE, &[]))], after: None };

pub(super) static SUCCESS_POLICY_RULE: Type = Type {
    fields: &[pointer("succeededIndexes", Text), pointer("succeededCount", Int)],
    after: None,
};

pub(super) static JOB_SCHEDULING_CONFIGURATION: Type = Type {
    fields: &[
        pointer("schedulingPolicy", Object(&WORKLOAD_POD_GROUP_SCHEDULING_POLICY)),
        pointer("schedulingConstraints", Object(&WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS)),
        pointer("disruptionMode", Object(&WORKLOAD_POD_GROUP_DISRUPTION_MODE)),
        plain("resourceClaims", Objects(&WORKLOAD_POD_GROUP_RESOURCE_CLAIM, &["name"])),
    ],
    after: None,
};

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_POLICY: Type = Type {
    fields: &[
        pointer("basic", Object(&WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY)),
        pointer("gang", Object(&WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY)),
    ],
    after: None,
};

pub(super) static WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY: Type =
    Type { fields: &[], after: None };

pub(super) static WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY: Type =
    Type { fields: &[pointer("minCount", Int)], after: None };

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS: Type =
    Type { fields: &[plain("topology", Objects(&TOPOLOGY_CONSTRAINT, &[]))], after: None };

pub(super) static TOPOLOGY_CONSTRAINT: Type = Type { fields: &[plain("key", Text)], after: None };

pub(super) static WORKLOAD_POD_GROUP_DISRUPTION_MODE: Type = Type {
    fields: &[
        pointer("single", Object(&WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE)),
        pointer("all", Object(&WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE)),
    ],
    after: None,
};

pub(super) static WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE: Type =
    Type { fields: &[], after: None };

pub(super) static WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE: Type = Type { fields: &[], after: None };

pub(super) static WORKLOAD_POD_GROUP_RESOURCE_CLAIM: Type = Type {
    fields: &[
        plain("name", Text),
        pointer("resourceClaimName", Text),
        pointer("resourceClaimTemplateName", Text),
    ],
    after: None,
};
