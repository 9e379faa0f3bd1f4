//! Containers: environment, probes, lifecycle hooks, mounts.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::{
    APP_ARMOR_PROFILE, OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR, RESOURCE_REQUIREMENTS,
    SE_LINUX_OPTIONS, SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::hooks::pull_policy;
use super::shape::Shape::{Bool, Int, IntOrString, Ints, Object, Objects, Text, Texts};
use super::shape::{Default, Type, plain, pointer};

pub(super) static CONTAINER: Type = Type {
    fields: &[
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
    ],
    after: Some(pull_policy),
};

pub(super) static CONTAINER_PORT: Type = Type {
    fields: &[
        plain("name", Text),
        plain("hostPort", Int),
        plain("containerPort", Int),
        plain("protocol", Text).or(Default::Text("TCP")),
        plain("hostIP", Text),
    ],
    after: None,
};

pub(super) static ENV_FROM_SOURCE: Type = Type {
    fields: &[
        plain("prefix", Text),
        pointer("configMapRef", Object(&CONFIG_MAP_ENV_SOURCE)),
        pointer("secretRef", Object(&SECRET_ENV_SOURCE)),
    ],
    after: None,
};

pub(super) static CONFIG_MAP_ENV_SOURCE: Type =
    Type { fields: &[plain("name", Text), pointer("optional", Bool)], after: None };

pub(super) static SECRET_ENV_SOURCE: Type =
    Type { fields: &[plain("name", Text), pointer("optional", Bool)], after: None };

pub(super) static ENV_VAR: Type = Type {
    fields: &[
        plain("name", Text),
        plain("value", Text),
        pointer("valueFrom", Object(&ENV_VAR_SOURCE)),
    ],
    after: None,
};

pub(super) static ENV_VAR_SOURCE: Type = Type {
    fields: &[
        pointer("fieldRef", Object(&OBJECT_FIELD_SELECTOR)),
        pointer("resourceFieldRef", Object(&RESOURCE_FIELD_SELECTOR)),
        pointer("configMapKeyRef", Object(&CONFIG_MAP_KEY_SELECTOR)),
        pointer("secretKeyRef", Object(&SECRET_KEY_SELECTOR)),
        pointer("fileKeyRef", Object(&FILE_KEY_SELECTOR)),
    ],
    after: None,
};

pub(super) static CONFIG_MAP_KEY_SELECTOR: Type = Type {
    fields: &[plain("name", Text), plain("key", Text), pointer("optional", Bool)],
    after: None,
};

pub(super) static SECRET_KEY_SELECTOR: Type = Type {
    fields: &[plain("name", Text), plain("key", Text), pointer("optional", Bool)],
    after: None,
};

pub(super) static FILE_KEY_SELECTOR: Type = Type {
    fields: &[
        plain("volumeName", Text),
        plain("path", Text),
        plain("key", Text),
        pointer("optional", Bool).or(Default::Bool(false)),
    ],
    after: None,
};

pub(super) static CONTAINER_RESIZE_POLICY: Type =
    Type { fields: &[plain("resourceName", Text), plain("restartPolicy", Text)], after: None };

pub(super) static CONTAINER_RESTART_RULE: Type = Type {
    fields: &[
        plain("action", Text),
        pointer("exitCodes", Object(&CONTAINER_RESTART_RULE_ON_EXIT_CODES)),
    ],
    after: None,
};

pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Type =
    Type { fields: &[plain("operator", Text), plain("values", Ints)], after: None };

pub(super) static VOLUME_MOUNT: Type = Type {
    fields: &[
        plain("name", Text),
        plain("readOnly", Bool),
        pointer("recursiveReadOnly", Text),
        plain("mountPath", Text),
        plain("subPath", Text),
        pointer("mountPropagation", Text),
        plain("subPathExpr", Text),
        plain("bindMountOptions", Texts),
    ],
    after: None,
};

pub(super) static VOLUME_DEVICE: Type =
    Type { fields: &[plain("name", Text), plain("devicePath", Text)], after: None };

pub(super) static PROBE: Type = Type {
    fields: &[
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
    ],
    after: None,
};

pub(super) static EXEC_ACTION: Type = Type { fields: &[plain("command", Texts)], after: None };

pub(super) static HTTP_GET_ACTION: Type = Type {
    fields: &[
        plain("path", Text).or(Default::Text("/")),
        plain("port", IntOrString),
        plain("host", Text),
        plain("scheme", Text).or(Default::Text("HTTP")),
        plain("httpHeaders", Objects(&HTTP_HEADER, &["name"])),
        pointer("protocol", Text),
    ],
    after: None,
};

pub(super) static HTTP_HEADER: Type =
    Type { fields: &[plain("name", Text), plain("value", Text)], after: None };

pub(super) static TCP_SOCKET_ACTION: Type =
    Type { fields: &[plain("port", IntOrString), plain("host", Text)], after: None };

pub(super) static GRPC_ACTION: Type = Type {
    fields: &[
        plain("port", Int),
        pointer("service", Text).or(Default::Text("")),
        pointer("mode", Text),
    ],
    after: None,
};

pub(super) static LIFECYCLE: Type = Type {
    fields: &[
        pointer("postStart", Object(&LIFECYCLE_HANDLER)),
        pointer("preStop", Object(&LIFECYCLE_HANDLER)),
        pointer("stopSignal", Text),
    ],
    after: None,
};

pub(super) static LIFECYCLE_HANDLER: Type = Type {
    fields: &[
        pointer("exec", Object(&EXEC_ACTION)),
        pointer("httpGet", Object(&HTTP_GET_ACTION)),
        pointer("tcpSocket", Object(&TCP_SOCKET_ACTION)),
        pointer("sleep", Object(&SLEEP_ACTION)),
    ],
    after: None,
};

pub(super) static SLEEP_ACTION: Type = Type { fields: &[plain("seconds", Int)], after: None };

pub(super) static SECURITY_CONTEXT: Type = Type {
    fields: &[
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
    ],
    after: None,
};

pub(super) static CAPABILITIES: Type =
    Type { fields: &[plain("add", Texts), plain("drop", Texts)], after: None };
