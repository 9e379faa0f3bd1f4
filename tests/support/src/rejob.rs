//! The built `rejob serve` behind a real `MutatingWebhookConfiguration`.
//!
//! It runs as a service account that has the rights of the design and no others. Several can serve
//! one control plane at once: each takes only the namespaces that carry its own label beside
//! `rejob.dev/policy`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rejob::policy::PolicySet;
use serde_json::{Value, json};

use super::namespace::Namespace;
use super::plane::{self, ControlPlane};
use super::user::User;
use super::{guard, net, paths, wait, webhooks};

/// The label that ties a namespace to one of several rejobs of a control plane.
pub const INSTANCE: &str = "test.rejob.dev/instance";

/// How rejob is started and called.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The policy file; the built-in policies without.
    pub policies: Option<&'a str>,
    /// `failurePolicy` of the webhooks.
    pub failure_policy: &'a str,
    /// `timeoutSeconds` of the webhooks.
    pub timeout_seconds: u32,
    /// The beginning of the configuration's name: webhooks are called in the order of these names.
    pub name: &'a str,
    /// `--kubeconfig`: whether it can reach the cluster.
    pub cluster: bool,
    /// `--check-as-user`, and the rights for it.
    pub check_as_user: bool,
    /// A resource of which its account has no rights.
    pub forbidden: Option<&'a str>,
    /// Where it reaches the API server, if not directly.
    pub api_server: Option<&'a str>,
    /// Further environment.
    pub env: Vec<(&'a str, &'a str)>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            policies: None,
            failure_policy: "Fail",
            // The most that the doctor does not mind: a machine that is busy needs it.
            timeout_seconds: 25,
            name: "00-rejob",
            cluster: true,
            check_as_user: false,
            forbidden: None,
            api_server: None,
            env: Vec::new(),
        }
    }
}

/// A running rejob and its webhook configuration; dropping it ends both.
pub struct Rejob<'p> {
    plane: &'p ControlPlane,
    admin: User,
    instance: String,
    configuration: String,
    account: Option<User>,
    command: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
    port: u16,
    admin_port: u16,
}

impl<'p> Rejob<'p> {
    /// Starts rejob with the built-in policies; returns when the API server calls it.
    pub fn builtin(plane: &'p ControlPlane) -> Self {
        Self::start(plane, &Options::default())
    }

    /// Starts rejob with that policy file; returns when the API server calls it.
    pub fn with_policies(plane: &'p ControlPlane, policies: &str) -> Self {
        Self::start(plane, &Options { policies: Some(policies), ..Options::default() })
    }

    /// Starts rejob; returns when the API server calls it.
    pub fn start(plane: &'p ControlPlane, options: &Options<'_>) -> Self {
        let instance = format!("rejob-{}", plane::unique());
        let dir = plane.dir().join(&instance);
        fs::create_dir_all(&dir).expect("create rejob's folder");
        let server = plane.pki().server();
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).expect("write a file of rejob");
            path.display().to_string()
        };
        let policies = options.policies.map_or_else(PolicySet::builtin, |text| {
            rejob::policy_file::parse(text, "policies.yaml").expect("a policy file")
        });
        let mut command = vec!["serve".to_owned()];
        let mut flag = |name: &str, value: String| command.extend([name.to_owned(), value]);
        flag("--tls-cert", file("tls.crt", &server.certificate));
        flag("--tls-key", file("tls.key", &server.key));
        flag("--log-level", "debug".to_owned());
        let configuration = format!("{}-{instance}", options.name);
        flag("--webhook-configuration", configuration.clone());
        if let Some(policies) = options.policies {
            flag("--policies", file("policies.yaml", policies));
        }
        let admin = plane.admin();
        // A policy that only reports asks for dry runs, and reads.
        let all: &[&str] = &["create", "get", "list", "delete"];
        let jobs = if policies.replaces() { all } else { &all[..2] };
        let account = options
            .cluster
            .then(|| service_account(plane, &instance, &configuration, jobs, options));
        if let Some(account) = &account {
            let direct = fs::read_to_string(account.kubeconfig()).expect("read a kubeconfig");
            let url = plane.url();
            let config = direct.replace(&url, options.api_server.unwrap_or(&url));
            flag("--kubeconfig", file("kubeconfig", &config));
        }
        if options.check_as_user {
            command.push("--check-as-user".to_owned());
        }
        let mut rejob = Self {
            plane,
            admin,
            configuration,
            account,
            command,
            env: options.env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            log: dir.join("rejob.log"),
            instance,
            child: None,
            port: 0,
            admin_port: 0,
        };
        rejob.run();
        rejob.configure(&policies, options);
        rejob
    }

    /// A new namespace that opts in to that policy, seen by the admin.
    pub fn namespace(&self, policy: &str) -> Namespace {
        self.plane.namespace(policy, &[("rejob.dev/policy", policy), (INSTANCE, &self.instance)])
    }

    /// A new namespace that this rejob would serve if it opted in, which it does not.
    pub fn unlabeled_namespace(&self) -> Namespace {
        self.plane.namespace("unlabeled", &[(INSTANCE, &self.instance)])
    }

    /// The label of its namespaces that no other rejob's have.
    pub fn instance_label(&self) -> Value {
        json!({ INSTANCE: self.instance })
    }

    /// The user that its own requests carry.
    pub fn account(&self) -> &User {
        self.account.as_ref().expect("it has a cluster")
    }

    /// The port of the webhook.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Someone who is not the API server, and reaches the webhook's port.
    pub fn outsider(&self) -> User {
        User::outsider(self.plane, &format!("https://127.0.0.1:{}", self.port))
    }

    /// The name of the webhook configuration.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("rejob runs").id()
    }

    /// The file it logs to.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `/metrics` of the admin port.
    pub fn metrics(&self) -> String {
        net::get(self.admin_port, "/metrics").expect("rejob answers").1
    }

    /// SIGKILL, and nothing else: the webhook configuration stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            guard::forget(self.plane.dir(), child.id());
        }
    }

    /// Waits until the process has ended by itself (at a fail point).
    pub fn wait_until_dead(&mut self) {
        let mut child = self.child.take().expect("rejob runs");
        wait::until("rejob ends", || child.try_wait().expect("ask for the end of rejob"));
        guard::forget(self.plane.dir(), child.id());
    }

    /// Starts it again on the same ports, with that environment, after [`Self::kill`].
    pub fn restart(&mut self, env: &[(&str, &str)]) {
        self.kill();
        self.env = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        self.run();
    }

    /// Runs the process; returns when it is ready. Ports of 0 are learned, others are kept.
    fn run(&mut self) {
        let (log, said) = append_to(&self.log);
        let child = Command::new(paths::rejob())
            .args(&self.command)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--admin-listen", &format!("127.0.0.1:{}", self.admin_port)])
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share a log"))
            .stderr(log)
            .spawn()
            .expect("run rejob");
        guard::note(self.plane.dir(), child.id());
        self.child = Some(child);
        let (port, admin_port) = wait::until("rejob says where it listens", || {
            let log = self.log();
            let ended = self.child.as_mut().expect("it runs").try_wait().expect("ask for its end");
            assert!(ended.is_none(), "rejob ended: {ended:?}: {log}");
            ports(&log[said..])
        });
        (self.port, self.admin_port) = (port, admin_port);
        wait::until("rejob is ready", || {
            net::get(admin_port, "/readyz").filter(|(status, _)| *status == 200)
        });
    }

    fn configure(&self, policies: &PolicySet, options: &Options<'_>) {
        let webhooks =
            webhooks::entries(policies, options, &self.instance, self.port, &self.plane.pki().ca());
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": self.configuration },
            "webhooks": webhooks,
        });
        self.admin.post(CONFIGURATIONS, &configuration).ok();
        let policy = policies.names().next().expect("a policy");
        self.wait_until_called(&self.namespace(policy));
    }

    /// Waits until the API server has taken notice of the configuration: a dry run shows it.
    pub fn wait_until_called(&self, namespace: &Namespace) {
        let probe = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "probe" },
            "spec": { "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "a", "image": "a" }],
            }}},
        });
        let path = format!("{}?dryRun=All", namespace.jobs_path());
        let mut last = Value::Null;
        let called = wait::poll(wait::DEADLINE, || {
            last = self.admin.post(&path, &probe).body;
            last["metadata"]["annotations"]["rejob.dev/template-hash"].is_string().then_some(())
        });
        assert!(called.is_some(), "the API server does not call rejob, or in vain: {last}");
    }
}

impl Drop for Rejob<'_> {
    fn drop(&mut self) {
        self.kill();
        let path = format!("{CONFIGURATIONS}/{}", self.configuration);
        let _ = self.admin.send("DELETE", &path, "application/json", "{}".to_owned());
    }
}

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A service account with the rights that rejob needs, these on Jobs among them, and no others, but for
/// those of a resource that is forbidden.
fn service_account(
    plane: &ControlPlane,
    name: &str,
    configuration: &str,
    jobs: &[&str],
    options: &Options<'_>,
) -> User {
    let mut rules = vec![
        allow("batch", "jobs", jobs),
        allow("", "pods", &["list"]),
        allow("", "namespaces", &["get"]),
        allow("", "events", &["create"]),
        json!({
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": [configuration],
            "verbs": ["get"],
        }),
    ];
    rules.extend(if options.check_as_user {
        let on = ["user-info", "serviceaccount"]
            .map(|mode| ["create", "delete"].map(|verb| format!("impersonate-on:{mode}:{verb}")));
        let on = on.concat();
        let on: Vec<_> = on.iter().map(String::as_str).collect();
        vec![
            allow("batch", "jobs", &on),
            allow("authentication.k8s.io", "*", &["impersonate:user-info"]),
            allow("authentication.k8s.io", "serviceaccounts", &["impersonate:serviceaccount"]),
        ]
    } else {
        vec![allow("authorization.k8s.io", "subjectaccessreviews", &["create"])]
    });
    rules.retain(|rule| options.forbidden.is_none_or(|resource| rule["resources"][0] != resource));
    account(plane, &plane.namespace("rejob-system", &[]), name, &rules)
}

/// A rule of RBAC.
pub fn allow(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
}

/// A service account with those rules in the whole cluster.
pub fn account(plane: &ControlPlane, namespace: &Namespace, name: &str, rules: &[Value]) -> User {
    let admin = plane.admin();
    let metadata = json!({ "name": name });
    let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", namespace.name());
    admin.post(&accounts, &json!({ "metadata": metadata })).ok();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({ "metadata": metadata, "rules": rules });
    admin.post(&format!("{rbac}/clusterroles"), &role).ok();
    let binding = json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace.name() }],
    });
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).ok();
    plane.service_account(namespace.name(), name)
}

/// The ports of the webhook and of the admin server, from the line that says where it listens.
fn ports(log: &str) -> Option<(u16, u16)> {
    let port = |scheme: &str| {
        let after = log.split_once(scheme)?.1;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some((port("is listening on https://127.0.0.1:")?, port("(admin: http://127.0.0.1:")?))
}

fn append_to(path: &Path) -> (File, usize) {
    let log = File::options().create(true).append(true).open(path).expect("open rejob's log");
    let length = log.metadata().expect("the length of a log").len();
    (log, usize::try_from(length).expect("a log of some size"))
}
