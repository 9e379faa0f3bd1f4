//! What the probes found out: data only, so that each finding is a function of it and of nothing
//! else.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::installation::Settings;
use super::rights::NeededRight;
use crate::kubernetes::webhook::{self, Entry, Target};
use crate::policy::{Policy, PolicySet};

/// Something that was asked for, or a sentence without its end on why it is not known: the API
/// server's own words, which name the right that the user lacks.
pub type Known<T> = Result<T, String>;

/// Everything that is known about a cluster and the rejob in it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The API server's address.
    pub server: String,
    /// Who asks.
    pub user: Known<String>,
    /// The clock of this machine, in the middle of a request.
    pub here: Timestamp,
    /// The clock of the API server during that request, in whole seconds.
    pub there: Option<Timestamp>,
    /// `gitVersion` of the API server: `v1.37.2`.
    pub version: Known<String>,
    /// All mutating webhook configurations, sorted by name: the order of the calls.
    pub configurations: Known<Vec<MutatingWebhookConfiguration>>,
    /// All validating webhook configurations.
    pub validating: Known<Vec<ValidatingWebhookConfiguration>>,
    /// All ValidatingAdmissionPolicies.
    pub admission_policies: Known<Vec<ValidatingAdmissionPolicy>>,
    /// Their bindings.
    pub admission_bindings: Known<Vec<ValidatingAdmissionPolicyBinding>>,
    /// All namespaces.
    pub namespaces: Known<Vec<Namespace>>,
    /// The installations: one a Deployment, or one of a namespace that has none.
    pub installations: Vec<Installation>,
    /// The Services that rejob's entries point to, by namespace and name.
    pub backends: BTreeMap<(String, String), Backend>,
    /// What is served at the targets of rejob's entries.
    pub certificates: BTreeMap<Target, Certificate>,
    /// Dry-run Jobs sent through the API server, one set for each of rejob's entries.
    pub calls: Vec<Calls>,
    /// The Jobs that carry the dormant label.
    pub dormant: Known<Vec<Value>>,
    /// The Events that tell what `onChange: Report` has seen.
    pub reported: Known<Vec<Value>>,
}

/// A namespace that rejob runs in.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The namespace.
    pub namespace: String,
    /// Its Deployment; `None` when there is none with the chart's labels.
    pub deployment: Known<Option<Deployment>>,
    /// The policies it serves.
    pub policies: Known<PolicySet>,
    /// The NetworkPolicies of the namespace.
    pub network_policies: Known<Vec<NetworkPolicy>>,
    /// Each right that its service account needs, and whether it has it.
    pub rights: Vec<(NeededRight, Known<bool>)>,
}

impl Installation {
    /// How it runs; `None` without a Deployment.
    pub fn settings(&self) -> Option<Settings> {
        self.deployment.as_ref().ok()?.as_ref().map(Settings::of)
    }
}

/// A Service behind an entry.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The Service; `None` when it does not exist.
    pub service: Known<Option<Service>>,
    /// How many endpoints are ready.
    pub ready: Known<usize>,
}

/// What is served at a target.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, DER, leaf first.
    pub chain: Known<Vec<Vec<u8>>>,
    /// Where the chain comes from.
    pub source: ChainSource,
}

/// Where a chain comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainSource {
    /// A TLS handshake from here.
    Handshake,
    /// `tls.crt` of a Secret, because no handshake was possible from here.
    Secret {
        /// Its name.
        name: String,
        /// Why there was no handshake.
        instead: String,
    },
}

/// The dry-run Jobs for one entry.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The configuration's name.
    pub configuration: String,
    /// The entry's name.
    pub entry: String,
    /// What came of it.
    pub outcome: CallOutcome,
}

/// What came of a few dry-run Jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// The API server took them.
    Answered {
        /// The namespace they were sent to.
        namespace: String,
        /// How long each took that rejob had marked.
        took: Vec<Duration>,
        /// How many came back without rejob's mark.
        unmarked: usize,
    },
    /// rejob runs as the user who asks, and so left the Job alone.
    SameUser,
    /// The API server could not call rejob.
    Failed {
        /// The namespace they were sent to.
        namespace: String,
        /// The API server's words.
        message: String,
    },
    /// No namespace that this entry serves.
    NoNamespace,
    /// Something else refused the Job, or no answer came: half a sentence.
    NotTried(String),
}

impl Facts {
    /// The time by the API server's clock, which certificates and Jobs are judged by; by this
    /// machine's when the API server did not say.
    pub fn now(&self) -> Timestamp {
        self.there.unwrap_or(self.here)
    }

    /// rejob's configurations.
    pub fn ours(&self) -> impl Iterator<Item = &MutatingWebhookConfiguration> {
        let all = self.configurations.as_deref().unwrap_or_default();
        all.iter().filter(|configuration| webhook::is_ours(configuration))
    }

    /// rejob's entries, in the order of the calls.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.ours().flat_map(webhook::entries)
    }

    /// rejob's entries that belong to a policy.
    pub fn entries_of_policies(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(|entry| !entry.is_own())
    }

    /// The namespaces; none when they could not be listed.
    pub fn namespaces(&self) -> &[Namespace] {
        self.namespaces.as_deref().unwrap_or_default()
    }

    /// Whether some namespace that opts in is selected by all of these; where the namespaces are not
    /// known, one may be.
    pub fn serves_some(&self, selectors: &[Option<&LabelSelector>]) -> bool {
        let mut served = self.namespaces().iter().filter(|one| webhook::opted_in(one).is_some());
        let selected = |namespace| selectors.iter().all(|one| webhook::selects(*one, namespace));
        self.namespaces.is_err() || served.any(selected)
    }

    /// The installation that an entry's target belongs to.
    pub fn installation_of(&self, target: &Target) -> Option<&Installation> {
        let Some((namespace, name)) = &target.service else { return self.installations.first() };
        let there = || self.installations.iter().filter(|one| one.namespace == *namespace);
        let named = |one: &&Installation| one.settings().is_some_and(|s| s.deployment == *name);
        there().find(named).or_else(|| there().next())
    }

    /// Whether the rejob behind a target keeps its certificate, and its entries, itself.
    pub fn writes_itself(&self, target: &Target) -> bool {
        let settings = self.installation_of(target).and_then(Installation::settings);
        settings.is_some_and(|settings| settings.self_managed)
    }

    /// The command after which the rejob behind a target writes its paths anew; `None` where it
    /// writes none.
    pub fn rewrite_paths(&self, target: &Target) -> Option<String> {
        let installation = self.installation_of(target)?;
        let settings = installation.settings()?;
        (settings.self_managed || settings.token_secret.is_some()).then(|| {
            let (namespace, deployment) = (&installation.namespace, &settings.deployment);
            format!("kubectl --namespace {namespace} rollout restart deployment/{deployment}")
        })
    }

    /// The beginning of the command that changes the release behind a target; its values follow.
    pub fn helm_upgrade(&self, target: Option<&Target>) -> String {
        helm_upgrade(target.and_then(|target| self.installation_of(target)))
    }

    /// The policy of an entry; `None` where it is not known, or not one of the server's.
    pub fn policy(&self, entry: &Entry<'_>) -> Option<&Policy> {
        let installation = self.installation_of(&entry.target()?)?;
        installation.policies.as_ref().ok()?.get(entry.policy)
    }

    /// Whether a policy replaces, as far as that is known; a policy that nobody knows may.
    pub fn replaces(&self, entry: &Entry<'_>) -> bool {
        self.policy(entry).map_or(!entry.is_reinvoked(), Policy::replaces)
    }
}

/// The beginning of the command that changes an installation's release; its values follow.
pub fn helm_upgrade(installation: Option<&Installation>) -> String {
    let deployment = installation.and_then(|one| one.deployment.as_ref().ok()?.as_ref());
    let labels = deployment.and_then(|deployment| deployment.metadata.labels.as_ref());
    let release = labels.and_then(|labels| labels.get("app.kubernetes.io/instance"));
    let release = release.map_or("rejob", String::as_str);
    let namespace = installation.map_or("rejob", |one| one.namespace.as_str());
    format!("helm upgrade {release} charts/rejob --namespace {namespace} --reset-then-reuse-values")
}
