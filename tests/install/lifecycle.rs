//! From `helm install` to `helm uninstall`, with Helm 3 and 4.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{audit, clients};
use support::helm::Helm;
use support::manifest::{annotation, job};
use support::namespace::Namespace;
use support::replica::Replica;
use support::service::Service;
use support::site::{self, OFTEN, RELEASE, Site};
use support::wait;

#[test]
fn an_installation_by_helm_3_lives_with_exactly_its_rights() {
    lives(Helm::V3_22);
}

#[test]
fn an_installation_by_helm_4_lives_with_exactly_its_rights() {
    lives(Helm::V4_3);
}

fn lives(helm: Helm) {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, helm, &OFTEN);
    let team = site.team("replace");
    before_the_pods_nothing_is_blocked(&team);

    let replicas = site.replicas();
    replicas_agree(&site, &replicas);
    let service = Service::of(&site, &replicas);
    site.wait_until_called(&team);
    clients::all_replace(site.plane, &team, helm);
    dormant_jobs_are_reaped(&site);
    let said = site.doctor().ok().stdout;
    assert!(said.contains("rejob is well: 0 problems"), "{said}");

    a_spoiled_secret_is_repaired(&site, &replicas);
    audit::calls_and_rights_agree(&site);
    an_upgrade_keeps_what_the_server_wrote(&site, &team);
    drop(service);
    uninstall_leaves_plain_kubernetes(&site, &team, replicas);
    a_second_installation_takes_up_the_ca(&site);
}

/// Nobody answers, and no caBundle or path is there yet: `failurePolicy: Ignore`.
fn before_the_pods_nothing_is_blocked(team: &Namespace) {
    let early = team.create_job(&job("early", "app:1")).ok();
    assert!(annotation(&early, "rejob.dev/template-hash").is_none());
    let label = json!({ "metadata": { "labels": { "team": "a" } } });
    team.user().patch("merge", &team.job_path("early"), &label).ok();
    team.started_pods("early");
}

/// Both serve the same certificate, which the API server trusts, under the same secret paths.
fn replicas_agree(site: &Site<'_>, replicas: &[Replica<'_>]) {
    assert_eq!(replicas.len(), 2);
    let bundle = site.ca_bundle().expect("one caBundle in all entries");
    let name = format!("{RELEASE}.{}.svc", site.namespace.name());
    let served: BTreeSet<_> = replicas
        .iter()
        .map(|replica| site::certificate(replica.ports.unwrap().webhook, &bundle, &name).unwrap())
        .collect();
    assert_eq!(served.len(), 1, "the replicas serve different certificates");
    let secret = site.object("/api/v1", "secrets", "rejob-tls");
    let kept = STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap();
    assert!(bundle.contains(String::from_utf8(kept).unwrap().trim()), "{bundle}");
    let tokens: BTreeSet<_> = site.entries().iter().map(token).collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

/// The token in `/v1/t/<token>/policies/<policy>`.
fn token(entry: &serde_json::Value) -> String {
    let policy = entry["name"].as_str().unwrap().trim_end_matches(".rejob.dev");
    let path = entry["clientConfig"]["service"]["path"].as_str().unwrap();
    let token = path.strip_prefix("/v1/t/").unwrap();
    let token = token.strip_suffix(&format!("/policies/{policy}")).unwrap();
    assert_eq!(token.len(), 40, "{path}");
    token.to_owned()
}

fn dormant_jobs_are_reaped(site: &Site<'_>) {
    let team = clients::left_dormant(site.plane);
    wait::until("the dormant Job is reaped", || team.job("cut-off").is_none().then_some(()));
}

/// As a renewal, it is written to the Secret that is there.
fn a_spoiled_secret_is_repaired(site: &Site<'_>, replicas: &[Replica<'_>]) {
    spoil_secret(site);
    wait::until("the Secret is repaired", || (secret_is_good(site)).then_some(()));
    let name = format!("{RELEASE}.{}.svc", site.namespace.name());
    wait::until("both replicas serve what the API server trusts", || {
        let bundle = site.ca_bundle()?;
        let mut ports = replicas.iter().map(|replica| replica.ports.unwrap().webhook);
        ports.all(|port| site::certificate(port, &bundle, &name).is_ok()).then_some(())
    });
}

/// Puts nonsense in the place of the certificate.
pub fn spoil_secret(site: &Site<'_>) {
    let path = site.path("/api/v1", "secrets", "rejob-tls");
    let change = json!({ "data": { "tls.crt": STANDARD.encode("spoiled") } });
    site.plane.admin().patch("merge", &path, &change).ok();
}

/// Whether the Secret holds a certificate.
pub fn secret_is_good(site: &Site<'_>) -> bool {
    let secret = site.object("/api/v1", "secrets", "rejob-tls");
    let held = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap_or_default()).unwrap();
    held.starts_with(b"-----BEGIN CERTIFICATE-----")
}

fn an_upgrade_keeps_what_the_server_wrote(site: &Site<'_>, team: &Namespace) {
    let written = site.client_configs();
    site.helm("upgrade", &[&OFTEN[..], &["webhook.timeoutSeconds=9"]].concat()).ok();
    assert!(site.entries().iter().all(|entry| entry["timeoutSeconds"] == 9));
    assert_eq!(site.client_configs(), written);
    let old = clients::uid(team, "applied");
    let manifest = job("applied", "app:3").to_string();
    let apply = ["apply", "--server-side=false", "--filename=-"];
    team.kubectl_with(&manifest, &apply).ok().warns("job applied replaced");
    assert_ne!(clients::uid(team, "applied"), old);
}

fn uninstall_leaves_plain_kubernetes(
    site: &Site<'_>,
    team: &Namespace,
    replicas: Vec<Replica<'_>>,
) {
    site.uninstall();
    wait_until_plain(team);
    // The kubelet stops the Pods after their rights are gone.
    for replica in replicas {
        assert_eq!(replica.terminate(), Some(0));
    }
    team.kubectl_with(&job("late", "app:1").to_string(), &["apply", "--filename=-"]).ok();
    team.kubectl_with(&job("late", "app:2").to_string(), &["apply", "--filename=-"])
        .exited(1)
        .warns("field is immutable");
    team.kubectl(&["delete", "job", "late", "applied", "nightly"]).ok();

    let all = ["secrets", "configmaps", "serviceaccounts", "services", "deployments.apps"];
    let place = ["get", &all.join(","), "--output=name", "--ignore-not-found"];
    let left = site.namespace.kubectl(&place).ok().stdout;
    assert_eq!(left.trim(), "secret/rejob-tls");
    let cluster = "mutatingwebhookconfigurations,clusterroles,clusterrolebindings,flowschemas";
    let labeled = ["get", cluster, "--output=name", "--selector=app.kubernetes.io/part-of=rejob"];
    assert_eq!(site.namespace.kubectl(&labeled).ok().stdout, "");
}

/// Waits until the API server calls nobody about the Jobs of that namespace any more.
pub fn wait_until_plain(team: &Namespace) {
    let path = format!("{}?dryRun=All", team.jobs_path());
    wait::until("Jobs are created without rejob", || {
        let answer = team.user().post(&path, &job("probe", "a"));
        let hash = annotation(&answer.body, "rejob.dev/template-hash");
        (answer.status == 201 && hash.is_none()).then_some(())
    });
}

/// The Secret that the first one left is used again.
fn a_second_installation_takes_up_the_ca(site: &Site<'_>) {
    let secret = || site.object("/api/v1", "secrets", "rejob-tls")["data"]["ca.crt"].clone();
    let before = secret();
    site.helm("install", &OFTEN).ok();
    let replicas = site.replicas();
    assert_eq!(secret(), before);
    assert!(site.ca_bundle().is_some());
    drop(replicas);
    site.uninstall();
}
