//! An installation of the chart on a control plane of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::helm::Helm;
use super::manifest::job;
use super::namespace::Namespace;
use super::output::Output;
use super::plane::{self, ControlPlane, Options};
use super::replica::Replica;
use super::service;
use super::{net, wait};

/// The release, and with it the Deployment, the Service and the ServiceAccount.
pub const RELEASE: &str = "rejob";

/// The webhook configuration's path.
pub const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/00-rejob";

/// `--set`s: the chart as it is, only that it looks for dormant Jobs more often.
pub const OFTEN: [&str; 2] =
    ["server.extraArgs[0]=--reaper-interval=1s", "server.extraArgs[1]=--reaper-grace=2s"];

/// A control plane with an audit log, whose Services have loopback addresses: so the API server
/// reaches a Service reference here.
pub struct Cluster {
    pub plane: ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn: one of these control planes at a time is what a small machine carries.
pub fn cluster() -> Cluster {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let range = format!("--service-cluster-ip-range={}", net::address_range());
    let options = Options { audit: true, apiserver_flags: vec![range], ..Options::default() };
    Cluster { plane: ControlPlane::start(&options), _turn: turn }
}

/// The chart, installed.
pub struct Site<'p> {
    pub plane: &'p ControlPlane,
    /// The release's namespace, seen by the admin.
    pub namespace: Namespace,
    pub helm: Helm,
}

impl<'p> Site<'p> {
    /// `helm install`, with these `--set`s.
    pub fn install(plane: &'p ControlPlane, helm: Helm, sets: &[&str]) -> Self {
        Self::install_with(plane, helm, &flags(sets))
    }

    /// `helm install`, with these arguments.
    pub fn install_with(plane: &'p ControlPlane, helm: Helm, args: &[&str]) -> Self {
        let site = Self { plane, namespace: plane.namespace("rejob-system", &[]), helm };
        site.run("install", args).ok();
        site
    }

    /// `helm install` or `helm upgrade` of the chart, with these `--set`s.
    pub fn helm(&self, command: &str, sets: &[&str]) -> Output {
        self.run(command, &flags(sets))
    }

    fn run(&self, command: &str, args: &[&str]) -> Output {
        let chart = chart(self.plane).display().to_string();
        self.namespace.helm(self.helm, &[&[command, RELEASE, &chart], args].concat())
    }

    /// `helm uninstall`.
    pub fn uninstall(&self) {
        self.namespace.helm(self.helm, &["uninstall", RELEASE]).ok();
    }

    /// An object of the release's namespace: `/apis/apps/v1`, `deployments`, `rejob`.
    pub fn object(&self, api: &str, resource: &str, name: &str) -> Value {
        self.namespace.user().get(&self.path(api, resource, name)).ok()
    }

    /// The path of that object.
    pub fn path(&self, api: &str, resource: &str, name: &str) -> String {
        format!("{api}/namespaces/{}/{resource}/{name}", self.namespace.name())
    }

    /// The Deployment.
    pub fn deployment(&self) -> Value {
        self.object("/apis/apps/v1", "deployments", RELEASE)
    }

    /// The user that the server is.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:{RELEASE}", self.namespace.name())
    }

    /// The entries of the webhook configuration.
    pub fn entries(&self) -> Vec<Value> {
        let configuration = self.plane.admin().get(CONFIGURATION).ok();
        configuration["webhooks"].as_array().expect("entries").clone()
    }

    /// The `clientConfig`s, in order.
    pub fn client_configs(&self) -> Vec<Value> {
        self.entries().iter().map(|entry| entry["clientConfig"].clone()).collect()
    }

    /// The caBundle that all entries have, in PEM; `None` when one has none or another.
    pub fn ca_bundle(&self) -> Option<String> {
        let configs = self.client_configs();
        let first = configs.first()?["caBundle"].as_str()?;
        let same = configs.iter().all(|config| config["caBundle"] == first);
        let pem = STANDARD.decode(first).expect("base64");
        same.then(|| String::from_utf8(pem).expect("PEM"))
    }

    /// As many processes as the Deployment has replicas, started at the same moment, ready.
    pub fn replicas(&self) -> Vec<Replica<'p>> {
        let count = self.deployment()["spec"]["replicas"].as_u64().expect("replicas");
        let mut replicas: Vec<_> = (0..count).map(|_| Replica::start(self)).collect();
        replicas.iter_mut().for_each(Replica::wait_until_ready);
        self.report(&replicas);
        replicas
    }

    /// What the controllers write about the Pods: the Deployment's status and the EndpointSlice.
    fn report(&self, replicas: &[Replica<'_>]) {
        let (admin, count) = (self.plane.admin(), replicas.len());
        let status = json!({ "status": {
            "replicas": count, "readyReplicas": count, "availableReplicas": count,
        }});
        let path = self.path("/apis/apps/v1", "deployments", "rejob/status");
        admin.patch("merge", &path, &status).ok();
        let endpoint = |index: usize| json!({ "addresses": [format!("10.1.1.{}", index + 1)], "conditions": { "ready": true } });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "name": RELEASE, "labels": { "kubernetes.io/service-name": RELEASE } },
            "addressType": "IPv4",
            "endpoints": (0..count).map(endpoint).collect::<Vec<_>>(),
        });
        let path = self.path("/apis/discovery.k8s.io/v1", "endpointslices", RELEASE);
        admin.apply(&format!("{path}?fieldManager=test&force=true"), &slice).ok();
    }

    /// A namespace that opts in to that policy, seen by somebody with the rights that kubectl and
    /// Helm need in it.
    pub fn team(&self, policy: &str) -> Namespace {
        let verbs = &["get", "list", "watch", "create", "update", "patch", "delete"];
        self.plane
            .namespace("team", &[("rejob.dev/policy", policy)])
            .seen_with_rights(self.plane, &[("batch", "jobs", verbs), ("", "secrets", verbs)])
    }

    /// Waits until the API server calls rejob for Jobs of that namespace: a dry run shows it.
    pub fn wait_until_called(&self, team: &Namespace) {
        let path = format!("{}?dryRun=All", team.jobs_path());
        let mut last = Value::Null;
        let called = wait::poll(wait::DEADLINE, || {
            last = self.plane.admin().post(&path, &job("probe", "a")).body;
            last["metadata"]["annotations"]["rejob.dev/template-hash"].is_string().then_some(())
        });
        assert!(called.is_some(), "the API server does not call rejob, or in vain: {last}");
    }

    /// `rejob doctor`, asked by the admin.
    pub fn doctor(&self) -> Output {
        let mut command = Command::new(super::paths::rejob());
        let kubeconfig = self.plane.admin().kubeconfig().to_owned();
        command.env_clear().args(["doctor", "--kubeconfig"]).arg(kubeconfig);
        Output::of(&mut command, "")
    }
}

fn flags<'a>(sets: &[&'a str]) -> Vec<&'a str> {
    sets.iter().flat_map(|set| ["--set", set]).collect()
}

/// The certificate that is served on a loopback port, when a client that trusts `bundle` accepts it
/// for `name`.
pub fn certificate(port: u16, bundle: &str, name: &str) -> Result<Vec<u8>, String> {
    let (tls, _) = connect(port, bundle, name)?;
    Ok(tls.peer_certificates().expect("a certificate")[0].to_vec())
}

/// The status of a GET of that path, by such a client.
pub fn status(port: u16, bundle: &str, name: &str, path: &str) -> Result<u16, String> {
    let (mut tls, mut tcp) = connect(port, bundle, name)?;
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| answer.to_string())
}

fn connect(
    port: u16,
    bundle: &str,
    name: &str,
) -> Result<(rustls::ClientConnection, TcpStream), String> {
    let mut roots = rustls::RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(ca.expect("PEM")).expect("a CA");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = name.to_owned().try_into().expect("a DNS name");
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect to a replica");
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).map_err(|error| error.to_string())?;
    }
    Ok((tls, tcp))
}

/// The chart; where port 443 is not ours to bind, a copy in which the Service has another one.
fn chart(plane: &ControlPlane) -> PathBuf {
    let chart = super::paths::sources().join("charts/rejob");
    if service::may_bind(443) {
        return chart;
    }
    let copy = plane.dir().join("rejob");
    copy_folder(&chart, &copy);
    for template in ["service.yaml", "webhook.yaml"] {
        let path = copy.join("templates").join(template);
        let text = fs::read_to_string(&path).expect("a template");
        assert!(text.contains("port: 443\n"), "{template}");
        fs::write(&path, text.replace("port: 443\n", "port: 4443\n")).expect("write a template");
    }
    copy
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("create a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy a file");
        }
    }
}

/// A chart of a team's own: one Job whose image is a value.
pub fn team_chart(plane: &ControlPlane) -> String {
    let chart = plane.dir().join(format!("chart-{}", plane::unique()));
    fs::create_dir_all(chart.join("templates")).expect("create a chart");
    let about = "apiVersion: v2\nname: nightly\nversion: 1.0.0\n";
    let mut manifest = job("nightly", "IMAGE").to_string();
    manifest = manifest.replace("IMAGE", "{{ .Values.image }}");
    for (file, text) in [
        ("Chart.yaml", about),
        ("values.yaml", "image: app:1\n"),
        ("templates/job.yaml", &manifest),
    ] {
        fs::write(chart.join(file), text).expect("write a chart");
    }
    chart.display().to_string()
}
