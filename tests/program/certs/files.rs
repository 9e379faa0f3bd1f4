//! Certificate files: what is accepted, what is refused and in which words, and that a change is
//! served however it is made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handshake::{client, client_with, handshake, server};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rejob::certs::{
    CertResolver, ClientCaVerifier, SystemClock, load_pair, self_signed, watch_client_ca,
    watch_files,
};
use rustls::server::NoClientAuth;
use support::verify::{roots, verifies};

/// Certificate, key and issuer of one test, PEM.
struct Files {
    ca: String,
    cert: String,
    key: String,
}

/// A CA and a leaf for `name`, valid from 2020 to 2100.
fn files(name: &str) -> Files {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, format!("CA of {name}"));
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
    let issuer = Issuer::from_params(&ca, &ca_key);
    let cert = leaf.signed_by(&key, &issuer).unwrap().pem();
    Files { ca: ca_pem, cert, key: key.serialize_pem() }
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("run openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_in_memory_certificate_is_accepted_by_who_trusts_its_ca() {
    let issued = self_signed(&["localhost", "127.0.0.1"]).unwrap();
    let now = Timestamp::now();
    for name in ["localhost", "127.0.0.1"] {
        assert_eq!(verifies(&issued.pair, issued.ca_pem.as_bytes(), name, now), Ok(()));
    }
    assert!(verifies(&issued.pair, issued.ca_pem.as_bytes(), "other", now).is_err());
    let year = issued.not_after.duration_since(now);
    assert!(year > SignedDuration::from_hours(364 * 24), "{year}");
}

#[test]
fn every_usual_form_of_key_and_chain_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = |key_args: &[&str], name: &str| {
        let (key, cert) = (path(&format!("{name}.key")), path(&format!("{name}.crt")));
        openssl(&[key_args, &["-out", &key]].concat());
        let request = ["req", "-x509", "-new", "-key", &key, "-subj", "/CN=x", "-days", "2"];
        openssl(
            &[&request[..], &["-addext", "subjectAltName=DNS:x,IP:10.0.0.1", "-out", &cert]]
                .concat(),
        );
        (fs::read_to_string(cert).unwrap(), fs::read_to_string(key).unwrap())
    };
    let now = Timestamp::now();
    let (cert, pkcs8) =
        made(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa");
    let pkcs1 = openssl(&["rsa", "-in", &path("rsa.key"), "-traditional"]);
    assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY"));
    for key in [&pkcs8, &pkcs1] {
        let pair = load_pair(cert.as_bytes(), key.as_bytes(), now).unwrap();
        assert_eq!(pair.names, ["x", "10.0.0.1"]);
    }
    // SEC1, with the parameter block that ecparam writes before it.
    let (ec_cert, ec_key) = made(&["ecparam", "-name", "prime256v1", "-genkey"], "ec");
    assert!(ec_key.contains("BEGIN EC PARAMETERS") && ec_key.contains("BEGIN EC PRIVATE KEY"));
    let pair = load_pair(ec_cert.as_bytes(), ec_key.as_bytes(), now).unwrap();
    let days = pair.validity.not_after.duration_since(now).as_hours();
    assert!((47..=48).contains(&days), "{days}");
    let (twisted_cert, twisted_key) = made(&["genpkey", "-algorithm", "ED25519"], "ed");
    load_pair(twisted_cert.as_bytes(), twisted_key.as_bytes(), now).unwrap();

    let own = files("chain.example");
    let chain = format!("subject=leaf\r\n{}\n# the CA\n{}", own.cert.replace('\n', "\r\n"), own.ca);
    let pair = load_pair(chain.as_bytes(), own.key.as_bytes(), now).unwrap();
    assert_eq!(pair.key.cert.len(), 2);
    let both = format!("{}{}", own.key, own.cert);
    load_pair(both.as_bytes(), both.as_bytes(), now).unwrap();
}

#[test]
fn what_is_wrong_is_said_in_words_that_help() {
    let (own, other) = (files("own.example"), files("other.example"));
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("key").display().to_string();
    fs::write(&plain, &own.key).unwrap();
    let encrypted = openssl(&["pkcs8", "-topk8", "-in", &plain, "-passout", "pass:secret"]);
    let old_encrypted = openssl(&["ec", "-in", &plain, "-aes128", "-passout", "pass:secret"]);
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let wrong_base64 = own.cert.replacen("MI", "!!", 1);
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let two_keys = format!("{}{}", own.key, other.key);
    let ca_first = format!("{}{}", own.ca, own.cert);
    let csr = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let cases: &[(&str, &str, &str)] = &[
        ("", &own.key, "certificate file is empty"),
        (" \n", &own.key, "certificate file is empty"),
        (&own.cert, "", "key file is empty"),
        ("\u{30}\u{82}\u{1}", &own.key, "not PEM"),
        (&own.cert, "secret", "key file is not PEM"),
        (&own.key, &own.cert, "swapped"),
        (csr, &own.key, "signed first"),
        (&own.cert, public, "no private key but PUBLIC KEY"),
        (&own.cert, &own.cert, "no private key but CERTIFICATE"),
        (&own.cert, &two_keys, "2 private keys"),
        (&own.cert, &encrypted, "encrypted"),
        (&own.cert, &old_encrypted, "encrypted"),
        (&own.cert, &other.key, "does not match the certificate for own.example"),
        (&ca_first, &own.key, "matches certificate 2 of the file"),
        (&wrong_base64, &own.key, "damaged or half written"),
        (&not_der, &own.key, "not a valid X.509 certificate"),
        ("-----BEGIN CERTIFIC", &own.key, "half written"),
    ];
    let now = Timestamp::now();
    for (cert, key, expected) in cases {
        let error = load_pair(cert.as_bytes(), key.as_bytes(), now).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains('\n'), "one sentence: {error}");
    }
    for (cert, key) in [(half(&own.cert), own.key.clone()), (own.cert.clone(), half(&own.key))] {
        let error = load_pair(cert.as_bytes(), key.as_bytes(), now).unwrap_err().to_string();
        assert!(error.contains("half written"), "{error}");
    }
    let at = |year: i16| jiff::civil::date(year, 7, 1).in_tz("UTC").unwrap().timestamp();
    let load = |now| load_pair(own.cert.as_bytes(), own.key.as_bytes(), now);
    assert!(load(at(2019)).unwrap_err().to_string().contains("not valid before 2020-01-01"));
    assert!(load(at(2101)).unwrap_err().to_string().contains("expired at 2100-01-01"));
    load(at(2050)).unwrap();
}

/// Waits until `done`.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const INTERVAL: Duration = Duration::from_millis(10);

/// Writes a Secret volume's content as the kubelet does: a new folder, then `..data` is replaced
/// by one rename, then the old folder goes.
fn kubelet_writes(volume: &Path, generation: usize, files: &[(&str, &str)]) {
    let folder = format!("..generation-{generation}");
    fs::create_dir(volume.join(&folder)).unwrap();
    for (name, content) in files {
        fs::write(volume.join(&folder).join(name), content).unwrap();
        let link = volume.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    let old = fs::read_link(volume.join("..data")).ok();
    symlink(&folder, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_symlink_swaps_in_a_row_are_all_served() {
    let volume = tempfile::tempdir().unwrap();
    let path = volume.path().to_owned();
    let slot = CertResolver::empty();
    let first = files("0.example");
    kubelet_writes(&path, 0, &[("tls.crt", &first.cert), ("tls.key", &first.key)]);
    let (cert, key, watched) = (path.join("tls.crt"), path.join("tls.key"), slot.clone());
    let task = tokio::spawn(async move {
        watch_files(&cert, &key, watched, INTERVAL, SystemClock).await;
    });
    let server = server(&slot, Arc::new(NoClientAuth));
    until("the first pair", || slot.current().is_some()).await;
    for generation in 1..=50 {
        let name = format!("{generation}.example");
        let next = files(&name);
        kubelet_writes(&path, generation, &[("tls.crt", &next.cert), ("tls.key", &next.key)]);
        let client = client(roots(next.ca.as_bytes()));
        until("the new pair", || handshake(&server, &client, &name).is_ok()).await;
    }
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pair_leaves_the_old_one_in_use_until_it_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("a.pem"), folder.path().join("b.pem"));
    let (good, next) = (files("good.example"), files("next.example"));
    fs::write(&cert, &good.cert).unwrap();
    fs::write(&key, &good.key).unwrap();
    let slot = CertResolver::empty();
    let (watched, paths) = (slot.clone(), (cert.clone(), key.clone()));
    let task = tokio::spawn(async move {
        watch_files(&paths.0, &paths.1, watched, INTERVAL, SystemClock).await;
    });
    let serves = |name: &str| slot.current().is_some_and(|pair| pair.names == [name]);
    until("the first pair", || serves("good.example")).await;
    let mut changes = slot.subscribe();
    changes.mark_unchanged();
    let half = &next.cert[..next.cert.len() / 2];
    for bad in [half, &next.cert, "garbage", ""] {
        fs::write(&cert, bad).unwrap();
        tokio::time::sleep(INTERVAL * 4).await; // whatever the watcher makes of it meanwhile
        assert!(serves("good.example"));
    }
    fs::remove_file(&cert).unwrap();
    tokio::time::sleep(INTERVAL * 4).await;
    assert!(!changes.has_changed().unwrap(), "the slot was touched");
    fs::write(&cert, &next.cert).unwrap();
    fs::write(&key, &next.key).unwrap();
    until("the repaired pair", || serves("next.example")).await;
    assert_eq!(*changes.borrow_and_update(), slot.validity());
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_of_the_current_ca_bundle_are_served() {
    let issued = self_signed(&["rejob.test"]).unwrap();
    let slot = CertResolver::new(issued.pair);
    let trust = || roots(issued.ca_pem.as_bytes());
    let (old, new) = (files("old.client"), files("new.client"));
    let cas =
        ClientCaVerifier::new(old.ca.as_bytes(), names(&["old.client", "new.client"])).unwrap();
    let server = server(&slot, Arc::new(cas.clone()));
    let shake = |client| handshake(&server, &client, "rejob.test");
    let with = |files: &Files| client_with(trust(), &files.cert, &files.key);
    assert!(shake(client(trust())).unwrap_err().contains("no certificates"));
    assert_eq!(shake(with(&old)), Ok(()));
    assert!(shake(with(&new)).is_err());

    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    fs::write(&bundle, "garbage").unwrap();
    let (watched, path) = (cas.clone(), bundle.clone());
    let task = tokio::spawn(async move { watch_client_ca(&path, watched, INTERVAL).await });
    tokio::time::sleep(INTERVAL * 4).await;
    assert_eq!(shake(with(&old)), Ok(()), "a bad bundle must not displace a good one");
    fs::write(&bundle, format!("{}{}", old.ca, new.ca)).unwrap();
    until("both CAs", || shake(with(&new)).is_ok()).await;
    assert_eq!(shake(with(&old)), Ok(()));
    fs::write(&bundle, &new.ca).unwrap();
    until("the new CA only", || shake(with(&old)).is_err()).await;
    assert_eq!(shake(with(&new)), Ok(()));
    task.abort();
    for unusable in ["", new.key.as_str()] {
        assert!(ClientCaVerifier::new(unusable.as_bytes(), names(&["new.client"])).is_err());
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_clients_with_one_of_the_names_are_served() {
    use rcgen::{DnType, SanType, string::Ia5String};

    let ia5 = |text: &str| Ia5String::try_from(text).unwrap();
    let issued = self_signed(&["rejob.test"]).unwrap();
    let slot = CertResolver::new(issued.pair);
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let shows = |common: &str, alternative: Vec<SanType>, allowed: &[&str]| {
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, common);
        leaf.distinguished_name.push(DnType::OrganizationName, "kube-apiserver");
        leaf.subject_alt_names = alternative;
        let key = KeyPair::generate().unwrap();
        let cert = leaf.signed_by(&key, &issuer).unwrap().pem();
        let verifier = ClientCaVerifier::new(ca_pem.as_bytes(), names(allowed)).unwrap();
        let server = server(&slot, Arc::new(verifier));
        let trust = roots(issued.ca_pem.as_bytes());
        handshake(&server, &client_with(trust, &cert, &key.serialize_pem()), "rejob.test")
    };
    let dns = |name| vec![SanType::DnsName(ia5(name))];
    assert_eq!(shows("kube-apiserver", vec![], &["front", "kube-apiserver"]), Ok(()));
    assert_eq!(shows("x", dns("api.example.com"), &["API.example.com"]), Ok(()));
    let uri = "spiffe://cluster/kube-apiserver";
    assert_eq!(shows("x", vec![SanType::URI(ia5(uri))], &[uri]), Ok(()));
    let address = vec![SanType::IpAddress("10.0.0.1".parse().unwrap())];
    assert_eq!(shows("x", address, &["10.0.0.1"]), Ok(()));
    for (common, alternative) in [
        ("system:node:a", vec![]),
        ("kube-apiserver2", dns("a.api.example.com")),
        ("", vec![]),
        // A name that means many is none of them, and the organization is no name.
        ("x", dns("*.example.com")),
    ] {
        let refused = shows(common, alternative, &["kube-apiserver", "api.example.com"]);
        assert!(refused.unwrap_err().contains("NotValidForName"), "{common}");
    }
}

#[test]
fn handshakes_succeed_while_certificates_are_swapped() {
    let slot = CertResolver::empty();
    let server = server(&slot, Arc::new(NoClientAuth));
    let generations: Vec<_> = (0..8).map(|_| self_signed(&["rejob.test"]).unwrap()).collect();
    let bundle: String = generations.iter().map(|issued| issued.ca_pem.as_str()).collect();
    let client = client(roots(bundle.as_bytes()));
    assert!(handshake(&server, &client, "rejob.test").is_err(), "an empty slot serves nothing");
    slot.set(generations[0].pair.clone());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(handshake(&server, &client, "rejob.test"), Ok(()));
                }
            });
        }
        for issued in generations.iter().cycle().take(4000) {
            slot.set(issued.pair.clone());
        }
    });
}
