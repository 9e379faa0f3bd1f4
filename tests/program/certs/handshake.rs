//! A whole TLS handshake in memory, between a server that resolves from a slot and a client that
//! trusts a bundle.

use std::sync::Arc;

use rejob::certs::CertResolver;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, ServerConfig, ServerConnection,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server that serves from `slot` and verifies clients with `verifier`.
pub fn server(slot: &CertResolver, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let slot = Arc::new(slot.clone());
    Arc::new(builder.with_client_cert_verifier(verifier).with_cert_resolver(slot))
}

/// A client that trusts `roots` and has no certificate of its own.
pub fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    Arc::new(trusting(roots).with_no_client_auth())
}

/// A client that trusts `roots` and presents a certificate.
pub fn client_with(roots: RootCertStore, cert_pem: &str, key_pem: &str) -> Arc<ClientConfig> {
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    Arc::new(trusting(roots).with_client_auth_cert(chain.unwrap(), key).unwrap())
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots)
}

/// Shakes hands; the error is the first that either side meets.
pub fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(), String> {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    while client.is_handshaking()
        || server.is_handshaking()
        || client.wants_write()
        || server.wants_write()
    {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().map_err(|error| error.to_string())?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
