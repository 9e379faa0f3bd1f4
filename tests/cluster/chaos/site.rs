//! Where chaos happens: two API servers on one etcd, three replicas of rejob that manage their own
//! certificates, a relay in between, and another webhook.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejob::policy::PolicySet;
use serde_json::{Value, json};

use support::clock::WallClock;
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::rejob::{INSTANCE, Options, account, allow};
use support::user::User;
use support::{guard, net, paths, wait, webhooks};

use super::relay::Relay;

/// The Secret of the certificates.
const SECRET: &str = "tls";

/// A process of rejob, and how it is started.
pub struct Replica {
    dir: PathBuf,
    command: Vec<String>,
    pub clock: WallClock,
    child: Option<Child>,
}

/// Everything but the writers.
pub struct Site<'p> {
    pub plane: &'p ControlPlane,
    _second: ControlPlane,
    /// The admin, at each API server. The second has no watch cache.
    pub admins: [User; 2],
    pub relay: Relay,
    pub replicas: Vec<Replica>,
    instance: String,
    system: Namespace,
}

impl<'p> Site<'p> {
    pub fn start(plane: &'p ControlPlane, replicas: usize, failure_policy: &str) -> Self {
        let instance = format!("rejob-{}", plane::unique());
        let configuration = format!("00-{instance}");
        let second = plane.another(&plane::Options { no_watch_cache: true, ..Default::default() });
        let admins = [plane.admin(), second.admin()];
        let system = plane.namespace("rejob-system", &[]);
        let account = account(plane, &system, &instance, &rules());
        let ports: Vec<_> = (0..replicas).map(|_| (net::free_port(), net::free_port())).collect();
        let relay = Relay::start(ports.clone());
        let options = Options { failure_policy, timeout_seconds: 10, ..Options::default() };
        let policies = PolicySet::builtin();
        let ca = plane.pki().ca();
        let entries = webhooks::entries(&policies, &options, &instance, relay.port(), &ca);
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        admins[0]
            .post(path, &json!({ "metadata": { "name": configuration }, "webhooks": entries }))
            .ok();
        let replicas = ports.into_iter().enumerate().map(|(n, (port, admin))| {
            let dir = plane.dir().join(format!("{instance}-{n}"));
            fs::create_dir_all(&dir).expect("create rejob's folder");
            // Every second replica works at the other API server.
            let direct = fs::read_to_string(account.kubeconfig()).expect("read a kubeconfig");
            let config = direct.replace(&plane.url(), &url(&admins[n % 2]));
            let kubeconfig = dir.join("kubeconfig");
            fs::write(&kubeconfig, config).expect("write a kubeconfig");
            let flags = [
                ("--kubeconfig", kubeconfig.display().to_string()),
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
            Replica { clock: WallClock::new(&dir), dir, command, child: None }
        });
        let replicas = replicas.collect();
        let mut site = Self { plane, _second: second, admins, relay, replicas, instance, system };
        (0..site.replicas.len()).for_each(|replica| site.run(replica));
        site.wait_until_called();
        site
    }

    /// A new namespace that rejob serves.
    pub fn namespace(&self) -> Namespace {
        self.plane
            .namespace("chaos", &[("rejob.dev/policy", "replace"), (INSTANCE, &self.instance)])
    }

    /// Waits until both API servers call rejob, and get an answer.
    pub fn wait_until_called(&self) {
        let namespace = self.namespace();
        let path = format!("{}?dryRun=All", namespace.jobs_path());
        let probe = support::manifest::job("probe", "probe:1");
        for admin in &self.admins {
            wait::until("rejob is called", || {
                let job = admin.post(&path, &probe).body;
                job["metadata"]["annotations"]["rejob.dev/template-hash"].is_string().then_some(())
            });
        }
    }

    /// Starts a replica that does not run.
    pub fn run(&mut self, replica: usize) {
        let Replica { dir, command, clock, child } = &mut self.replicas[replica];
        if child.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(dir.join("rejob.log")).unwrap();
        let started = Command::new(paths::rejob())
            .args(command.iter())
            .env_clear()
            .envs(clock.env())
            .envs([("REJOB_REAPER_INTERVAL_SECONDS", "1"), ("REJOB_REAPER_GRACE_SECONDS", "5")])
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
fn url(user: &User) -> String {
    let config = fs::read_to_string(user.kubeconfig()).expect("read a kubeconfig");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    config["clusters"][0]["cluster"]["server"].as_str().expect("a URL").to_owned()
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
