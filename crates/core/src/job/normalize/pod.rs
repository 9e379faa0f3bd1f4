//! The pod template and the pod spec.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::affinity::AFFINITY;
use super::common::{
    APP_ARMOR_PROFILE, LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_META, RESOURCE_REQUIREMENTS,
    SE_LINUX_OPTIONS, SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::container::CONTAINER;
use super::hooks::service_account;
use super::shape::Shape::{
    Any, Bool, Int, Ints, Object, Objects, Quantities, Text, TextMap, Texts,
};
use super::shape::{Default, Type, of, plain, pointer};
use super::volume::VOLUME;

pub(super) static POD_SPEC: Type = of(&[
    plain("volumes", Objects(&VOLUME, &["name"])),
    plain("initContainers", Objects(&CONTAINER, &["name"])),
    plain("containers", Objects(&CONTAINER, &["name"])),
    plain("ephemeralContainers", Any),
    plain("restartPolicy", Text),
    pointer("terminationGracePeriodSeconds", Int).or(Default::Int(30)),
    pointer("activeDeadlineSeconds", Int),
    plain("dnsPolicy", Text).or(Default::Text("ClusterFirst")),
    plain("nodeSelector", TextMap),
    plain("serviceAccountName", Text),
    plain("serviceAccount", Text),
    pointer("automountServiceAccountToken", Bool),
    plain("nodeName", Text),
    plain("hostNetwork", Bool),
    plain("hostPID", Bool),
    plain("hostIPC", Bool),
    pointer("shareProcessNamespace", Bool),
    pointer("securityContext", Object(&POD_SECURITY_CONTEXT)).or(Default::EmptyObject),
    plain("imagePullSecrets", Objects(&LOCAL_OBJECT_REFERENCE, &["name"])),
    plain("hostname", Text),
    plain("subdomain", Text),
    pointer("affinity", Object(&AFFINITY)),
    plain("schedulerName", Text).or(Default::Text("default-scheduler")),
    plain("tolerations", Objects(&TOLERATION, &[])),
    plain("hostAliases", Objects(&HOST_ALIAS, &["ip"])),
    plain("priorityClassName", Text),
    pointer("priority", Int),
    pointer("dnsConfig", Object(&POD_DNS_CONFIG)),
    plain("readinessGates", Objects(&POD_READINESS_GATE, &["conditionType"])),
    pointer("runtimeClassName", Text),
    pointer("enableServiceLinks", Bool),
    pointer("preemptionPolicy", Text),
    plain("overhead", Quantities),
    plain(
        "topologySpreadConstraints",
        Objects(&TOPOLOGY_SPREAD_CONSTRAINT, &["topologyKey", "whenUnsatisfiable"]),
    ),
    pointer("setHostnameAsFQDN", Bool),
    pointer("os", Object(&POD_OS)),
    pointer("hostUsers", Bool),
    plain("schedulingGates", Objects(&POD_SCHEDULING_GATE, &["name"])),
    plain("resourceClaims", Objects(&POD_RESOURCE_CLAIM, &["name"])),
    pointer("resources", Object(&RESOURCE_REQUIREMENTS)),
    pointer("hostnameOverride", Text),
    pointer("schedulingGroup", Object(&POD_SCHEDULING_GROUP)),
    plain("evictionResponders", Objects(&EVICTION_RESPONDER, &["name"])),
])
.then(service_account);

pub(super) static POD_SECURITY_CONTEXT: Type = of(&[
    pointer("seLinuxOptions", Object(&SE_LINUX_OPTIONS)),
    pointer("windowsOptions", Object(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    pointer("runAsUser", Int),
    pointer("runAsGroup", Int),
    pointer("runAsNonRoot", Bool),
    plain("supplementalGroups", Ints),
    pointer("supplementalGroupsPolicy", Text),
    pointer("fsGroup", Int),
    plain("sysctls", Objects(&SYSCTL, &["name"])),
    pointer("fsGroupChangePolicy", Text),
    pointer("seccompProfile", Object(&SECCOMP_PROFILE)),
    pointer("appArmorProfile", Object(&APP_ARMOR_PROFILE)),
    pointer("seLinuxChangePolicy", Text),
]);

pub(super) static SYSCTL: Type = of(&[plain("name", Text), plain("value", Text)]);

pub(super) static TOLERATION: Type = of(&[
    plain("key", Text),
    plain("operator", Text),
    plain("value", Text),
    plain("effect", Text),
    pointer("tolerationSeconds", Int),
]);

pub(super) static HOST_ALIAS: Type = of(&[plain("ip", Text), plain("hostnames", Texts)]);

pub(super) static POD_DNS_CONFIG: Type = of(&[
    plain("nameservers", Texts),
    plain("searches", Texts),
    plain("options", Objects(&POD_DNS_CONFIG_OPTION, &["name"])),
]);

pub(super) static POD_DNS_CONFIG_OPTION: Type = of(&[plain("name", Text), pointer("value", Text)]);

pub(super) static POD_READINESS_GATE: Type = of(&[plain("conditionType", Text)]);

pub(super) static TOPOLOGY_SPREAD_CONSTRAINT: Type = of(&[
    plain("maxSkew", Int),
    plain("topologyKey", Text),
    plain("whenUnsatisfiable", Text),
    pointer("labelSelector", Object(&LABEL_SELECTOR)),
    pointer("minDomains", Int),
    pointer("nodeAffinityPolicy", Text),
    pointer("nodeTaintsPolicy", Text),
    plain("matchLabelKeys", Texts),
]);

pub(super) static POD_OS: Type = of(&[plain("name", Text)]);

pub(super) static POD_SCHEDULING_GATE: Type = of(&[plain("name", Text)]);

pub(super) static POD_RESOURCE_CLAIM: Type = of(&[
    plain("name", Text),
    pointer("resourceClaimName", Text),
    pointer("resourceClaimTemplateName", Text),
]);

pub(super) static POD_SCHEDULING_GROUP: Type = of(&[pointer("podGroupName", Text)]);

pub(super) static EVICTION_RESPONDER: Type = of(&[plain("name", Text), pointer("priority", Int)]);

pub(super) static POD_TEMPLATE_SPEC: Type =
    of(&[plain("metadata", Object(&OBJECT_META)), plain("spec", Object(&POD_SPEC))]);
