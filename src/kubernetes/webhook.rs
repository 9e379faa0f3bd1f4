//! The model of a webhook configuration: which entries are rejob's, where they point to, and the
//! path by which rejob is called.
//!
//! Pure. Selectors are matched as the API server does, so that "this namespace is served" means what
//! it means there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use super::client::encode;
use super::redact::redact;
use crate::policy::{DORMANT, RERUN, RESERVED};

/// The label by which a namespace opts in.
pub const POLICY_LABEL: &str = "rejob.dev/policy";

/// The suffix of the names of rejob's entries; what comes before it is the policy.
const ENTRY_SUFFIX: &str = ".rejob.dev";

/// The labels by which the chart's objects are found.
const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app.kubernetes.io/part-of"];

/// The path of the configuration of that name.
pub fn configuration_path(name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", encode(name))
}

/// An entry of rejob's in a webhook configuration.
#[derive(Clone, Copy)]
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

/// The path by which rejob is called for a policy: `/v1/policies/<policy>`, or with a capability
/// token `/v1/t/<token>/policies/<policy>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReviewPath<'a> {
    /// What stands before it in a URL: scheme, host, and a proxy's own path.
    pub base: &'a str,
    /// The capability token.
    pub token: Option<&'a str>,
    /// The policy.
    pub policy: &'a str,
}

impl<'a> ReviewPath<'a> {
    /// Reads it off the end of a path or URL; `None` when it is not one of rejob's.
    pub fn parse(path: &'a str) -> Option<Self> {
        let is_segment = |text: &str| !text.is_empty() && !text.contains('/');
        let (before, policy) = path.rsplit_once("/policies/").filter(|(_, p)| is_segment(p))?;
        if let Some(base) = before.strip_suffix("/v1") {
            return Some(Self { base, token: None, policy });
        }
        let (base, token) = before.rsplit_once("/v1/t/").filter(|(_, t)| is_segment(t))?;
        Some(Self { base, token: Some(token), policy })
    }
}

impl std::fmt::Debug for ReviewPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&redact(&self.to_string()))
    }
}

/// With its token: for the webhook configuration, not for people.
impl std::fmt::Display for ReviewPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { base, token, policy } = self;
        match token {
            Some(token) => write!(f, "{base}/v1/t/{token}/policies/{policy}"),
            None => write!(f, "{base}/v1/policies/{policy}"),
        }
    }
}

/// Whether it is rejob's: by its label, or by an entry's name.
pub fn is_ours(configuration: &MutatingWebhookConfiguration) -> bool {
    is_labeled(configuration.metadata.labels.as_ref()) || entries(configuration).next().is_some()
}

/// Whether these are the labels of the chart's objects.
pub fn is_labeled(labels: Option<&BTreeMap<String, String>>) -> bool {
    let is =
        |key: &&str| labels.and_then(|all| all.get(*key)).is_some_and(|value| value == "rejob");
    LABELS.iter().any(is)
}

/// All entries of a configuration, rejob's or not.
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
    (!policy.is_empty() && !policy.contains(['.', '/'])).then_some(policy)
}

impl<'a> Entry<'a> {
    /// Whether it is one of rejob's own, and no policy's.
    pub fn is_own(&self) -> bool {
        RESERVED.contains(&self.policy)
    }

    /// Whether it is the one for changes of dormant Jobs.
    pub fn is_for_dormant(&self) -> bool {
        self.policy == DORMANT
    }

    /// Whether it is the one for changes of `rejob.dev/rerun`.
    pub fn is_for_rerun(&self) -> bool {
        self.policy == RERUN
    }

    /// Whether the chart's value `paused` keeps it from being called.
    pub fn is_paused(&self) -> bool {
        let mut conditions = self.webhook.match_conditions.iter().flatten();
        conditions.any(|condition| condition.expression == "false")
    }

    /// How findings name it.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.configuration, self.webhook.name)
    }

    /// Where it points to; `None` when that cannot be read.
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
        // As it is written in a certificate.
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => host.to_ascii_lowercase(),
        };
        Some(Target { host, port: uri.port_u16().unwrap_or(443), service: None })
    }

    /// The path by which it calls; `None` when it is not one of rejob's.
    pub fn path(&self) -> Option<ReviewPath<'a>> {
        ReviewPath::parse(path_or_url(&self.webhook.client_config)?)
    }

    /// What stands before rejob's own path in the URL it points to; empty for a Service.
    pub fn base(&self) -> &'a str {
        let client = &self.webhook.client_config;
        let url = if client.service.is_some() { None } else { client.url.as_deref() };
        url.map_or("", |url| ReviewPath::parse(url).map_or(url, |path| path.base))
            .trim_end_matches('/')
    }

    /// The CA bundle, PEM; `None` when there is none.
    pub fn ca_bundle(&self) -> Option<&'a [u8]> {
        let bundle = self.webhook.client_config.ca_bundle.as_ref()?;
        (!bundle.0.is_empty()).then_some(bundle.0.as_slice())
    }

    /// Whether only namespaces with the opt-in label can match.
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
    pub fn selects(&self, namespace: &Namespace) -> bool {
        selects(self.webhook.namespace_selector.as_ref(), namespace)
    }

    /// Whether the API server calls it again after other webhooks changed the Job.
    pub fn is_reinvoked(&self) -> bool {
        self.webhook.reinvocation_policy.as_deref() == Some("IfNeeded")
    }

    /// Whether a failed call refuses the Job; the API's default.
    pub fn fails_closed(&self) -> bool {
        self.webhook.failure_policy.as_deref() != Some("Ignore")
    }
}

/// What it calls: the path of a Service, or a URL.
fn path_or_url(client: &WebhookClientConfig) -> Option<&str> {
    match &client.service {
        Some(service) => service.path.as_deref(),
        None => client.url.as_deref(),
    }
}

/// Whether a namespaceSelector selects this namespace; one that is not given selects all.
pub fn selects(selector: Option<&LabelSelector>, namespace: &Namespace) -> bool {
    let selector = selector.cloned().unwrap_or_default();
    let none = BTreeMap::new();
    let labels = namespace.metadata.labels.as_ref().unwrap_or(&none);
    // The API server has refused what does not parse.
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
}

/// The policy that a namespace opts in to.
pub fn opted_in(namespace: &Namespace) -> Option<&str> {
    namespace.metadata.labels.as_ref()?.get(POLICY_LABEL).map(String::as_str)
}

/// The same, of a namespace in the API server's own JSON.
pub fn opted_in_json(namespace: &Value) -> Option<&str> {
    namespace.get("metadata")?.get("labels")?.get(POLICY_LABEL)?.as_str()
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
mod tests;
