//! A user of the cluster: raw requests to the API server, and kubectl, as that user.
//!
//! Requests are sent as they are, once: no retry, no typed round trip, and the answer is whatever
//! came back. Tests are plain synchronous code; one runtime in the background does the waiting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::binaries::Binaries;
use super::output::Output;
use super::pki::{Pair, Pki};
use super::plane::{self, ControlPlane};
use super::wait;

/// A user of a control plane.
#[derive(Clone)]
pub struct User {
    name: String,
    kubeconfig: PathBuf,
    home: PathBuf,
    client: kube::Client,
}

/// The answer to a raw request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body; a JSON string when it is not JSON.
    pub body: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
}

/// The status where no answer came.
const LOST: u16 = 599;

impl Answer {
    /// Whether no answer came: an API server that runs out of time may close the connection.
    pub fn is_lost(&self) -> bool {
        self.status == LOST
    }

    /// The body, when the status is 2xx; else a panic that shows the answer.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }

    /// The message of a Status.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// The runtime that does the waiting.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("start a runtime")
    })
}

impl User {
    pub(super) fn by_certificate(plane: &ControlPlane, name: &str, group: Option<&str>) -> Self {
        let pair = plane.pki().client(name, group);
        let config = kubeconfig(&plane.url(), plane.pki(), &certificate(&pair));
        Self::with(plane.dir(), name, &config)
    }

    pub(super) fn by_token(plane: &ControlPlane, namespace: &str, name: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let review =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let token = plane.admin().post(&path, &review).ok()["status"]["token"].clone();
        let config = kubeconfig(&plane.url(), plane.pki(), &json!({ "token": token }));
        Self::with(plane.dir(), &format!("system:serviceaccount:{namespace}:{name}"), &config)
    }

    /// Someone without credentials, at a server of this control plane's CA.
    pub(super) fn outsider(plane: &ControlPlane, url: &str) -> Self {
        Self::with(plane.dir(), "outsider", &kubeconfig(url, plane.pki(), &json!({})))
    }

    /// The admin of a control plane that is still starting.
    pub(super) fn admin_of(dir: &Path, pki: &Pki, port: u16) -> Self {
        let pair = pki.client("admin", Some("system:masters"));
        let url = format!("https://127.0.0.1:{port}");
        Self::with(dir, "admin", &kubeconfig(&url, pki, &certificate(&pair)))
    }

    pub(super) fn write_kubeconfig(path: &Path, port: u16, pki: &Pki, pair: &Pair) {
        let config = kubeconfig(&format!("https://127.0.0.1:{port}"), pki, &certificate(pair));
        fs::write(path, config.to_string()).expect("write a kubeconfig");
    }

    fn with(dir: &Path, name: &str, config: &Value) -> Self {
        let home = dir.join("home");
        fs::create_dir_all(&home).expect("create a home folder");
        let file = dir.join(format!("{}-{}.kubeconfig", name.replace(':', "-"), plane::unique()));
        // JSON is YAML.
        fs::write(&file, config.to_string()).expect("write a kubeconfig");
        let client = runtime().block_on(async {
            let config = Kubeconfig::from_yaml(&config.to_string()).expect("read a kubeconfig");
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(config, &options).await;
            let mut config = config.expect("use a kubeconfig");
            config.default_retry = false;
            kube::Client::try_from(config).expect("make a client")
        });
        Self { name: name.to_owned(), kubeconfig: file, home, client }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The client behind it.
    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Sends one request; `None` when no answer came.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Option<Answer> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, "application/json")
            .body(Body::from(body.into_bytes()))
            .expect("a request");
        runtime().block_on(async {
            let response = self.client.send(request).await.ok()?;
            let status = response.status().as_u16();
            let header =
                |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = response.headers();
            let warnings =
                headers.get_all(http::header::WARNING).iter().map(|value| warning(&header(value)));
            let warnings = warnings.collect();
            let retry_after = headers.get(http::header::RETRY_AFTER).map(header);
            let bytes = response.into_body().collect_bytes().await.ok()?;
            let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
            Some(Answer { status, body, warnings, retry_after })
        })
    }

    fn request(&self, method: &str, path: &str, content_type: &str, body: String) -> Answer {
        self.send(method, path, content_type, body).unwrap_or_else(|| Answer {
            status: LOST,
            body: json!({ "message": format!("no answer to {method} {path}") }),
            warnings: Vec::new(),
            retry_after: None,
        })
    }

    /// `GET`; `None` when no answer came.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.send("GET", path, "application/json", String::new())
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "application/json", String::new())
    }

    /// `POST`.
    pub fn post(&self, path: &str, object: &Value) -> Answer {
        self.request("POST", path, "application/json", object.to_string())
    }

    /// `PUT`.
    pub fn put(&self, path: &str, object: &Value) -> Answer {
        self.request("PUT", path, "application/json", object.to_string())
    }

    /// Reads, changes and writes until no other writer came in between.
    pub fn edit(&self, path: &str, mut change: impl FnMut(&mut Value)) {
        wait::until("nobody else writes in between", || {
            let mut object = self.get(path).ok();
            change(&mut object);
            let answer = self.put(path, &object);
            (answer.status != 409).then(|| answer.ok())
        });
    }

    /// `DELETE`, with `DeleteOptions` (`{}` for none).
    pub fn delete(&self, path: &str, options: &Value) -> Answer {
        self.request("DELETE", path, "application/json", options.to_string())
    }

    /// `PATCH` of the kind `merge`, `strategic-merge` or `json`.
    pub fn patch(&self, kind: &str, path: &str, change: &Value) -> Answer {
        self.request("PATCH", path, &format!("application/{kind}-patch+json"), change.to_string())
    }

    /// Server-side apply; the path's query needs `fieldManager`, and `force=true` to force.
    pub fn apply(&self, path: &str, object: &Value) -> Answer {
        self.request("PATCH", path, "application/apply-patch+yaml", object.to_string())
    }

    /// Runs kubectl with that text on its stdin.
    pub fn kubectl(&self, args: &[&str], stdin: &str) -> Output {
        Output::of(self.command(&Binaries::get().kubectl).args(args), stdin)
    }

    /// A command that finds this user's kubeconfig, and no settings of whoever runs the tests.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.home).env("KUBECONFIG", &self.kubeconfig);
        command.current_dir(&self.home);
        command
    }
}

fn certificate(pair: &Pair) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&pair.certificate),
        "client-key-data": STANDARD.encode(&pair.key),
    })
}

fn kubeconfig(url: &str, pki: &Pki, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "tests" } }],
        "clusters": [{ "name": "tests", "cluster": {
            "server": url, "certificate-authority-data": STANDARD.encode(pki.ca()),
        }}],
        "users": [{ "name": "tests", "user": user }],
    })
}

/// The text of a `Warning` header: `299 - "text"`.
fn warning(header: &str) -> String {
    let text = header.strip_prefix("299 - ").unwrap_or(header).trim_matches('"');
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}
