//! How the facts are got: requests to the API server and TLS handshakes, behind a trait so that the
//! collecting can be tested without either.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::kubernetes::webhook::Target;
use crate::kubernetes::{ApiAnswer, ApiClient, ApiRequest};

/// How long a handshake may take. From outside a cluster its addresses often lead nowhere.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What the collecting asks of the world.
pub trait Probe: Sync {
    /// Sends one request to the API server; an error is half a sentence on why no answer came.
    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> impl Future<Output = Result<ApiAnswer, String>>;

    /// The certificate chain that is served there, DER, leaf first; an error is half a sentence.
    fn served(&self, target: &Target) -> impl Future<Output = Result<Vec<Vec<u8>>, String>>;

    /// The clock of this machine.
    fn now(&self) -> Timestamp;
}

/// The real world.
pub struct RealWorld(ApiClient);

impl RealWorld {
    /// The world that this client is connected to.
    pub fn new(client: ApiClient) -> Self {
        Self(client)
    }
}

impl Probe for RealWorld {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiAnswer, String> {
        self.0.send(ApiRequest::new(method, path, body)).await
    }

    async fn served(&self, target: &Target) -> Result<Vec<Vec<u8>>, String> {
        let host = target.host.as_str();
        let at = format!("{host}:{}", target.port);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is neither a DNS name nor an address"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let witness =
            Arc::new(Witness { provider: Arc::clone(&provider), chain: Mutex::default() });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let handshake = async {
            let stream = TcpStream::connect((host, target.port)).await?;
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
        };
        let result = timeout(HANDSHAKE, handshake).await;
        let chain =
            std::mem::take(&mut *witness.chain.lock().unwrap_or_else(PoisonError::into_inner));
        if !chain.is_empty() {
            // A server that then asks for a client certificate has shown its own all the same.
            return Ok(chain);
        }
        match result {
            Ok(Ok(_)) => Err(format!("{at} showed no certificate")),
            Ok(Err(error)) => Err(format!("{at} cannot be reached from here ({error})")),
            Err(_) => {
                Err(format!("{at} does not answer from here within {} s", HANDSHAKE.as_secs()))
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Notes the chain and lets every handshake pass: what it is worth is judged afterwards, and nothing
/// is sent over the connection.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
