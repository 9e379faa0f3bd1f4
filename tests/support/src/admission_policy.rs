//! The cluster's own admission policies in CEL: they refuse Jobs, or rewrite them.

use serde_json::{Value, json};

use super::plane::{self, ControlPlane};
use super::rejob::Rejob;
use super::user::User;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// A policy on the Jobs in the namespaces of a rejob; dropping it deletes it.
pub struct AdmissionPolicy {
    admin: User,
    /// The binding's, and the policy's own.
    resources: [&'static str; 2],
    name: String,
}

impl AdmissionPolicy {
    /// One that refuses Jobs for which the expression is not true, with these words.
    pub fn validating(
        plane: &ControlPlane,
        rejob: &Rejob<'_>,
        operations: &[&str],
        (expression, message): (&str, &str),
    ) -> Self {
        let rule = json!({ "expression": expression, "message": message });
        Self::validation(plane, rejob, operations, &rule)
    }

    /// One that refuses Jobs by this validation.
    pub fn validation(
        plane: &ControlPlane,
        rejob: &Rejob<'_>,
        operations: &[&str],
        rule: &Value,
    ) -> Self {
        let spec = json!({ "validations": [rule] });
        let resources = ["validatingadmissionpolicybindings", "validatingadmissionpolicies"];
        let binding = json!({ "validationActions": ["Deny"] });
        Self::create(plane, rejob, operations, resources, spec, binding)
    }

    /// One that patches Jobs in this way where the condition holds.
    pub fn mutating(
        plane: &ControlPlane,
        rejob: &Rejob<'_>,
        operations: &[&str],
        expression: &str,
        condition: &str,
    ) -> Self {
        let spec = json!({
            "reinvocationPolicy": "Never",
            "matchConditions": [{ "name": "condition", "expression": condition }],
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }],
        });
        let resources = ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"];
        Self::create(plane, rejob, operations, resources, spec, json!({}))
    }

    fn create(
        plane: &ControlPlane,
        rejob: &Rejob<'_>,
        operations: &[&str],
        resources: [&'static str; 2],
        mut spec: Value,
        mut binding: Value,
    ) -> Self {
        let (admin, name) = (plane.admin(), format!("policy-{}", plane::unique()));
        let [bindings, policies] = resources.map(|resource| format!("{GROUP}/{resource}"));
        spec["failurePolicy"] = json!("Fail");
        spec["matchConstraints"] = json!({
            "namespaceSelector": { "matchLabels": rejob.instance_label() },
            "resourceRules": [{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": operations,
            }],
        });
        let metadata = json!({ "name": name });
        admin.post(&policies, &json!({ "metadata": metadata, "spec": spec })).ok();
        binding["policyName"] = json!(name);
        admin.post(&bindings, &json!({ "metadata": metadata, "spec": binding })).ok();
        Self { admin, resources, name }
    }
}

impl Drop for AdmissionPolicy {
    fn drop(&mut self) {
        for resource in self.resources {
            let path = format!("{GROUP}/{resource}/{}", self.name);
            let _ = self.admin.send("DELETE", &path, "application/json", "{}".to_owned());
        }
    }
}
