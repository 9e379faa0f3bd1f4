//! A look at webhook configurations: which are rejob's, whom an entry selects, where it points to.
//!
//! Pure. Selectors are matched as the API server does, so that "this namespace is served" means what
//! it means there.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use crate::cluster::POLICY_LABEL;
use crate::policy::{DORMANT, RERUN, RESERVED};

/// The suffix of the names of rejob's entries; what comes before it is the policy.
const ENTRY_SUFFIX: &str = ".rejob.dev";

/// The labels by which the chart's objects are found.
const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app.kubernetes.io/part-of"];

/// An entry of rejob's in a webhook configuration.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The configuration's name.
    pub configuration: &'a str,
    /// The entry.
    pub webhook: &'a MutatingWebhook,
    /// The policy that its name says, or one of [`RESERVED`].
    pub policy: &'a str,
}

/// Where an entry points to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The name or address that the certificate must be for.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Namespace and name, where it is a Service.
    pub service: Option<(String, String)>,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.service {
            Some((namespace, name)) => write!(f, "{namespace}/{name}"),
            None if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Whether it is rejob's: by its label, or by an entry's name.
#[must_use]
pub fn is_ours(configuration: &MutatingWebhookConfiguration) -> bool {
    is_labeled(configuration.metadata.labels.as_ref())
        || webhooks(configuration).iter().any(|webhook| policy_of(&webhook.name).is_some())
}

/// Whether these are the labels of the chart's objects.
#[must_use]
pub fn is_labeled(labels: Option<&BTreeMap<String, String>>) -> bool {
    let is =
        |key: &&str| labels.and_then(|all| all.get(*key)).is_some_and(|value| value == "rejob");
    LABELS.iter().any(is)
}

/// The entries of a configuration.
#[must_use]
pub fn webhooks(configuration: &MutatingWebhookConfiguration) -> &[MutatingWebhook] {
    configuration.webhooks.as_deref().unwrap_or_default()
}

/// rejob's entries of a configuration, in order.
pub fn entries(configuration: &MutatingWebhookConfiguration) -> impl Iterator<Item = Entry<'_>> {
    let name = configuration.metadata.name.as_deref().unwrap_or_default();
    webhooks(configuration).iter().filter_map(move |webhook| {
        let policy = policy_of(&webhook.name)?;
        Some(Entry { configuration: name, webhook, policy })
    })
}

/// The policy of an entry's name; `None` when it is not rejob's.
fn policy_of(name: &str) -> Option<&str> {
    let policy = name.strip_suffix(ENTRY_SUFFIX)?;
    (!policy.is_empty() && !policy.contains('.')).then_some(policy)
}

impl<'a> Entry<'a> {
    /// Whether it is one of rejob's own, and no policy's.
    #[must_use]
    pub fn is_own(&self) -> bool {
        RESERVED.contains(&self.policy)
    }

    /// Whether it is the one for changes of dormant Jobs.
    #[must_use]
    pub fn is_for_dormant(&self) -> bool {
        self.policy == DORMANT
    }

    /// Whether it is the one for changes of `rejob.dev/rerun`.
    #[must_use]
    pub fn is_for_rerun(&self) -> bool {
        self.policy == RERUN
    }

    /// Whether the chart's value `paused` keeps it from being called.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let mut conditions = self.webhook.match_conditions.iter().flatten();
        conditions.any(|condition| condition.expression == "false")
    }

    /// How findings name it.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{}/{}", self.configuration, self.webhook.name)
    }

    /// Where it points to; `None` when that cannot be read.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let client = &self.webhook.client_config;
        if let Some(service) = &client.service {
            return Some(Target {
                host: format!("{}.{}.svc", service.name, service.namespace),
                port: service.port.map_or(Some(443), |port| u16::try_from(port).ok())?,
                service: Some((service.namespace.clone(), service.name.clone())),
            });
        }
        let uri: http::Uri = client.url.as_ref()?.parse().ok()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        Some(Target { host: host.to_owned(), port: uri.port_u16().unwrap_or(443), service: None })
    }

    /// The policy that its path names; `None` when the path is not one of rejob's.
    #[must_use]
    pub fn path_policy(&self) -> Option<&'a str> {
        let client = &self.webhook.client_config;
        let path = match (&client.service, &client.url) {
            (Some(service), _) => service.path.as_deref()?,
            (None, url) => url.as_deref()?,
        };
        // Whatever stands before /v1 is a proxy's business.
        let (before, policy) = path.rsplit_once("/policies/")?;
        let token = before.rsplit_once("/v1/t/").map(|(_, token)| token);
        let ours = before.ends_with("/v1") || token.is_some_and(|token| !token.contains('/'));
        (ours && !policy.is_empty() && !policy.contains('/')).then_some(policy)
    }

    /// The CA bundle, PEM; `None` when there is none.
    #[must_use]
    pub fn ca_bundle(&self) -> Option<&'a [u8]> {
        let bundle = self.webhook.client_config.ca_bundle.as_ref()?;
        (!bundle.0.is_empty()).then_some(bundle.0.as_slice())
    }

    /// Whether only namespaces with the opt-in label can match.
    #[must_use]
    pub fn asks_for_opt_in(&self) -> bool {
        let Some(selector) = &self.webhook.namespace_selector else { return false };
        let by_label = selector.match_labels.as_ref().is_some_and(|l| l.contains_key(POLICY_LABEL));
        by_label
            || selector.match_expressions.iter().flatten().any(|requirement| {
                requirement.key == POLICY_LABEL
                    && matches!(requirement.operator.as_str(), "In" | "Exists")
            })
    }

    /// The values of the opt-in label that it lets in; empty when it does not say.
    #[must_use]
    pub fn selected_policies(&self) -> Vec<&'a str> {
        let Some(selector) = &self.webhook.namespace_selector else { return Vec::new() };
        let labels = selector.match_labels.as_ref().and_then(|labels| labels.get(POLICY_LABEL));
        let required = selector.match_expressions.iter().flatten();
        let listed = required
            .filter(|requirement| requirement.key == POLICY_LABEL && requirement.operator == "In")
            .flat_map(|requirement| requirement.values.iter().flatten());
        labels.into_iter().chain(listed).map(String::as_str).collect()
    }

    /// Whether it is called for Jobs of this namespace.
    #[must_use]
    pub fn selects(&self, namespace: &Namespace) -> bool {
        selects(self.webhook.namespace_selector.as_ref(), namespace)
    }

    /// Whether the API server calls it again after other webhooks changed the Job.
    #[must_use]
    pub fn is_reinvoked(&self) -> bool {
        self.webhook.reinvocation_policy.as_deref() == Some("IfNeeded")
    }

    /// Whether a failed call refuses the Job; the API's default.
    #[must_use]
    pub fn fails_closed(&self) -> bool {
        self.webhook.failure_policy.as_deref() != Some("Ignore")
    }
}

/// Whether a namespaceSelector selects this namespace; one that is not given selects all.
#[must_use]
pub fn selects(selector: Option<&LabelSelector>, namespace: &Namespace) -> bool {
    let selector = selector.cloned().unwrap_or_default();
    let none = BTreeMap::new();
    let labels = namespace.metadata.labels.as_ref().unwrap_or(&none);
    // The API server has refused what does not parse.
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
}

/// The policy that a namespace opts in to.
#[must_use]
pub fn opted_in(namespace: &Namespace) -> Option<&str> {
    namespace.metadata.labels.as_ref()?.get(POLICY_LABEL).map(String::as_str)
}

/// Whether rules cover one of these operations on Jobs.
pub fn covers_jobs<'a>(
    rules: impl IntoIterator<Item = &'a RuleWithOperations>,
    operations: &[&str],
) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &[&str]| {
        list.into_iter().flatten().any(|item| wanted.contains(&item.as_str()))
    };
    let covers = |rule: &RuleWithOperations| {
        has(rule.api_groups.as_ref(), &["batch", "*"])
            && has(rule.api_versions.as_ref(), &["v1", "*"])
            && has(rule.resources.as_ref(), &["jobs", "*", "*/*"])
            && (has(rule.operations.as_ref(), operations) || has(rule.operations.as_ref(), &["*"]))
            && rule.scope.as_deref() != Some("Cluster")
    };
    rules.into_iter().any(covers)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn configuration(webhook: &Value) -> MutatingWebhookConfiguration {
        let mut whole = json!({
            "name": "ttl.rejob.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {},
        });
        for (key, value) in webhook.as_object().unwrap() {
            whole[key] = value.clone();
        }
        serde_json::from_value(json!({ "metadata": { "name": "c" }, "webhooks": [whole] })).unwrap()
    }

    fn namespace(labels: &Value) -> Namespace {
        serde_json::from_value(json!({ "metadata": { "name": "n", "labels": labels } })).unwrap()
    }

    #[test]
    fn a_configuration_is_ours_by_label_or_by_an_entry() {
        assert!(is_ours(&configuration(&json!({}))));
        for name in ["a.b.rejob.dev", ".rejob.dev", "rejob.dev", "ttl.example.com"] {
            assert!(!is_ours(&configuration(&json!({ "name": name }))), "{name}");
        }
        let mut labeled = configuration(&json!({ "name": "other.example.com" }));
        labeled.metadata.labels =
            Some(BTreeMap::from([("app.kubernetes.io/name".into(), "rejob".into())]));
        assert!(is_ours(&labeled));
    }

    #[test]
    fn a_target_is_a_service_or_a_url() {
        let target = |client: Value| {
            let configuration = configuration(&json!({ "clientConfig": client }));
            let entry = entries(&configuration).next().unwrap();
            (
                entry.target().map(|t| (t.to_string(), t.host, t.port)),
                entry.path_policy().map(str::to_owned),
            )
        };
        let of = |shown: &str, host: &str, port| Some((shown.to_owned(), host.to_owned(), port));
        let some = |policy: &str| Some(policy.to_owned());
        let service = json!({ "service": { "name": "rejob", "namespace": "sys", "path": "/v1/t/a1/policies/ttl" } });
        assert_eq!(target(service), (of("sys/rejob", "rejob.sys.svc", 443), some("ttl")));
        let service = json!({ "service": { "name": "rejob", "namespace": "sys", "port": 8443 } });
        assert_eq!(target(service), (of("sys/rejob", "rejob.sys.svc", 8443), None));
        let url = json!({ "url": "https://hook.example.com/v1/policies/ttl" });
        assert_eq!(target(url), (of("hook.example.com:443", "hook.example.com", 443), some("ttl")));
        let url = json!({ "url": "https://[::1]:9/proxy/v1/policies/x" });
        assert_eq!(target(url), (of("[::1]:9", "::1", 9), some("x")));
        let url = json!({ "url": "https://127.0.0.1:9" });
        assert_eq!(target(url), (of("127.0.0.1:9", "127.0.0.1", 9), None));
    }

    #[test]
    fn the_opt_in_is_read_from_labels_and_expressions() {
        let check = |selector: Value, labels: Value| {
            let configuration = configuration(&json!({ "namespaceSelector": selector }));
            let entry = entries(&configuration).next().unwrap();
            (
                entry.asks_for_opt_in(),
                entry.selected_policies().join(","),
                entry.selects(&namespace(&labels)),
            )
        };
        let label = json!({ "rejob.dev/policy": "ttl" });
        let by_label = json!({ "matchLabels": { "rejob.dev/policy": "ttl" } });
        assert_eq!(check(by_label.clone(), label.clone()), (true, "ttl".into(), true));
        assert_eq!(check(by_label, json!({})), (true, "ttl".into(), false));
        let chart = json!({ "matchExpressions": [
            { "key": "rejob.dev/policy", "operator": "In", "values": ["ttl"] },
            { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
        ]});
        assert_eq!(check(chart.clone(), label), (true, "ttl".into(), true));
        let system =
            json!({ "rejob.dev/policy": "ttl", "kubernetes.io/metadata.name": "kube-system" });
        assert_eq!(check(chart, system), (true, "ttl".into(), false));
        let absent = json!({ "matchExpressions": [{ "key": "rejob.dev/policy", "operator": "DoesNotExist" }] });
        assert_eq!(check(absent, json!({})), (false, String::new(), true));
        assert_eq!(check(json!({}), json!({})), (false, String::new(), true));
    }

    #[test]
    fn rules_cover_jobs_by_name_or_by_star() {
        let covers = |rule: Value, operation| {
            let configuration = configuration(&json!({ "rules": [rule] }));
            covers_jobs(webhooks(&configuration)[0].rules.iter().flatten(), &[operation])
        };
        let rule = |group: &str, resource: &str, operation: &str| {
            json!({
                "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": [operation]
            })
        };
        assert!(covers(rule("batch", "jobs", "CREATE"), "CREATE"));
        assert!(!covers(rule("batch", "jobs", "CREATE"), "UPDATE"));
        assert!(covers(rule("*", "*", "*"), "UPDATE"));
        assert!(!covers(rule("", "pods", "*"), "CREATE"));
        assert!(!covers(rule("batch", "jobs/status", "*"), "UPDATE"));
    }
}
