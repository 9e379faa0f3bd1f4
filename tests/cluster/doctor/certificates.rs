//! caBundle and certificate, as really served.

use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::clinic::{change_entries, installed, turn};

struct Pki {
    ca: String,
    leaf: Vec<u8>,
    key: Vec<u8>,
}

/// A CA, and a certificate for 127.0.0.1 whose last day is that of `year`-01-01.
fn pki(year: i32) -> Pki {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap().der().to_vec();
    Pki { ca, leaf, key: key.serialize_der() }
}

/// Shakes hands with that certificate until the test process ends; the port.
fn serve(pki: &Pki) -> u16 {
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(pki.key.clone().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pki.leaf.clone().into()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, Ok(mut stream)) = (config.clone(), stream) else { continue };
            std::thread::spawn(move || {
                let mut server = rustls::ServerConnection::new(config).unwrap();
                while server.is_handshaking() && server.complete_io(&mut stream).is_ok() {}
            });
        }
    });
    port
}

#[test]
fn a_ca_bundle_of_another_ca() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    let other = STANDARD.encode(pki(2040).ca);
    change_entries(&turn.plane().admin(), rejob.configuration(), |entry| {
        entry["clientConfig"]["caBundle"] = json!(other);
    });
    let seen = turn.doctor();
    let port = rejob.port();
    seen.finds(
        "ca-bundle",
        &format!(
            "/replace.rejob.dev: its caBundle does not match the certificate that 127.0.0.1:{port} \
             serves: another CA issued the certificate"
        ),
    );
    assert_eq!(seen.messages("problem", "ca-bundle").len(), 5);
    assert_eq!(seen.messages("ok", "certificate").len(), 1);
}

#[test]
fn an_entry_without_a_ca_bundle() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    change_entries(&turn.plane().admin(), rejob.configuration(), |entry| {
        entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
    });
    // At a URL it may be meant: a public CA.
    let hints = turn.doctor().messages("hint", "ca-bundle");
    assert_eq!(hints.len(), 5, "{hints:?}");
    assert!(hints[0].contains("it has no caBundle"), "{hints:?}");
}

#[test]
fn a_certificate_that_has_expired_or_soon_will() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    let expired = pki(2021);
    let port = serve(&expired);
    let bundle = STANDARD.encode(&expired.ca);
    change_entries(&turn.plane().admin(), rejob.configuration(), |entry| {
        let policy = entry["name"].as_str().unwrap().trim_end_matches(".rejob.dev").to_owned();
        let url = format!("https://127.0.0.1:{port}/v1/policies/{policy}");
        entry["clientConfig"] = json!({ "url": url, "caBundle": bundle });
    });
    let seen = turn.doctor();
    seen.finds(
        "certificate",
        &format!("127.0.0.1:{port}: the certificate expired at 2021-01-01T00:00:00Z"),
    );
    // It is the right CA, all the same.
    assert_eq!(seen.messages("ok", "ca-bundle").len(), 5, "{}", seen.output.stdout);
}
