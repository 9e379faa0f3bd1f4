//! Where chaos happens: two API servers on one etcd, three replicas of rejob that manage their own
//! certificates, relays in between, and another webhook.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use support::clock::WallClock;
use support::hook::{self, Hook};
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::rejob::{INSTANCE, Options, account, allow};
use support::user::User;
use support::{guard, net, paths, wait, webhooks};

use super::relay::Relay;
use super::troubles;

/// The Secret of the certificates.
const SECRET: &str = "tls";

/// The policy. A client that has to wait is to come back after a second.
const POLICIES: &str = "policies: { replace: { waitSeconds: 10 } }";

/// The label of namespaces whose Jobs another webhook changes.
const HOOKED: &str = "test.rejob.dev/hooked";

/// The webhook configurations.
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A process of rejob, and how it is started.
pub struct Replica {
    dir: PathBuf,
    command: Vec<String>,
    pub clock: WallClock,
    /// To its API server.
    pub relay: Relay,
    /// The port of `/readyz`.
    admin: u16,
    child: Option<Child>,
}

/// Everything but the writers.
pub struct Site<'p> {
    pub plane: &'p ControlPlane,
    _second: ControlPlane,
    /// The admin, at each API server. The second has no watch cache.
    pub admins: [User; 2],
    /// From the API servers to the replicas.
    pub relay: Relay,
    pub replicas: Vec<Replica>,
    configuration: String,
    /// The value of the label of the namespaces that rejob serves.
    instance: String,
    system: Namespace,
    audit_log: File,
    _hook: Hook,
}

impl<'p> Site<'p> {
    pub fn start(plane: &'p ControlPlane, replicas: usize) -> Self {
        let instance = format!("rejob-{}", plane::unique());
        let configuration = format!("00-{instance}");
        // In the same file: whole lines are appended.
        let audit = plane::Options { audit: true, ..plane::Options::default() };
        let second = plane.another(&plane::Options { no_watch_cache: true, ..audit });
        let admins = [plane.admin(), second.admin()];
        let system = plane.namespace("rejob-system", &[]);
        let account = account(plane, &system, &instance, &rules());
        let ports: Vec<_> = (0..replicas).map(|_| (net::free_port(), net::free_port())).collect();
        let relay = relay_to_replicas(ports.clone());
        let options = Options { timeout_seconds: 10, ..Options::default() };
        let policies = rejob::policy_file::parse(POLICIES, "policies.yaml").expect("a policy file");
        let ca = plane.pki().ca();
        let entries = webhooks::entries(&policies, &options, &instance, relay.port(), &ca);
        let object = json!({ "metadata": { "name": configuration }, "webhooks": entries });
        admins[0].post(CONFIGURATIONS, &object).ok();
        let replicas = ports.into_iter().enumerate().map(|(n, (port, admin))| {
            let dir = plane.dir().join(format!("{instance}-{n}"));
            fs::create_dir_all(&dir).expect("create rejob's folder");
            let file = |name: &str, text: &str| {
                let path = dir.join(name);
                fs::write(&path, text).expect("write a file of rejob");
                path.display().to_string()
            };
            // Every second replica works at the other API server.
            let relay = relay_to(port_of(&admins[n % 2]));
            let direct = fs::read_to_string(account.kubeconfig()).expect("read a kubeconfig");
            let relayed = format!("https://127.0.0.1:{}", relay.port());
            let flags = [
                ("--kubeconfig", file("kubeconfig", &direct.replace(&plane.url(), &relayed))),
                ("--policies", file("policies.yaml", POLICIES)),
                ("--cert-secret", format!("{}/{SECRET}", system.name())),
                ("--webhook-configuration", configuration.clone()),
                ("--service-name", "rejob.test".to_owned()),
                ("--cert-life", "1m".to_owned()),
                ("--ca-life", "3m".to_owned()),
                ("--listen", format!("127.0.0.1:{port}")),
                ("--admin-listen", format!("127.0.0.1:{admin}")),
            ];
            let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
            let command = ["serve".to_owned()].into_iter().chain(flags).collect();
            Replica { clock: WallClock::new(&dir), dir, command, relay, admin, child: None }
        });
        let replicas = replicas.collect();
        let audit_log = File::open(plane.dir().join("audit.log")).expect("open the audit log");
        let hook = other_webhook(plane);
        let mut site = Self {
            plane,
            _second: second,
            admins,
            relay,
            replicas,
            configuration,
            instance,
            system,
            audit_log,
            _hook: hook,
        };
        (0..site.replicas.len()).for_each(|replica| site.run(replica));
        site
    }

    /// From now on rejob serves new namespaces alone, with that `failurePolicy`.
    pub fn begin_run(&mut self, failure_policy: &str) {
        self.instance = format!("rejob-{}", plane::unique());
        let entry = |name: &str| {
            json!({
                "name": format!("{name}.rejob.dev"),
                "namespaceSelector": { "matchLabels": { INSTANCE: self.instance } },
            })
        };
        let mut entries = ["replace", "rerun", "dormant"].map(entry);
        entries[0]["failurePolicy"] = failure_policy.into();
        let path = format!("{CONFIGURATIONS}/{}", self.configuration);
        self.admins[0].patch("strategic-merge", &path, &json!({ "webhooks": entries })).ok();
        self.wait_until_called();
    }

    /// A new namespace that rejob serves.
    pub fn namespace(&self, hooked: bool) -> Namespace {
        let hooked = if hooked { "yes" } else { "no" };
        let labels =
            [("rejob.dev/policy", "replace"), (INSTANCE, self.instance.as_str()), (HOOKED, hooked)];
        self.plane.namespace("chaos", &labels)
    }

    /// Waits until both API servers call rejob, and get an answer.
    pub fn wait_until_called(&self) {
        let namespace = self.namespace(false);
        let path = format!("{}?dryRun=All", namespace.jobs_path());
        let probe = support::manifest::job("probe", "probe:1");
        for admin in &self.admins {
            wait::until("rejob is called", || {
                let job = admin.post(&path, &probe).body;
                job["metadata"]["annotations"]["rejob.dev/template-hash"].is_string().then_some(())
            });
        }
    }

    /// What was written to the audit log since the last call, in whole lines.
    pub fn more_of_the_audit_log(&mut self) -> String {
        let mut more = Vec::new();
        self.audit_log.read_to_end(&mut more).expect("read the audit log");
        let whole = more.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let begun = i64::try_from(more.len() - whole).expect("a line is short");
        self.audit_log.seek(SeekFrom::Current(-begun)).expect("read the audit log again");
        more.truncate(whole);
        String::from_utf8_lossy(&more).into_owned()
    }

    /// Waits until every replica is ready.
    pub fn wait_until_ready(&self) {
        for (n, replica) in self.replicas.iter().enumerate() {
            wait::until(&format!("replica {n} is ready, see {}", replica.dir.display()), || {
                (net::get(replica.admin, "/readyz")?.0 == 200).then_some(())
            });
        }
    }

    /// No replica has panicked or ended by itself.
    pub fn assert_sound(&mut self) {
        for (n, Replica { dir, child, .. }) in self.replicas.iter_mut().enumerate() {
            let log = dir.join("rejob.log");
            let ended = child.as_mut().and_then(|child| child.try_wait().expect("wait for rejob"));
            assert!(ended.is_none(), "replica {n} ended by itself, {ended:?}: {}", log.display());
            let panicked = fs::read_to_string(&log).expect("read a log").contains("panicked");
            assert!(!panicked, "replica {n} panicked: {}", log.display());
        }
    }

    /// Starts a replica that does not run.
    pub fn run(&mut self, replica: usize) {
        let Replica { dir, command, clock, child, .. } = &mut self.replicas[replica];
        if child.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(dir.join("rejob.log")).unwrap();
        let started = Command::new(paths::rejob())
            .args(command.iter())
            .env_clear()
            .envs(clock.env())
            .envs([("REJOB_REAPER_INTERVAL", "1s"), ("REJOB_REAPER_GRACE", "5s")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share a log"))
            .stderr(log)
            .spawn()
            .expect("run rejob");
        guard::note(self.plane.dir(), started.id());
        *child = Some(started);
    }

    /// SIGKILL.
    pub fn kill(&mut self, replica: usize) {
        if let Some(mut child) = self.replicas[replica].child.take() {
            let _ = child.kill();
            let _ = child.wait();
            guard::forget(self.plane.dir(), child.id());
        }
    }

    /// Tells the replicas that the hour of the path token is over. Whether it could be told.
    pub fn end_the_hour_of_the_token(&self) -> bool {
        let path = format!("/api/v1/namespaces/{}/secrets/{SECRET}", self.system.name());
        let secret = self.admins[0].get(&path).body;
        let Some(state) = secret["data"]["state.json"].as_str() else { return false };
        let state = STANDARD.decode(state).expect("base64");
        let mut state: Value = serde_json::from_slice(&state).expect("JSON");
        state["tokens"]["rotateAt"] = "2026-01-01T00:00:00Z".into();
        let change = json!({
            "metadata": { "resourceVersion": secret["metadata"]["resourceVersion"] },
            "data": { "state.json": STANDARD.encode(state.to_string()) },
        });
        self.admins[0].patch("merge", &path, &change).status == 200
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        (0..self.replicas.len()).for_each(|replica| self.kill(replica));
    }
}

/// Where a user finds its API server.
fn port_of(user: &User) -> u16 {
    let config = fs::read_to_string(user.kubeconfig()).expect("read a kubeconfig");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let url = config["clusters"][0]["cluster"]["server"].as_str().expect("a URL");
    url.rsplit(':').next().expect("a port").parse().expect("a port")
}

fn relay_to(port: u16) -> Relay {
    Relay::start(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
}

/// To each of the replicas in turn that is ready: as a Service does, but without the delay with which
/// it learns of it. The ports are those of the webhook and of `/readyz`.
fn relay_to_replicas(ports: Vec<(u16, u16)>) -> Relay {
    let next = AtomicUsize::new(0);
    Relay::start(move || {
        let first = next.fetch_add(1, SeqCst);
        (0..ports.len()).find_map(|n| {
            let (port, admin) = ports[(first + n) % ports.len()];
            net::get(admin, "/readyz").filter(|(status, _)| *status == 200)?;
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })
    })
}

/// Another webhook, for creations in namespaces of that label.
fn other_webhook(plane: &ControlPlane) -> Hook {
    let options = hook::Options {
        operations: &["CREATE"],
        rewrite: troubles::rewrite,
        takes: troubles::takes,
        failure_policy: "Ignore",
        ..hook::Options::default()
    };
    let labels = [(HOOKED, "yes")];
    let hooked = plane.namespace("hooked", &labels);
    Hook::in_namespaces(plane, &json!({ HOOKED: "yes" }), &hooked, &options)
}

/// The rights of an installation that manages its own certificates.
fn rules() -> [Value; 7] {
    [
        allow("batch", "jobs", &["create", "get", "list", "delete"]),
        allow("", "pods", &["list"]),
        allow("", "namespaces", &["get"]),
        allow("", "events", &["create"]),
        allow("", "secrets", &["create", "get", "patch"]),
        allow("authorization.k8s.io", "subjectaccessreviews", &["create"]),
        allow("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["get", "patch"]),
    ]
}
