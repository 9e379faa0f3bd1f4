//! Another mutating webhook of the cluster, served by the test process: it rewrites the Pod, or takes
//! its time.
//!
//! Image-policy webhooks pin images to digests: `busybox:1` becomes `busybox@sha256:…`. The digest is
//! made from the image's name and tag, so that the same image always has the same one.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::manifest;
use super::namespace::Namespace;
use super::plane::{self, ControlPlane};
use super::rejob::Rejob;
use super::tls;
use super::user::{User, runtime};
use super::wait;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Changes a Job; changing it again changes nothing.
pub type Rewrite = fn(&mut Value);

/// How the webhook is called, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The beginning of the configuration's name: webhooks are called in the order of these names.
    pub name: &'a str,
    pub operations: &'a [&'a str],
    pub rewrite: Rewrite,
    /// How long it takes over a request, a dry run as well; it may wait for something itself.
    pub takes: fn(&Value) -> Duration,
    pub failure_policy: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            name: "90-hook",
            operations: &["CREATE", "UPDATE"],
            rewrite: |_| {},
            takes: |_| Duration::ZERO,
            failure_policy: "Fail",
        }
    }
}

/// The webhook and its configuration; dropping it ends both.
pub struct Hook {
    admin: User,
    configuration: String,
    server: JoinHandle<()>,
}

impl Hook {
    /// Pins images in the namespaces of that rejob. Returns when the API server calls it.
    pub fn start(plane: &ControlPlane, rejob: &Rejob<'_>, name: &str, operations: &[&str]) -> Self {
        let options = Options { name, operations, rewrite: pin_images, ..Options::default() };
        Self::with(plane, rejob, &options)
    }

    /// Serves the namespaces of that rejob. Returns when the API server calls it for a creation.
    pub fn with(plane: &ControlPlane, rejob: &Rejob<'_>, options: &Options<'_>) -> Self {
        Self::in_namespaces(plane, &rejob.instance_label(), &rejob.unlabeled_namespace(), options)
    }

    /// Serves that namespace. Returns when the API server calls it for a creation.
    pub fn in_namespace(plane: &ControlPlane, served: &Namespace, options: &Options<'_>) -> Self {
        let labels = json!({ "kubernetes.io/metadata.name": served.name() });
        Self::in_namespaces(plane, &labels, served, options)
    }

    /// Serves the namespaces with these labels, of which `served` is one. Returns when the API server
    /// calls it for a creation.
    pub fn in_namespaces(
        plane: &ControlPlane,
        labels: &Value,
        served: &Namespace,
        options: &Options<'_>,
    ) -> Self {
        let configuration = format!("{}-{}", options.name, plane::unique());
        let calls = Arc::new(AtomicUsize::new(0));
        let behavior =
            Behavior { rewrite: options.rewrite, takes: options.takes, calls: calls.clone() };
        let (port, server) = serve(plane, behavior);
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": configuration },
            "webhooks": [{
                "name": "hook.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/"),
                    "caBundle": STANDARD.encode(plane.pki().ca()),
                },
                "rules": [{
                    "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                    "operations": options.operations, "scope": "Namespaced",
                }],
                "namespaceSelector": { "matchLabels": labels },
                "sideEffects": "None",
                "failurePolicy": options.failure_policy,
            }],
        });
        let admin = plane.admin();
        admin.post(CONFIGURATIONS, &object).ok();
        let hook = Self { admin, configuration, server };
        let path = format!("{}?dryRun=All", served.jobs_path());
        wait::until("the API server calls the hook", || {
            hook.admin.post(&path, &manifest::job("probe", "probe:1")).ok();
            (calls.load(Ordering::Relaxed) > 0).then_some(())
        });
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

/// Pins the images of a Job's containers.
pub fn pin_images(job: &mut Value) {
    let pod = &mut job["spec"]["template"]["spec"];
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        // An apply that owns no image sends an empty one to be refused.
        if let Some(image) = container["image"].as_str().filter(|image| !image.is_empty()) {
            container["image"] = pinned(image).into();
        }
    }
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

/// What the server does with a review.
#[derive(Clone)]
struct Behavior {
    rewrite: Rewrite,
    takes: fn(&Value) -> Duration,
    calls: Arc<AtomicUsize>,
}

/// Listens on a loopback port until the task is aborted.
fn serve(plane: &ControlPlane, behavior: Behavior) -> (u16, JoinHandle<()>) {
    let runtime = runtime();
    let tls = tls::acceptor(plane.pki());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("bind a loopback port");
    let port = listener.local_addr().expect("the port of a listener").port();
    let server = runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, behavior) = (tls.clone(), behavior.clone());
            tokio::spawn(async move {
                // The API server sees what goes wrong here, and the test sees what it says.
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = hyper::service::service_fn(|request| answer(request, &behavior));
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (port, server)
}

async fn answer(
    request: Request<Incoming>,
    behavior: &Behavior,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("a review");
    behavior.calls.fetch_add(1, Ordering::Relaxed);
    let request = &review["request"];
    let object = &request["object"];
    let (takes, asked) = (behavior.takes, request.clone());
    let time = tokio::task::spawn_blocking(move || takes(&asked)).await.expect("a time");
    tokio::time::sleep(time).await;
    let mut rewritten = object.clone();
    (behavior.rewrite)(&mut rewritten);
    let mut response = json!({ "uid": request["uid"], "allowed": true });
    if rewritten != *object {
        let patch = json_patch::diff(object, &rewritten);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(json!(patch).to_string()));
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    let answer = Response::builder().header("Content-Type", "application/json");
    Ok(answer.body(Full::new(Bytes::from(review.to_string()))).expect("an answer"))
}
