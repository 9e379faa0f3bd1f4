//! Containers: environment, probes, lifecycle hooks, mounts.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::{
    APP_ARMOR_PROFILE, OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR, RESOURCE_REQUIREMENTS,
    SE_LINUX_OPTIONS, SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::hooks::pull_policy;
use super::shape::Shape::{Bool, Int, IntOrString, Ints, Object, Objects, Text, Texts};
use super::shape::{Default, Type, of, plain, pointer};

pub(super) static CONTAINER: Type = of(&[
    plain("name", Text),
    plain("image", Text),
    plain("command", Texts),
    plain("args", Texts),
    plain("workingDir", Text),
    plain("ports", Objects(&CONTAINER_PORT, &["containerPort", "protocol"])),
    plain("envFrom", Objects(&ENV_FROM_SOURCE, &[])),
    plain("env", Objects(&ENV_VAR, &["name"])),
    plain("resources", Object(&RESOURCE_REQUIREMENTS)),
    plain("resizePolicy", Objects(&CONTAINER_RESIZE_POLICY, &["resourceName"])),
    pointer("restartPolicy", Text),
    plain("restartPolicyRules", Objects(&CONTAINER_RESTART_RULE, &[])),
    plain("volumeMounts", Objects(&VOLUME_MOUNT, &["mountPath"])),
    plain("volumeDevices", Objects(&VOLUME_DEVICE, &["devicePath"])),
    pointer("livenessProbe", Object(&PROBE)),
    pointer("readinessProbe", Object(&PROBE)),
    pointer("startupProbe", Object(&PROBE)),
    pointer("lifecycle", Object(&LIFECYCLE)),
    plain("terminationMessagePath", Text).or(Default::Text("/dev/termination-log")),
    plain("terminationMessagePolicy", Text).or(Default::Text("File")),
    plain("imagePullPolicy", Text),
    pointer("securityContext", Object(&SECURITY_CONTEXT)),
    plain("stdin", Bool),
    plain("stdinOnce", Bool),
    plain("tty", Bool),
])
.then(pull_policy);

pub(super) static CONTAINER_PORT: Type = of(&[
    plain("name", Text),
    plain("hostPort", Int),
    plain("containerPort", Int),
    plain("protocol", Text).or(Default::Text("TCP")),
    plain("hostIP", Text),
]);

pub(super) static ENV_FROM_SOURCE: Type = of(&[
    plain("prefix", Text),
    pointer("configMapRef", Object(&CONFIG_MAP_ENV_SOURCE)),
    pointer("secretRef", Object(&SECRET_ENV_SOURCE)),
]);

pub(super) static CONFIG_MAP_ENV_SOURCE: Type =
    of(&[plain("name", Text), pointer("optional", Bool)]);

pub(super) static SECRET_ENV_SOURCE: Type = of(&[plain("name", Text), pointer("optional", Bool)]);

pub(super) static ENV_VAR: Type =
    of(&[plain("name", Text), plain("value", Text), pointer("valueFrom", Object(&ENV_VAR_SOURCE))]);

pub(super) static ENV_VAR_SOURCE: Type = of(&[
    pointer("fieldRef", Object(&OBJECT_FIELD_SELECTOR)),
    pointer("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)),
    pointer("configMapKeyRef", Object(&CONFIG_MAP_KEY_SELECTOR)),
    pointer("secretKeyRef", Object(&SECRET_KEY_SELECTOR)),
    pointer("fileKeyRef", Object(&FILE_KEY_SELECTOR)),
]);

pub(super) static CONFIG_MAP_KEY_SELECTOR: Type =
    of(&[plain("name", Text), plain("key", Text), pointer("optional", Bool)]);

pub(super) static SECRET_KEY_SELECTOR: Type =
    of(&[plain("name", Text), plain("key", Text), pointer("optional", Bool)]);

pub(super) static FILE_KEY_SELECTOR: Type = of(&[
    plain("volumeName", Text),
    plain("path", Text),
    plain("key", Text),
    pointer("optional", Bool).or(Default::Bool(false)),
]);

pub(super) static CONTAINER_RESIZE_POLICY: Type =
    of(&[plain("resourceName", Text), plain("restartPolicy", Text)]);

pub(super) static CONTAINER_RESTART_RULE: Type = of(&[
    plain("action", Text),
    pointer("exitCodes", Object(&CONTAINER_RESTART_RULE_ON_EXIT_CODES)),
]);

pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Type =
    of(&[plain("operator", Text), plain("values", Ints)]);

pub(super) static VOLUME_MOUNT: Type = of(&[
    plain("name", Text),
    plain("readOnly", Bool),
    pointer("recursiveReadOnly", Text),
    plain("mountPath", Text),
    plain("subPath", Text),
    pointer("mountPropagation", Text),
    plain("subPathExpr", Text),
    plain("bindMountOptions", Texts),
]);

pub(super) static VOLUME_DEVICE: Type = of(&[plain("name", Text), plain("devicePath", Text)]);

pub(super) static PROBE: Type = of(&[
    pointer("exec", Object(&EXEC_ACTION)),
    pointer("httpGet", Object(&HTTP_GET_ACTION)),
    pointer("tcpSocket", Object(&TCP_SOCKET_ACTION)),
    pointer("grpc", Object(&GRPC_ACTION)),
    plain("initialDelaySeconds", Int),
    plain("timeoutSeconds", Int).or(Default::Int(1)),
    plain("periodSeconds", Int).or(Default::Int(10)),
    plain("successThreshold", Int).or(Default::Int(1)),
    plain("failureThreshold", Int).or(Default::Int(3)),
    pointer("terminationGracePeriodSeconds", Int),
]);

pub(super) static EXEC_ACTION: Type = of(&[plain("command", Texts)]);

pub(super) static HTTP_GET_ACTION: Type = of(&[
    plain("path", Text).or(Default::Text("/")),
    plain("port", IntOrString),
    plain("host", Text),
    plain("scheme", Text).or(Default::Text("HTTP")),
    plain("httpHeaders", Objects(&HTTP_HEADER, &["name"])),
    pointer("protocol", Text),
]);

pub(super) static HTTP_HEADER: Type = of(&[plain("name", Text), plain("value", Text)]);

pub(super) static TCP_SOCKET_ACTION: Type = of(&[plain("port", IntOrString), plain("host", Text)]);

pub(super) static GRPC_ACTION: Type = of(&[
    plain("port", Int),
    pointer("service", Text).or(Default::Text("")),
    pointer("mode", Text),
]);

pub(super) static LIFECYCLE: Type = of(&[
    pointer("postStart", Object(&LIFECYCLE_HANDLER)),
    pointer("preStop", Object(&LIFECYCLE_HANDLER)),
    pointer("stopSignal", Text),
]);

pub(super) static LIFECYCLE_HANDLER: Type = of(&[
    pointer("exec", Object(&EXEC_ACTION)),
    pointer("httpGet", Object(&HTTP_GET_ACTION)),
    pointer("tcpSocket", Object(&TCP_SOCKET_ACTION)),
    pointer("sleep", Object(&SLEEP_ACTION)),
]);

pub(super) static SLEEP_ACTION: Type = of(&[plain("seconds", Int)]);

pub(super) static SECURITY_CONTEXT: Type = of(&[
    pointer("capabilities", Object(&CAPABILITIES)),
    pointer("privileged", Bool),
    pointer("seLinuxOptions", Object(&SE_LINUX_OPTIONS)),
    pointer("windowsOptions", Object(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    pointer("runAsUser", Int),
    pointer("runAsGroup", Int),
    pointer("runAsNonRoot", Bool),
    pointer("readOnlyRootFilesystem", Bool),
    pointer("allowPrivilegeEscalation", Bool),
    pointer("procMount", Text),
    pointer("seccompProfile", Object(&SECCOMP_PROFILE)),
    pointer("appArmorProfile", Object(&APP_ARMOR_PROFILE)),
]);

pub(super) static CAPABILITIES: Type = of(&[plain("add", Texts), plain("drop", Texts)]);
