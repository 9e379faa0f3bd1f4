//! Collects the facts: only reads, access reviews and dry runs. What cannot be had, for want of a
//! right or otherwise, is noted as such, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::calls;
use super::facts::{Backend, Certificate, ChainSource, Facts, Installation, Known};
use super::installation::Settings;
use super::probe::Probe;
use super::rights;
use crate::job::keys;
use crate::kubernetes::webhook::{self, Target};
use crate::kubernetes::{ApiAnswer, encode, namespace_path, redact};
use crate::policy::PolicySet;
use crate::reported;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Collects everything. `namespace` is that of the installation; found when it is not given.
///
/// # Errors
/// When the API server does not answer, or does not know the caller: half a sentence.
pub async fn collect(
    probe: &impl Probe,
    server: &str,
    namespace: Option<&str>,
) -> Result<Facts, String> {
    let before = probe.now();
    let version = probe.call(Method::GET, "/version", None).await?;
    if version.code == 401 {
        return Err("it does not accept these credentials".to_owned());
    }
    let here = middle(before, probe.now());
    let (there, version) = (version.date, text(&version, "/gitVersion"));
    let mut facts = Facts {
        server: server.to_owned(),
        user: user(probe).await,
        here,
        there,
        version,
        configurations: admission(probe, "mutatingwebhookconfigurations").await,
        validating: admission(probe, "validatingwebhookconfigurations").await,
        admission_policies: admission(probe, "validatingadmissionpolicies").await,
        admission_bindings: admission(probe, "validatingadmissionpolicybindings").await,
        namespaces: list(probe, "/api/v1/namespaces").await,
        installations: Vec::new(),
        backends: BTreeMap::new(),
        certificates: BTreeMap::new(),
        calls: Vec::new(),
        dormant: dormant(probe).await,
        reported: list(probe, &reported::events::path(None)).await,
    };
    if let Ok(configurations) = &mut facts.configurations {
        configurations.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        if let Some(namespace) = namespace {
            // Another installation's entries are not asked about.
            let elsewhere = |target: Option<Target>| {
                target.and_then(|t| t.service).is_some_and(|(at, _)| at != namespace)
            };
            configurations.retain(|one| {
                !webhook::is_ours(one)
                    || !webhook::entries(one).any(|entry| elsewhere(entry.target()))
            });
        }
    }
    let targets: BTreeSet<_> = facts.entries().filter_map(|entry| entry.target()).collect();
    facts.installations = installations(probe, namespace, &targets).await;
    for installation in &mut facts.installations {
        installation.policies = policies(probe, installation).await;
    }
    for index in 0..facts.installations.len() {
        let rights = ask_for_rights(probe, &facts, index).await;
        if let Some(installation) = facts.installations.get_mut(index) {
            installation.rights = rights;
        }
    }
    for target in targets {
        if let Some((namespace, name)) = target.service.clone() {
            let backend = backend(probe, &namespace, &name).await;
            facts.backends.insert((namespace, name), backend);
        }
        let certificate = certificate(probe, &facts, &target).await;
        facts.certificates.insert(target, certificate);
    }
    facts.calls = calls::send(probe, &facts).await;
    Ok(facts)
}

fn middle(before: Timestamp, after: Timestamp) -> Timestamp {
    let half = after.duration_since(before) / 2;
    before.checked_add(half).unwrap_or(before)
}

/// A GET; an answer other than 200 is the API server's own sentence.
async fn get(probe: &impl Probe, path: &str) -> Known<Value> {
    success(probe.call(Method::GET, path, None).await?)
}

fn success(answer: ApiAnswer) -> Known<Value> {
    answer.object().map_err(|error| error.message)
}

fn text(answer: &ApiAnswer, pointer: &str) -> Known<String> {
    let value = answer.body.pointer(pointer).and_then(Value::as_str);
    value.map(str::to_owned).ok_or_else(|| answer.message())
}

fn typed<T: DeserializeOwned>(value: Value) -> Known<T> {
    serde_json::from_value(value).map_err(|error| format!("the answer is not understood: {error}"))
}

async fn list<T: DeserializeOwned>(probe: &impl Probe, path: &str) -> Known<Vec<T>> {
    let mut list = get(probe, path).await?;
    typed(list.get_mut("items").map(Value::take).unwrap_or_default())
}

async fn admission<T: DeserializeOwned>(probe: &impl Probe, resource: &str) -> Known<Vec<T>> {
    let list = get(probe, &format!("{ADMISSION}/{resource}")).await?;
    // Whatever the doctor shows of an entry, it holds no path token.
    let items = redact(&list.get("items").unwrap_or(&Value::Null).to_string());
    serde_json::from_str(&items).map_err(|error| format!("the answer is not understood: {error}"))
}

/// An object, or `None` when it does not exist.
async fn object<T: DeserializeOwned>(probe: &impl Probe, path: &str) -> Known<Option<T>> {
    let answer = probe.call(Method::GET, path, None).await?;
    answer.found().map_err(|error| error.message)?.map(typed).transpose()
}

async fn user(probe: &impl Probe) -> Known<String> {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = probe.call(Method::POST, path, Some(&review)).await?;
    text(&answer, "/status/userInfo/username")
}

async fn dormant(probe: &impl Probe) -> Known<Vec<Value>> {
    list(probe, &format!("/apis/batch/v1/jobs?labelSelector={}", encode(keys::DORMANT))).await
}

/// The installations: in the namespace given, else where the entries' Services are, else where
/// there are Deployments with the chart's labels.
async fn installations(
    probe: &impl Probe,
    namespace: Option<&str>,
    targets: &BTreeSet<Target>,
) -> Vec<Installation> {
    let services = targets.iter().filter_map(|target| Some(target.service.as_ref()?.0.clone()));
    let mut places: BTreeSet<String> = match namespace {
        Some(namespace) => BTreeSet::from([namespace.to_owned()]),
        None => services.collect(),
    };
    if places.is_empty() {
        let found = deployments(probe, "/apis/apps/v1/deployments").await.unwrap_or_default();
        places.extend(found.into_iter().filter_map(|deployment| deployment.metadata.namespace));
    }
    let mut installations = Vec::new();
    for namespace in places {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        let found: Vec<Known<Option<Deployment>>> = match deployments(probe, &path).await {
            Ok(found) if found.is_empty() => vec![Ok(None)],
            Ok(found) => found.into_iter().map(|deployment| Ok(Some(deployment))).collect(),
            Err(error) => vec![Err(error)],
        };
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
        let network_policies = list(probe, &path).await;
        installations.extend(found.into_iter().map(|deployment| Installation {
            namespace: namespace.clone(),
            deployment,
            network_policies: network_policies.clone(),
            policies: Err("it has no Deployment with the labels of the chart".to_owned()),
            rights: Vec::new(),
        }));
    }
    installations
}

/// The Deployments with the chart's labels; `app.kubernetes.io/name` may have been overridden.
async fn deployments(probe: &impl Probe, path: &str) -> Known<Vec<Deployment>> {
    let part = format!("{path}?labelSelector=app.kubernetes.io%2Fpart-of%3Drejob");
    let found: Vec<Deployment> = list(probe, &part).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    list(probe, &format!("{path}?labelSelector=app.kubernetes.io%2Fname%3Drejob")).await
}

/// The policies of the installation that there is, as far as the caller can read them.
///
/// # Errors
/// When they are not known: half a sentence.
pub async fn served_policies(probe: &impl Probe) -> Known<PolicySet> {
    match installations(probe, None, &BTreeSet::new()).await.first() {
        Some(installation) => policies(probe, installation).await,
        None => Err("no Deployment with the labels of the chart can be seen".to_owned()),
    }
}

async fn policies(probe: &impl Probe, installation: &Installation) -> Known<PolicySet> {
    let Some(settings) = installation.settings() else { return installation.policies.clone() };
    let Some(name) = settings.policies else { return Ok(PolicySet::builtin()) };
    let path = format!("{}/configmaps/{name}", namespace_path(&installation.namespace));
    let found: Option<ConfigMap> = object(probe, &path).await?;
    let file = "policies.yaml";
    let data = found.and_then(|map| map.data).and_then(|mut data| data.remove(file));
    let data = data.ok_or_else(|| format!("the ConfigMap {name} with {file} does not exist"))?;
    crate::policy_file::parse(&data, file).map_err(|error| error.to_string())
}

async fn ask_for_rights(
    probe: &impl Probe,
    facts: &Facts,
    index: usize,
) -> Vec<(rights::NeededRight, Known<bool>)> {
    let Some(installation) = facts.installations.get(index) else { return Vec::new() };
    let Some(settings) = installation.settings() else { return Vec::new() };
    let (checks, replaces) = if let Ok(policies) = &installation.policies {
        (policies.checks(), policies.replaces())
    } else {
        let checks = facts.entries().any(|entry| !entry.is_reinvoked());
        (checks, facts.entries().any(|entry| entry.is_own()))
    };
    let mut asked = Vec::new();
    for right in rights::needed(&installation.namespace, &settings, checks, replaces) {
        let review = right.review(&installation.namespace, &settings.service_account);
        asked.push((right, allowed(probe, &review).await));
    }
    asked
}

async fn allowed(probe: &impl Probe, review: &Value) -> Known<bool> {
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = success(probe.call(Method::POST, path, Some(review)).await?)?;
    let status = |pointer| answer.pointer(pointer).and_then(Value::as_bool) == Some(true);
    Ok(status("/status/allowed") && !status("/status/denied"))
}

async fn backend(probe: &impl Probe, namespace: &str, name: &str) -> Backend {
    let service = object(probe, &format!("/api/v1/namespaces/{namespace}/services/{name}")).await;
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
         ?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
    );
    let slices: Known<Vec<EndpointSlice>> = list(probe, &path).await;
    Backend { service, ready: slices.map(|slices| ready(&slices)) }
}

/// How many endpoints are ready. A condition that is not set counts as true, as Kubernetes says.
fn ready(slices: &[EndpointSlice]) -> usize {
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    endpoints.filter(|one| one.conditions.as_ref().and_then(|c| c.ready) != Some(false)).count()
}

async fn certificate(probe: &impl Probe, facts: &Facts, target: &Target) -> Certificate {
    let instead = match probe.served(target).await {
        Ok(chain) => return Certificate { chain: Ok(chain), source: ChainSource::Handshake },
        Err(error) => error,
    };
    let installation = facts.installation_of(target);
    let settings = installation.and_then(Installation::settings);
    let secret = settings.and_then(|Settings { secret, .. }| secret);
    let (Some(installation), Some(name)) = (installation, secret) else {
        return Certificate { chain: Err(instead), source: ChainSource::Handshake };
    };
    let chain = chain_of(probe, &installation.namespace, &name).await;
    Certificate { chain, source: ChainSource::Secret { name, instead } }
}

async fn chain_of(probe: &impl Probe, namespace: &str, name: &str) -> Known<Vec<Vec<u8>>> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let secret: Option<Secret> = object(probe, &path).await?;
    let secret = secret.ok_or_else(|| format!("the Secret {namespace}/{name} does not exist"))?;
    let data = secret.data.unwrap_or_default();
    let pem = data.get("tls.crt").ok_or_else(|| format!("the Secret {name} has no tls.crt"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.0).collect();
    let chain =
        chain.map_err(|error| format!("tls.crt of the Secret {name} is not PEM: {error}"))?;
    Ok(chain.into_iter().map(|der| der.to_vec()).collect())
}
