//! A real control plane: etcd, kube-apiserver and kube-controller-manager on loopback.
//!
//! [`ControlPlane::shared`] is one per test process, or one per run under cargo-nextest, which runs
//! each test in a process of its own; [`ControlPlane::start`] is one of the test's own, for tests
//! that need other flags. Both end with who holds them, whatever happens (see [`super::guard`]).
//! There is no kubelet: Pods do what a test patches into their status.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::binaries::Binaries;
use super::guard::{self, Guard, Lease, Owner};
use super::namespace::Namespace;
use super::pki::Pki;
use super::user::User;
use super::{etcd, gobuild, net, paths, wait};

/// The controllers that matter to Jobs; none of them needs a node.
const CONTROLLERS: &str = "job-controller,ttl-after-finished-controller,\
     garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller,\
     cronjob-controller";

/// What a control plane may have beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--watch-cache=false`: every read goes to etcd.
    pub no_watch_cache: bool,
    /// `--feature-gates` of the API server and the controller manager: `Gate=true`.
    pub feature_gates: Vec<&'static str>,
    /// `--runtime-config` of the API server: `admissionregistration.k8s.io/v1beta1=true`.
    pub runtime_config: Vec<&'static str>,
    /// Writes an audit log with the request of every write: [`ControlPlane::audit_log`].
    pub audit: bool,
    /// Further flags of the API server.
    pub apiserver_flags: Vec<String>,
    /// The program of kine, to be in etcd's place.
    pub kine: Option<PathBuf>,
}

/// A test's hold on a running control plane.
pub struct ControlPlane {
    // Dropped first: it tells the guard whether the test ended well.
    _lease: Lease,
    running: Arc<Running>,
}

/// Where a control plane is kept that outlives a test.
pub type Shared = Mutex<Option<Arc<Running>>>;

/// The processes and where they listen.
pub struct Running {
    dir: PathBuf,
    pki: Pki,
    apiserver_port: u16,
    etcd_port: u16,
    admin: OnceLock<User>,
    children: Mutex<Vec<Child>>,
    guard: Option<Guard>,
}

impl ControlPlane {
    /// The control plane that the tests share, with the default options.
    pub fn shared() -> Self {
        static SHARED: Shared = Shared::new(None);
        Self::once(&SHARED, Running::shared)
    }

    /// The one of the tests that look at the whole cluster, and so take turns. It is kept in that
    /// place; under cargo-nextest each test has its own.
    pub fn shared_in_turns(place: &Shared) -> Self {
        let start = || Running::start(&fresh_dir(), Owner::Holder, &Options::default());
        Self::once(place, start)
    }

    fn once(place: &Shared, start: impl FnOnce() -> Running) -> Self {
        let mut shared = place.lock().unwrap_or_else(PoisonError::into_inner);
        let running = shared.get_or_insert_with(|| Arc::new(start())).clone();
        Self { _lease: Lease::begin(&running.dir), running }
    }

    /// A control plane of the test's own; it ends when the value is dropped.
    pub fn start(options: &Options) -> Self {
        let running = Arc::new(Running::start(&fresh_dir(), Owner::Holder, options));
        Self { _lease: Lease::begin(&running.dir), running }
    }

    /// Another API server on the same storage, ready; it ends with this one.
    pub fn another(&self, options: &Options) -> Self {
        let running = Arc::new(self.running.another(options));
        Self { _lease: Lease::begin(&running.dir), running }
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.running.apiserver_port)
    }

    /// The folder of its files and logs.
    pub fn dir(&self) -> &Path {
        &self.running.dir
    }

    /// Its certificates.
    pub fn pki(&self) -> &Pki {
        &self.running.pki
    }

    /// A user who may do anything.
    pub fn admin(&self) -> User {
        self.running.admin.get_or_init(|| self.user("admin", Some("system:masters"))).clone()
    }

    /// A user by client certificate. A user outside `system:masters` may do what RBAC grants.
    pub fn user(&self, name: &str, group: Option<&str>) -> User {
        User::by_certificate(self, name, group)
    }

    /// A service account, by a token that the API server issues; the account must exist.
    pub fn service_account(&self, namespace: &str, name: &str) -> User {
        User::by_token(self, namespace, name)
    }

    /// A new namespace with these labels, seen by the admin. The name begins with `prefix`.
    pub fn namespace(&self, prefix: &str, labels: &[(&str, &str)]) -> Namespace {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        Namespace::create(self.admin(), &format!("{prefix}-{}", unique()), &labels)
    }

    /// Stops etcd, which then answers nothing, or lets it go on.
    pub fn stop_etcd(&self, stop: bool) {
        let etcd = self.running.children.lock().expect("children")[0].id().to_string();
        let signal = if stop { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &etcd]).status().expect("run kill");
        assert!(sent.success(), "etcd has ended");
    }

    /// What storage holds under `/registry/<resource>/<namespace>/`: the last segment of each key
    /// and the name of the object under it.
    pub fn stored_names(&self, resource: &str, namespace: &str) -> Vec<(String, String)> {
        etcd::stored_names(self.running.etcd_port, resource, namespace)
    }

    /// The lines of the audit log; with [`Options::audit`].
    pub fn audit_log(&self) -> String {
        fs::read_to_string(self.dir().join("audit.log")).unwrap_or_default()
    }
}

/// A name part that no other test has.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn fresh_dir() -> PathBuf {
    let dir = paths::tmp().join(format!("controlplane-{}", unique()));
    // Process ids come again: the logs of an old run are in the way then.
    let _ = fs::remove_dir_all(&dir);
    dir
}

impl Running {
    /// This process's shared control plane, or, under cargo-nextest, the run's.
    fn shared() -> Self {
        let Some(run) = std::env::var_os("NEXTEST_RUN_ID") else {
            return Self::start(&fresh_dir(), Owner::Holder, &Options::default());
        };
        Binaries::get();
        let dir = paths::tmp().join(format!("controlplane-{}", run.to_string_lossy()));
        let lock = File::create(dir.with_added_extension("lock")).expect("create a lock file");
        lock.lock().expect("lock");
        let ready = dir.join("ready");
        if let Ok(ports) = fs::read_to_string(&ready) {
            let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
            let pki = Pki::load(&dir.join("pki"));
            let [apiserver_port, etcd_port] = ports[..] else { panic!("two ports") };
            let (admin, children) = (OnceLock::new(), Mutex::default());
            return Self { dir, pki, apiserver_port, etcd_port, admin, children, guard: None };
        }
        let runner = Owner::Process(std::os::unix::process::parent_id());
        let running = Self::start(&dir, runner, &Options::default());
        let ports = format!("{} {}", running.apiserver_port, running.etcd_port);
        fs::write(ready, ports).expect("write the ports");
        running
    }

    /// Starts everything; again when another process took a port in the meantime.
    fn start(dir: &Path, owner: Owner, options: &Options) -> Self {
        let binaries = Binaries::get();
        fs::create_dir_all(dir).expect("create the folder of the control plane");
        let mut running = Self {
            dir: dir.to_owned(),
            pki: Pki::create(&dir.join("pki")),
            apiserver_port: 0,
            etcd_port: 0,
            admin: OnceLock::new(),
            children: Mutex::default(),
            guard: Some(Guard::start(dir, owner)),
        };
        // Until it runs: the logs of a control plane that does not start are kept.
        let starting = Lease::begin(dir);
        let mut tries = 0;
        while let Err(why) = running.start_once(binaries, options) {
            running.stop_children();
            tries += 1;
            let logs = running.dir.display();
            assert!(tries < 5 && why.contains("address already in use"), "{why}; logs: {logs}");
            gobuild::progress("a port was taken by another process: starting again");
        }
        drop(starting);
        running
    }

    fn start_once(&mut self, binaries: &Binaries, options: &Options) -> Result<(), String> {
        (self.apiserver_port, self.etcd_port) = (net::free_port(), net::free_port());
        let _ = fs::remove_dir_all(self.dir.join("etcd"));
        match &options.kine {
            Some(kine) => self.spawn(kine, &self.kine_flags()),
            None => self.spawn(&binaries.etcd, &self.etcd_flags()),
        }
        self.spawn_apiserver(self.apiserver_port, options)?;
        self.spawn(&binaries.controller_manager, &self.controller_manager_flags(options));
        Ok(())
    }

    /// Its processes are this one's.
    fn another(&self, options: &Options) -> Self {
        let apiserver_port = net::free_port();
        self.spawn_apiserver(apiserver_port, options).unwrap_or_else(|why| panic!("{why}"));
        Self {
            dir: self.dir.clone(),
            pki: self.pki.clone(),
            apiserver_port,
            etcd_port: self.etcd_port,
            admin: OnceLock::new(),
            children: Mutex::default(),
            guard: None,
        }
    }

    /// Starts an API server; returns when it is ready.
    fn spawn_apiserver(&self, port: u16, options: &Options) -> Result<(), String> {
        self.spawn(&Binaries::get().apiserver, &self.apiserver_flags(port, options));
        let admin = User::admin_of(&self.dir, &self.pki, port);
        wait::poll(Duration::from_mins(2), || {
            let ended = self.ended();
            let ready = || admin.try_get("/readyz").is_some_and(|answer| answer.status == 200);
            ended.map(Err).or_else(|| ready().then_some(Ok(())))
        })
        .unwrap_or_else(|| Err("the API server was not ready within 120 s".to_owned()))
    }

    fn kine_flags(&self) -> Vec<String> {
        vec![
            format!("--listen-address=127.0.0.1:{}", self.etcd_port),
            "--metrics-bind-address=0".to_owned(),
        ]
    }

    fn etcd_flags(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        // No peer ever connects: port 0 is any port.
        let peer = "http://127.0.0.1:0";
        vec![
            format!("--data-dir={}", self.dir.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn apiserver_flags(&self, port: u16, options: &Options) -> Vec<String> {
        let file = |name| self.pki.file(name).display().to_string();
        let mut flags = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", file("service-accounts.key")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // No controller makes the `default` service accounts that Pods would wait for.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        flags.extend(options.no_watch_cache.then(|| "--watch-cache=false".to_owned()));
        flags.extend(list_flag("--feature-gates", &options.feature_gates));
        flags.extend(list_flag("--runtime-config", &options.runtime_config));
        if options.audit {
            let policy = self.dir.join("audit-policy.yaml");
            fs::write(&policy, AUDIT_POLICY).expect("write the audit policy");
            flags.push(format!("--audit-policy-file={}", policy.display()));
            flags.push(format!("--audit-log-path={}", self.dir.join("audit.log").display()));
            // One file, for who reads on in it.
            flags.push("--audit-log-maxsize=100000".to_owned());
        }
        flags.extend(options.apiserver_flags.iter().cloned());
        flags
    }

    fn controller_manager_flags(&self, options: &Options) -> Vec<String> {
        let name = "system:kube-controller-manager";
        let pair = self.pki.client(name, Some("system:masters"));
        let kubeconfig = self.dir.join("controller-manager.kubeconfig");
        User::write_kubeconfig(&kubeconfig, self.apiserver_port, &self.pki, &pair);
        let mut flags = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={CONTROLLERS}"),
            // As kubeadm sets it up: each controller acts as its own service account.
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        flags.extend(list_flag("--feature-gates", &options.feature_gates));
        flags
    }

    fn spawn(&self, program: &Path, flags: &[String]) {
        use std::os::unix::process::CommandExt;
        let name = program.file_name().expect("a program has a name").to_string_lossy();
        // Two API servers share one file.
        let log = self.dir.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).expect("open a log");
        let child = Command::new(program)
            .args(flags)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share a log"))
            .stderr(log)
            // Not in the terminal's group: the guard alone ends it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
        guard::note(&self.dir, child.id());
        self.children.lock().expect("children").push(child);
    }

    /// The end of the logs, when one of the processes has ended.
    fn ended(&self) -> Option<String> {
        let mut children = self.children.lock().expect("children");
        let ended = children.iter_mut().any(|child| matches!(child.try_wait(), Ok(Some(_))));
        ended.then(|| {
            let logs = ["etcd.log", "kube-apiserver.log"].map(|log| {
                let text = fs::read_to_string(self.dir.join(log)).unwrap_or_default();
                let lines: Vec<_> = text.lines().rev().take(15).collect();
                lines.into_iter().rev().collect::<Vec<_>>().join("\n")
            });
            format!("the control plane ended while starting: {}", logs.join("\n"))
        })
    }

    fn stop_children(&self) {
        for mut child in self.children.lock().expect("children").drain(..) {
            let _ = child.kill();
            let _ = child.wait();
            guard::forget(&self.dir, child.id());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.end();
        }
        for child in self.children.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let _ = child.wait();
        }
    }
}

fn list_flag(flag: &str, values: &[&str]) -> Option<String> {
    (!values.is_empty()).then(|| format!("{flag}={}", values.join(",")))
}

const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    verbs: [get, list, watch]
    users: ['system:kube-controller-manager', 'system:apiserver']
  - level: Request
";
