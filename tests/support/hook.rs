//! Another mutating webhook of the cluster, served by the test process: it pins images to digests.
//!
//! What image-policy webhooks do: `busybox:1` becomes `busybox@sha256:…`. The digest is made from
//! the image's name and tag, so that the same image always has the same one.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::manifest;
use super::plane::{self, ControlPlane};
use super::rejob::Rejob;
use super::user::{User, runtime};
use super::wait;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// The webhook and its configuration; dropping it ends both.
pub struct Hook {
    admin: User,
    configuration: String,
    server: JoinHandle<()>,
}

impl Hook {
    /// Serves the namespaces of that rejob. Webhooks are called in the order of the names of their
    /// configurations; `name` is the beginning of this one's. Returns when the API server calls it.
    pub fn start(plane: &ControlPlane, rejob: &Rejob<'_>, name: &str, operations: &[&str]) -> Self {
        let configuration = format!("{name}-{}", plane::unique());
        let (port, server) = serve(plane);
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": configuration },
            "webhooks": [{
                "name": "digests.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/"),
                    "caBundle": STANDARD.encode(plane.pki().ca()),
                },
                "rules": [{
                    "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                    "operations": operations, "scope": "Namespaced",
                }],
                "namespaceSelector": { "matchLabels": rejob.instance_label() },
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }],
        });
        let admin = plane.admin();
        admin.post(CONFIGURATIONS, &object).ok();
        let hook = Self { admin, configuration, server };
        wait_until_images_are_pinned(rejob);
        hook
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let path = format!("{CONFIGURATIONS}/{}", self.configuration);
        let _ = self.admin.send("DELETE", &path, "application/json", "{}".to_owned());
        self.server.abort();
    }
}

/// Waits until a dry run shows that a created Job's image is pinned, whoever does it.
pub fn wait_until_images_are_pinned(rejob: &Rejob<'_>) {
    let namespace = rejob.namespace("replace");
    let path = format!("{}?dryRun=All", namespace.jobs_path());
    wait::until("images are pinned", || {
        let answer = namespace.user().post(&path, &manifest::job("probe", "probe:1"));
        (answer.status == 201 && manifest::image(&answer.body) == pinned("probe:1")).then_some(())
    });
}

/// The image with a digest in the place of its tag; as it is when it has a digest.
pub fn pinned(image: &str) -> String {
    if image.contains('@') {
        return image.to_owned();
    }
    let name = image.split(':').next().expect("an image has a name");
    let mut pinned = format!("{name}@sha256:");
    for byte in Sha256::digest(image.as_bytes()) {
        write!(pinned, "{byte:02x}").expect("a String takes text");
    }
    pinned
}

/// Listens on a loopback port until the task is aborted.
fn serve(plane: &ControlPlane) -> (u16, JoinHandle<()>) {
    let pair = plane.pki().server();
    let runtime = runtime();
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    let tls = rustls::ServerConfig::builder().with_no_client_auth();
    let tls = TlsAcceptor::from(Arc::new(tls.with_single_cert(chain, key).expect("a certificate")));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("bind a loopback port");
    let port = listener.local_addr().expect("the port of a listener").port();
    let server = runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                // The API server sees what goes wrong here, and the test sees what it says.
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = hyper::service::service_fn(answer);
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (port, server)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("a review");
    let pods = &review["request"]["object"]["spec"]["template"]["spec"];
    let operations: Vec<_> = pods["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, container)| {
            let image = container["image"].as_str().filter(|image| !image.is_empty())?;
            let path = format!("/spec/template/spec/containers/{index}/image");
            let operation = json!({ "op": "replace", "path": path, "value": pinned(image) });
            (pinned(image) != image).then_some(operation)
        })
        .collect();
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": true });
    if !operations.is_empty() {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(Value::from(operations).to_string()));
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    let answer = Response::builder().header("Content-Type", "application/json");
    Ok(answer.body(Full::new(Bytes::from(review.to_string()))).expect("an answer"))
}
