//! The entries of the webhook configuration, as the chart renders them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejob::policy::{OnChange, Policy, PolicySet};
use serde_json::{Value, json};

use super::rejob::{INSTANCE, Options};

/// What the API server can see of a dormant Job, in CEL.
pub const IS_DORMANT: &str = "oldObject != null && has(oldObject.metadata.labels) \
    && 'rejob.dev/dormant' in oldObject.metadata.labels && has(oldObject.spec.parallelism) \
    && oldObject.spec.parallelism == 0 && has(oldObject.metadata.annotations) \
    && 'rejob.dev/dormant' in oldObject.metadata.annotations \
    && oldObject.metadata.annotations['rejob.dev/dormant'].contains('\"parallelism\":')";
/// A change of `rejob.dev/rerun`, in CEL.
pub const ASKS_FOR_A_RERUN: &str = "oldObject != null && has(object.metadata.annotations) \
    && 'rejob.dev/rerun' in object.metadata.annotations && !(has(oldObject.metadata.annotations) \
    && 'rejob.dev/rerun' in oldObject.metadata.annotations \
    && oldObject.metadata.annotations['rejob.dev/rerun'] == object.metadata.annotations['rejob.dev/rerun'])";
/// The garbage collector takes a finalizer out when somebody has deleted a Job in the foreground.
const NOT_FROM_THE_CONTROL_PLANE: &str = "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:') \
    && !(request.userInfo.username in ['system:kube-controller-manager', 'system:apiserver'])";

/// Whether it refuses nothing, whatever becomes of rejob.
fn reports(policy: &Policy) -> bool {
    policy.on_change == OnChange::Report
}

/// One entry for each policy, and those of reruns and of dormant Jobs: of that instance, on that port,
/// trusted by that CA.
pub fn entries(
    policies: &PolicySet,
    options: &Options<'_>,
    instance: &str,
    port: u16,
    ca: &str,
) -> Vec<Value> {
    let entry = |name: &str| {
        json!({
            "name": format!("{name}.rejob.dev"),
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": format!("https://127.0.0.1:{}/v1/policies/{name}", port),
                "caBundle": STANDARD.encode(ca),
            },
            "rules": [{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
            }],
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": options.timeout_seconds,
        })
    };
    let mut webhooks: Vec<_> = policies
        .iter()
        .map(|(name, policy)| {
            let mut entry = entry(name);
            entry["namespaceSelector"] = json!({ "matchLabels": {
                "rejob.dev/policy": name, INSTANCE: instance,
            }});
            let reports = reports(policy);
            let failure_policy = if reports { "Ignore" } else { options.failure_policy };
            entry["failurePolicy"] = failure_policy.into();
            entry["reinvocationPolicy"] = if policy.checks() { "Never" } else { "IfNeeded" }.into();
            let mut conditions =
                vec![json!({ "name": "not-dormant", "expression": format!("!({IS_DORMANT})") })];
            if !reports {
                let expression = format!("!({ASKS_FOR_A_RERUN})");
                conditions.push(json!({ "name": "not-a-rerun", "expression": expression }));
            }
            entry["matchConditions"] = conditions.into();
            entry
        })
        .collect();
    let answering = policies.iter().filter(|(_, policy)| !reports(policy)).map(|(name, _)| name);
    let mut rerun = entry("rerun");
    rerun["rules"][0]["operations"] = json!(["UPDATE"]);
    rerun["namespaceSelector"] = json!({
        "matchLabels": { INSTANCE: instance },
        "matchExpressions": [{
            "key": "rejob.dev/policy", "operator": "In", "values": answering.collect::<Vec<_>>(),
        }],
    });
    rerun["failurePolicy"] = "Fail".into();
    rerun["reinvocationPolicy"] = "Never".into();
    rerun["matchConditions"] = json!([
        { "name": "not-dormant", "expression": format!("!({IS_DORMANT})") },
        { "name": "rerun", "expression": ASKS_FOR_A_RERUN },
    ]);
    if policies.iter().any(|(_, policy)| !reports(policy)) {
        webhooks.push(rerun);
    }
    let mut dormant = entry("dormant");
    dormant["rules"][0]["operations"] = json!(["UPDATE"]);
    dormant["namespaceSelector"] = json!({ "matchLabels": { INSTANCE: instance } });
    dormant["objectSelector"] =
        json!({ "matchExpressions": [{ "key": "rejob.dev/dormant", "operator": "Exists" }] });
    dormant["failurePolicy"] = "Fail".into();
    dormant["reinvocationPolicy"] = "Never".into();
    dormant["matchConditions"] = json!([
        { "name": "not-from-the-control-plane", "expression": NOT_FROM_THE_CONTROL_PLANE },
        { "name": "dormant", "expression": IS_DORMANT },
    ]);
    webhooks.push(dormant);
    webhooks
}
