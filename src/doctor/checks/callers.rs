//! Who can send reviews: the API server does not say who it is by itself, so a token in the path, the
//! name in a client certificate or a NetworkPolicy has to keep others away.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt};

use crate::doctor::facts::{Facts, Installation};
use crate::doctor::finding::{About, Finding};
use crate::doctor::installation::Settings;
use crate::kubernetes::{FIELD_MANAGER, webhook};
use crate::words::span;

const CHECK: &str = "callers";

/// A token that is older than this, in seconds, is not changed every hour.
const OLD_TOKEN: i64 = 2 * 3_600;

pub fn callers(facts: &Facts, findings: &mut Vec<Finding>) {
    for configuration in facts.ours() {
        let paths = webhook::entries(configuration)
            .filter_map(|entry| Some((entry.path()?.token.is_some(), entry.target()?)));
        let (with, without): (Vec<_>, Vec<_>) = paths.partition(|(has_token, _)| *has_token);
        let about = About::new(CHECK, configuration.metadata.name.as_deref().unwrap_or_default());
        let Some((_, target)) = without.first() else {
            if !with.is_empty() {
                findings.push(token(facts, configuration, &about));
            }
            continue;
        };
        let installation = facts.installation_of(target);
        let settings = installation.and_then(Installation::settings);
        let (Some(installation), Some(settings)) = (installation, settings) else {
            let why = "its paths carry no token, and no Deployment with the labels of the chart can be seen";
            findings.push(about.unchecked("who can send requests", why));
            continue;
        };
        let upgrade = facts.helm_upgrade(Some(target));
        findings.push(if let Some(rewrite) = facts.rewrite_paths(target) {
            about.problem(
                "a path carries no token, and the server answers 404 without: rejob has not \
                 written it yet, or it was edited",
                rewrite,
            )
        } else if settings.names_clients {
            about.ok("only clients with a name of --client-name are served")
        } else if target.service.is_none() {
            about.hint(
                "its paths carry no secret token, and --client-name is not set: anyone who \
                 reaches the URL can send requests",
                format!(
                    "{upgrade} --set certificates.clientCA.configMapName=NAME --set \
                     'certificates.clientCA.names={{NAME}}'"
                ),
            )
        } else {
            match named_by_a_policy(installation, &settings) {
                Err(error) => {
                    about.unchecked("its paths carry no token; who reaches the port", error)
                }
                Ok(true) => about.ok("a NetworkPolicy names who reaches the webhook port"),
                Ok(false) => about.hint(
                    "its paths carry no secret token, and neither --client-name nor a \
                     NetworkPolicy says who may send requests: anyone who reaches the port can",
                    format!("{upgrade} --set webhook.pathToken=true"),
                ),
            }
        });
    }
}

/// Whether the token is a new one every hour: each is a write of rejob's.
fn token(facts: &Facts, configuration: &MutatingWebhookConfiguration, about: &About) -> Finding {
    let managers = configuration.metadata.managed_fields.iter().flatten();
    let written = managers
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
        .filter_map(|entry| Some(entry.time.as_ref()?.0.as_second()))
        .max();
    match written.map(|written| facts.now().as_second() - written) {
        Some(age) if age > OLD_TOKEN => about.hint(
            format!(
                "its paths carry a secret token, which has not changed for {}; a new one is due \
                 every hour",
                span(age)
            ),
            "read rejob's log, which says what keeps it from its Secret or this configuration",
        ),
        _ => about.ok("its paths carry a secret token"),
    }
}

/// Whether NetworkPolicies name who reaches the webhook port of the Pods.
fn named_by_a_policy<'a>(
    installation: &'a Installation,
    settings: &Settings,
) -> Result<bool, &'a String> {
    let policies = installation.network_policies.as_ref()?;
    let deployment = installation.deployment.as_ref()?.as_ref();
    let template = deployment.and_then(|one| one.spec.as_ref()).map(|spec| &spec.template);
    let Some(template) = template else { return Ok(false) };
    let pod = Pod {
        metadata: template.metadata.clone().unwrap_or_default(),
        spec: template.spec.clone(),
        status: None,
    };
    let labels = pod.metadata.labels.unwrap_or_default();
    let is_selected = |selector: &LabelSelector| {
        Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(&labels))
    };
    // Networks ignore NetworkPolicies for Pods on the node's network.
    if pod.spec.is_some_and(|spec| spec.host_network == Some(true)) {
        return Ok(false);
    }
    let mut rules = policies
        .iter()
        .filter_map(|policy: &NetworkPolicy| policy.spec.as_ref())
        .filter(|spec| spec.pod_selector.as_ref().is_none_or(is_selected))
        .filter(|spec| {
            let types = spec.policy_types.as_ref();
            types.is_none_or(|types| types.iter().any(|one| one == "Ingress"))
        })
        .peekable();
    // What no policy selects is open; of several, each opens what it allows.
    Ok(rules.peek().is_some()
        && rules
            .flat_map(|spec| spec.ingress.iter().flatten())
            .filter(|rule| is_for(rule, settings.port))
            .all(names_peers))
}

/// Whether a rule opens the webhook port, by its name or number, or as one of all.
fn is_for(rule: &NetworkPolicyIngressRule, number: Option<i32>) -> bool {
    let covers = |port: &NetworkPolicyPort| match &port.port {
        None => true,
        Some(IntOrString::String(name)) => name == "webhook",
        Some(IntOrString::Int(first)) => {
            let last = port.end_port.unwrap_or(*first);
            number.is_none_or(|number| (*first..=last).contains(&number))
        }
    };
    let ports = rule.ports.as_deref().unwrap_or_default();
    ports.is_empty() || ports.iter().any(covers)
}

fn names_peers(rule: &NetworkPolicyIngressRule) -> bool {
    let from = rule.from.as_deref().unwrap_or_default();
    !from.is_empty() && !from.iter().any(is_anyone)
}

/// A peer that is every address, or every Pod.
fn is_anyone(peer: &NetworkPolicyPeer) -> bool {
    let everywhere = peer.ip_block.as_ref().is_some_and(|block| block.cidr.ends_with("/0"));
    let every_pod = peer.namespace_selector.as_ref().is_some_and(is_empty)
        && peer.pod_selector.as_ref().is_none_or(is_empty);
    everywhere || every_pod
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}
