//! cert-manager: it makes rejob's certificate, puts its CA into the webhook configuration, and renews it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use support::client::{JOB, job};
use support::helm::Helm;
use support::namespace::{Namespace, has_condition};
use support::paths;
use support::replica::Replica;
use support::service::Service;
use support::site::{self, RELEASE, Site};
use support::{situation, wait};

use super::neighbor::{Neighbor, Program, apply};
use super::play::{IMAGES, WELL};
use super::table::Table;

const CERT_MANAGER: Program = Program {
    name: "cert-manager",
    version: "1.21.2",
    module: "github.com/cert-manager/cert-manager",
    package: "rejob.dev/tests/cert-manager",
};

/// The leaf that cert-manager keeps in the Secret.
fn kept(site: &Site<'_>) -> Option<Vec<u8>> {
    let path = site.path("/api/v1", "secrets", "rejob-tls");
    let secret = site.plane.admin().get(&path).body;
    let pem = STANDARD.decode(secret["data"]["tls.crt"].as_str()?).expect("base64");
    Some(CertificateDer::from_pem_slice(&pem).expect("a certificate").to_vec())
}

/// Asks for a new certificate, as `cmctl renew` does: the shortest life is an hour.
fn renew(site: &Site<'_>) {
    let path = site.path("/apis/cert-manager.io/v1", "certificates", RELEASE);
    site.plane.admin().edit(&format!("{path}/status"), |certificate| {
        let issuing = json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
            "message": "Certificate re-issuance manually triggered",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": certificate["metadata"]["generation"],
        });
        let conditions = certificate["status"]["conditions"].as_array_mut().expect("conditions");
        conditions.retain(|condition| condition["type"] != "Issuing");
        conditions.push(issuing);
    });
}

/// Waits until every replica serves that leaf, and a client that trusts the caBundle accepts it.
fn wait_until_served(site: &Site<'_>, replicas: &[Replica<'_>], leaf: &[u8]) {
    let name = format!("{RELEASE}.{}.svc", site.namespace.name());
    wait::until("the replicas serve the certificate", || {
        for replica in replicas {
            replica.remount(site);
        }
        let bundle = site.ca_bundle()?;
        let mut ports = replicas.iter().map(|replica| replica.ports.expect("it is ready").webhook);
        let served = |port| site::certificate(port, &bundle, &name).is_ok_and(|it| it == leaf);
        ports.all(served).then_some(())
    });
}

/// Applies these images one after the other, each Job finished before the next; what each came to.
fn deploys(team: &Namespace) -> String {
    let uid = || team.job(JOB).map(|job| job["metadata"]["uid"].clone());
    let outcome = |image: &&str| {
        let old = uid();
        let said = team.kubectl_with(&job(image).to_string(), &["apply", "-f", "-"]);
        team.finish_pods(JOB);
        match said.code {
            0 if uid() == old => "no run".to_owned(),
            0 => "run".to_owned(),
            _ => situation::short(&said.stderr),
        }
    };
    IMAGES.iter().map(outcome).collect::<Vec<_>>().join(", ")
}

#[test]
fn cert_manager() {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    apply(plane, "", &["-f", &CERT_MANAGER.source("deploy/crds")]);
    let user = plane.user("cert-manager", Some("system:masters"));
    let mut neighbor = Neighbor::start(plane, &user, CERT_MANAGER, &[], &[]);
    let values = paths::sources().join("charts/rejob/ci/cert-manager-values.yaml");
    let args = ["--values", &values.display().to_string()];
    let site = Site::install_with(plane, Helm::V4_3, &args);
    let first = wait::until("cert-manager has made the certificate", || {
        neighbor.assert_runs();
        kept(&site)
    });
    let replicas = site.replicas();
    wait_until_served(&site, &replicas, &first);
    let service = Service::of(&site, &replicas);
    let team = site.team("replace");
    site.wait_until_called(&team);

    let mut table = Table::new(
        "cert-manager",
        format!(
            "cert-manager {}: its controllers of Certificates, of self-signed and of CA Issuers, and its cainjector. They are\n\
             run by a program of the test, since the Go module proxy does not serve cert-manager's own (`cmd/controller` and\n\
             `cmd/cainjector` are modules of their own). Helm 4 installs the chart with `certificates.mode: certManager` and\n\
             `webhook.pathToken`. Deploys of `busybox:1` twice, then of `busybox:2` twice, by `kubectl apply`.",
            CERT_MANAGER.version
        ),
    );
    let (before, after) = (deploys(&plane.namespace("plain", &[])), deploys(&team));
    assert_eq!(after, WELL);
    table.row("after the installation", &before, &after);

    let bundle = site.ca_bundle();
    renew(&site);
    let second = wait::until("cert-manager has renewed the certificate", || {
        neighbor.assert_runs();
        kept(&site).filter(|leaf| *leaf != first)
    });
    wait_until_served(&site, &replicas, &second);
    assert_eq!(site.ca_bundle(), bundle);
    let renewed = site.team("replace");
    let (before, after) = (deploys(&plane.namespace("plain", &[])), deploys(&renewed));
    assert_eq!(after, WELL);
    table.row("after a renewal, as by `cmctl renew`", &before, &after);

    let path = site.path("/apis/cert-manager.io/v1", "certificates", RELEASE);
    assert!(has_condition(&plane.admin().get(&path).ok(), "Ready"));
    let said = site.doctor().ok().stdout;
    assert!(said.contains("rejob is well: 0 problems"), "{said}");
    drop(service);
    site.uninstall();
    let left: Value = plane.admin().get(&path).body;
    assert_eq!(left["reason"], "NotFound", "{left}");
    table.compare();
}
