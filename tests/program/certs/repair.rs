//! What people do to the Secret and to the webhook configuration, and what time does: everything is
//! repaired, and nobody is refused meanwhile.

use std::time::Duration;

use super::fake::{Cluster, Raw, Replica, published};
use super::replicas::{
    NAME, block_on, entries, installed, lives, run, settle, verify_lagging, verify_now,
};
use jiff::SignedDuration;
use rejob::certs::manager::StepError;

#[test]
fn a_ca_issues_only_after_it_was_published_for_a_while() {
    let (cluster, mut replicas) = installed();
    let mut staged_for = 0;
    while published(&cluster.entries()).anchors()[0].len() < 2 || staged_for < 100 {
        run(&cluster, &mut replicas, 5);
        let anchors = published(&cluster.entries()).anchors()[0].len();
        staged_for += if anchors == 2 { 5 } else { 0 };
        // Whoever starts now serves what every API server accepts.
        let mut fresh = Replica::new(&cluster, 9, SignedDuration::ZERO, &lives());
        settle(&mut fresh);
        verify_lagging(&cluster, &fresh);
    }
    assert!(cluster.text("state.json").contains("retired\":[{"), "the CA was never replaced");
}

#[test]
fn a_deleted_secret_is_made_again_and_nobody_is_refused_meanwhile() {
    let (cluster, mut replicas) = installed();
    run(&cluster, &mut replicas, 30);
    let before = (cluster.text("tls.crt"), cluster.text("ca.key"), cluster.text("state.json"));
    cluster.set_secret(None);
    run(&cluster, &mut replicas, 10);
    assert_ne!(cluster.text("ca.key"), before.1);
    run(&cluster, &mut replicas, 150);
    for replica in &replicas {
        let served = replica.slot.current().unwrap();
        let made = rejob::certs::load_pair(
            cluster.text("tls.crt").as_bytes(),
            cluster.text("tls.key").as_bytes(),
            cluster.now(),
        );
        assert_eq!(served.key.cert, made.unwrap().key.cert);
        let old: serde_json::Value = serde_json::from_str(&before.2).unwrap();
        let token = old["tokens"]["next"].as_str().unwrap();
        assert!(!replica.tokens.accepts(token), "the tokens of a deleted Secret end");
    }
}

#[test]
fn whatever_is_done_to_the_secret_is_repaired_while_serving_goes_on() {
    let keys =
        ["tls.crt", "tls.key", "ca.crt", "ca.key", "state.json", "next-ca.crt", "next-ca.key"];
    let other = rejob::certs::self_signed(&["other"]).unwrap().ca_pem;
    let values = [None, Some(""), Some("garbage"), Some("{}"), Some(other.as_str())];
    for key in keys {
        for value in values {
            let (cluster, mut replicas) = installed();
            cluster.edit_secret(key, value);
            run(&cluster, &mut replicas, 100);
            // A replica that starts now needs a Secret in order.
            let mut fresh = Replica::new(&cluster, 9, SignedDuration::ZERO, &lives());
            settle(&mut fresh);
            assert_eq!(fresh.ready(), Ok(()), "{key} = {value:?}");
            verify_now(&cluster, &fresh);
            let served = fresh.slot.current().unwrap();
            for replica in &replicas {
                assert_eq!(replica.slot.current().unwrap().key.cert, served.key.cert);
            }
        }
    }
}

#[test]
fn swapped_parts_of_the_secret_are_repaired() {
    let (cluster, mut replicas) = installed();
    let (cert, key) = (cluster.text("tls.crt"), cluster.text("tls.key"));
    cluster.edit_secret("tls.crt", Some(&key));
    cluster.edit_secret("tls.key", Some(&cert));
    run(&cluster, &mut replicas, 10);
    cluster.edit_secret("ca.key", Some(&key));
    run(&cluster, &mut replicas, 100);
    verify_now(&cluster, &replicas[0]);
    cluster.edit_secret("tls.crt", Some(&cert)); // a leaf of the CA before
    run(&cluster, &mut replicas, 10);
    assert_ne!(cluster.text("tls.crt"), cert);
}

#[test]
fn what_somebody_takes_out_of_the_configuration_is_put_back() {
    let (cluster, mut replicas) = installed();
    let good = cluster.entries();
    let edits: [fn(&mut Vec<Raw>); 4] = [
        |entries| entries.iter_mut().for_each(|entry| entry.ca_bundle.clear()),
        |entries| entries[0].ca_bundle = b"garbage".to_vec(),
        |entries| entries[1] = Raw::service("ttl.rejob.dev"),
        |entries| {
            let host = NAME.to_owned();
            let path = Some("/v1/t/guessed/policies/replace".to_owned());
            entries[0].target = super::fake::Target::Service { host, path };
        },
    ];
    for edit in edits {
        cluster.edit(edit);
        settle(&mut replicas[0]);
        let now = cluster.entries();
        for (now, good) in now.iter().zip(&good) {
            assert_eq!((&now.ca_bundle, &now.target), (&good.ca_bundle, &good.target));
        }
        replicas.iter().for_each(|replica| verify_now(&cluster, replica));
    }
    // A policy that a chart upgrade adds.
    cluster.edit(|entries| entries.push(Raw::service("hash-name.rejob.dev")));
    settle(&mut replicas[1]);
    let entries = cluster.entries();
    assert_eq!(entries[3].ca_bundle, good[0].ca_bundle);
    assert!(matches!(&entries[3].target, super::fake::Target::Service { path: Some(path), .. }
        if path.ends_with("/policies/hash-name")));
}

#[test]
fn is_not_ready_before_the_configuration_carries_the_ca() {
    let cluster = Cluster::default();
    cluster.configure(None);
    let mut replica = Replica::new(&cluster, 1, SignedDuration::ZERO, &lives());
    assert!(replica.ready().unwrap_err().contains("first look"));
    settle(&mut replica);
    assert!(replica.slot.current().is_none());
    assert!(replica.ready().unwrap_err().contains("<policy>.rejob.dev"));
    cluster.configure(Some(vec![Raw::service("other.example.com")]));
    settle(&mut replica);
    assert!(replica.ready().is_err());
    cluster.configure(Some(entries()));
    settle(&mut replica);
    assert_eq!(replica.ready(), Ok(()));
    // An API server that goes away later takes neither the certificate nor readiness.
    let gone = StepError::Store(rejob::certs::store::StoreError::Conflict);
    cluster.0.lock().unwrap().failing = Some(rejob::certs::store::StoreError::Conflict);
    assert_eq!(block_on(replica.manager.step()), Err(gone));
    assert_eq!(replica.ready(), Ok(()));
    // Time does.
    cluster.advance(Duration::from_secs(400));
    assert!(replica.ready().unwrap_err().contains("expired"));
}

#[test]
fn after_a_long_sleep_everything_is_made_anew() {
    let (cluster, mut replicas) = installed();
    cluster.advance(Duration::from_secs(100_000));
    for replica in &mut replicas {
        settle(replica);
        assert_eq!(replica.ready(), Ok(()));
        verify_now(&cluster, replica);
    }
    assert_eq!(published(&cluster.entries()).anchors()[0].len(), 1);
}

#[test]
fn a_clock_far_behind_touches_nothing() {
    let (cluster, _) = installed();
    let before = cluster.secret_data();
    let mut lost = Replica::new(&cluster, 9, SignedDuration::from_hours(-24 * 365), &lives());
    settle(&mut lost);
    assert_eq!(cluster.secret_data(), before);
}

#[test]
fn a_url_keeps_its_own_path_and_names_the_certificate() {
    let url = "https://hooks.example.com:8443/rejob/";
    let cluster = Cluster::with_entries(vec![
        Raw::url("replace.rejob.dev", url),
        Raw::url("ttl.rejob.dev", "https://[::1]:8443/v1/policies/ttl"),
    ]);
    let mut replica = Replica::new(&cluster, 1, SignedDuration::ZERO, &lives());
    settle(&mut replica);
    let names = &replica.slot.current().unwrap().names;
    assert!(names.contains(&"hooks.example.com".to_owned()) && names.contains(&"::1".to_owned()));
    for _ in 0..2 {
        let token = published(&cluster.entries()).token().unwrap().to_owned();
        let urls = cluster.entries().into_iter().map(|entry| entry.target).collect::<Vec<_>>();
        let expected = [
            format!("https://hooks.example.com:8443/rejob/v1/t/{token}/policies/replace"),
            format!("https://[::1]:8443/v1/t/{token}/policies/ttl"),
        ];
        assert_eq!(urls, expected.map(super::fake::Target::Url));
        // Another token takes the old one's place.
        let before = token.clone();
        for _ in 0..60 {
            cluster.advance(Duration::from_secs(5));
            settle(&mut replica);
        }
        assert_ne!(published(&cluster.entries()).token(), Some(before.as_str()));
    }
}
