//! The self-managed way on a real API server: replicas agree on one CA, certificates, CAs and
//! tokens rotate under load without a failed review, and whoever owns the webhook configuration
//! keeps owning it.

mod scripts;
mod site;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use site::{CONFIGURATIONS, Replica, Site};
use support::plane::ControlPlane;
use support::verify::verifies;
use support::wait;

/// A dry-run create, which calls every entry of the configuration.
fn review(site: &Site<'_>) -> Result<(), String> {
    let path = format!("{}?dryRun=All", site.namespace.jobs_path());
    let answer = site.plane.admin().post(&path, &support::manifest::job("load", "a"));
    if answer.status == 201 { Ok(()) } else { Err(answer.body.to_string()) }
}

/// Runs `work` while two clients create Jobs without a pause; the failures and the successes.
fn under_load(site: &Site<'_>, work: impl FnOnce()) -> (Vec<String>, usize) {
    let (done, successes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = || {
            let mut failures = Vec::new();
            while !done.load(Ordering::SeqCst) {
                match review(site) {
                    Ok(()) => {
                        successes.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(failure) => failures.push(format!("{}: {failure}", Timestamp::now())),
                }
            }
            failures
        };
        let clients = [scope.spawn(client), scope.spawn(client)];
        // Ends the clients even when the work panics, or the scope would wait for ever.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        let failures = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        (failures, successes.load(Ordering::SeqCst))
    })
}

/// Two replicas, ready and called.
fn installed(plane: &ControlPlane) -> (Site<'_>, Vec<Replica>) {
    let site = Site::new(plane);
    let mut replicas = vec![site.replica(), site.replica()];
    site.configure(&replicas);
    replicas.iter_mut().for_each(Replica::start);
    replicas.iter().for_each(Replica::wait_until_ready);
    wait::until("the API server calls both replicas", || review(&site).ok());
    (site, replicas)
}

#[test]
fn replicas_that_start_at_once_agree_on_one_ca() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    site.all_serve(&replicas).expect("one certificate, the Secret's, in both replicas");
    let entries = site.published()["webhooks"].clone();
    for (index, replica) in replicas.iter().enumerate() {
        let config = &entries[index]["clientConfig"];
        let bundle = STANDARD.decode(config["caBundle"].as_str().unwrap()).unwrap();
        let pair = replica.slot.current().unwrap();
        assert_eq!(verifies(&pair, &bundle, "127.0.0.1", Timestamp::now()), Ok(()));
        let url = config["url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("https://127.0.0.1:{}/v1/t/", replica.port)).unwrap();
        let (token, policy) = path.split_once("/policies/").unwrap();
        assert_eq!((token.len(), policy), (40, format!("policy{index}").as_str()));
        assert!(replica.reviews.0.load(Ordering::SeqCst) > 0);
    }
    let secret = plane.admin().get(&site.secret_path()).ok();
    assert_eq!(secret["type"], "kubernetes.io/tls");
}

#[test]
fn thirty_rotations_under_load_fail_no_review() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    let mut cas = std::collections::BTreeSet::new();
    let token = |site: &Site<'_>| site.published()["webhooks"][0]["clientConfig"]["url"].clone();
    let first_token = token(&site);
    let (failures, successes) = under_load(&site, || {
        for rotation in 0..30 {
            // Every third one is a CA's, which changes the certificate as well.
            let key = if rotation % 3 == 2 { "ca.key" } else { "tls.crt" };
            let before = site.secret(key);
            site.clock.0.fetch_add(1, Ordering::SeqCst);
            wait::until("the rotation", || (site.secret(key) != before).then_some(()));
            wait::until("both serve it", || site.all_serve(&replicas));
            cas.insert(site.secret("ca.key"));
        }
    });
    assert_eq!(failures, [""; 0], "{} of {}", failures.len(), failures.len() + successes);
    assert!(cas.len() >= 10, "only {} CAs", cas.len());
    assert_ne!(token(&site), first_token, "the path token never changed");
    assert!(successes > 100, "only {successes} reviews");
    eprintln!("{successes} reviews, 0 failed, {} CAs", cas.len());
}

#[test]
fn a_secret_deleted_or_spoiled_by_hand_is_made_again_under_load() {
    let plane = ControlPlane::shared();
    let (site, replicas) = installed(&plane);
    let admin = plane.admin();
    let spoil = |key: &str| {
        let change = json!({ "data": { key: STANDARD.encode("spoiled") } });
        admin.patch("merge", &site.secret_path(), &change).ok();
        wait::until("the repair", || (site.secret(key)? != "spoiled").then_some(()));
        wait::until("both serve it", || site.all_serve(&replicas));
    };
    let (failures, successes) = under_load(&site, || {
        let before = site.secret("ca.key");
        admin.delete(&site.secret_path(), &json!({}));
        wait::until("the Secret", || {
            site.secret("ca.key").filter(|key| Some(key) != before.as_ref())
        });
        wait::until("both serve it", || site.all_serve(&replicas));
        ["tls.crt", "state.json", "ca.key"].into_iter().for_each(spoil);
    });
    assert_eq!(failures, [""; 0], "{} of {}", failures.len(), failures.len() + successes);
}

#[test]
fn the_owner_of_the_configuration_keeps_owning_it() {
    let plane = ControlPlane::shared();
    let site = Site::new(&plane);
    let mut replica = site.replica();
    let path = format!("{CONFIGURATIONS}/{}", site.configuration);
    let entry = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "service": { "name": "rejob", "namespace": site.namespace.name() } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "none" } },
        })
    };
    let apply = |names: &[&str]| {
        let entries: Vec<Value> = names.iter().map(|name| entry(name)).collect();
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": site.configuration }, "webhooks": entries,
        });
        plane.admin().apply(&format!("{path}?fieldManager=helm"), &object).ok()
    };
    let (ours, foreign) = ("replace.rejob.dev", "hooks.example.com");
    apply(&[ours, "ttl.rejob.dev", foreign]);
    replica.start();
    replica.wait_until_ready();
    let config = |object: &Value, name: &str| {
        let entries = object["webhooks"].as_array().unwrap();
        entries
            .iter()
            .find(|entry| entry["name"] == name)
            .map(|entry| entry["clientConfig"].clone())
    };
    let published = site.published();
    assert!(config(&published, ours).unwrap()["caBundle"].is_string());
    let service = config(&published, ours).unwrap()["service"]["path"].clone();
    assert!(service.as_str().unwrap().ends_with("/policies/replace"));
    let foreign_config = config(&published, foreign).unwrap();
    assert!(
        foreign_config.get("caBundle").is_none() && foreign_config["service"].get("path").is_none()
    );
    let names = &replica.slot.current().unwrap().names;
    assert!(names.contains(&format!("rejob.{}.svc", site.namespace.name())), "{names:?}");

    // An upgrade of the chart keeps what the server wrote, and can take an entry away.
    let upgraded = apply(&[ours, "ttl.rejob.dev", foreign]);
    assert_eq!(config(&upgraded, ours), config(&published, ours));
    let reduced = apply(&[ours]);
    assert_eq!(reduced["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(config(&reduced, ours), config(&published, ours));
    // And it can add one.
    apply(&[ours, "hash-name.rejob.dev"]);
    wait::until("the new entry is filled in", || {
        config(&site.published(), "hash-name.rejob.dev")?.get("caBundle").cloned()
    });
}
