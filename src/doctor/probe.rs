//! How the facts are got: requests to the API server and TLS handshakes, behind a trait so that the
//! collecting can be tested without either.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Config};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::webhook::Target;

/// How long a handshake may take. From outside a cluster its addresses often lead nowhere.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the API server may take to accept a connection, and to answer. A webhook may take 30 s.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(40);

/// An answer of the API server.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The body; `null` when it is not JSON.
    pub body: Value,
    /// The `Date` header.
    pub date: Option<Timestamp>,
    /// The `Warning` headers.
    pub warnings: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Answer {
    /// Whether the API server did what it was asked for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What the API server says about a failure.
    #[must_use]
    pub fn words(&self) -> String {
        let message = self.body.get("message").and_then(Value::as_str).unwrap_or_default();
        if message.is_empty() {
            format!("the API server answered with code {}", self.code)
        } else {
            message.to_owned()
        }
    }
}

/// What the collecting asks of the world.
pub trait Probe: Sync {
    /// Sends one request to the API server, a PATCH as a merge patch; an error is half a sentence on
    /// why no answer came.
    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> impl Future<Output = Result<Answer, String>>;

    /// The certificate chain that is served there, DER, leaf first; an error is half a sentence.
    fn served(&self, target: &Target) -> impl Future<Output = Result<Vec<Vec<u8>>, String>>;

    /// The clock of this machine.
    fn now(&self) -> Timestamp;
}

/// The real world.
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// A connection by that configuration. Nothing is retried: a failing call is a finding.
    ///
    /// # Errors
    /// When the configuration makes no client.
    pub fn new(mut config: Config) -> Result<Self, kube::Error> {
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config)? })
    }
}

impl Probe for Cluster {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, "application/json")
            .body(Body::from(bytes))
            .map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let response = self.client.send(request).await.map_err(|error| with_causes(&error))?;
        let code = response.status().as_u16();
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|date| http_date(date.to_str().ok()?));
        let warnings = response.headers().get_all(http::header::WARNING).iter();
        let warnings = warnings.filter_map(|text| Some(text.to_str().ok()?.to_owned())).collect();
        let bytes = response.into_body().collect_bytes().await;
        let bytes = bytes.map_err(|error| with_causes(&error))?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer { code, body, date, warnings, took: begun.elapsed() })
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

/// The time of an HTTP `Date` header: `Tue, 24 Nov 2026 14:54:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// An error with what caused it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_header_is_read_as_servers_write_it() {
        let date = http_date("Tue, 24 Nov 2026 14:54:07 GMT");
        assert_eq!(date, Some("2026-11-24T14:54:07Z".parse().unwrap()));
        assert_eq!(http_date("yesterday"), None);
    }
}
