//! An installation to be examined: rejob behind a hand-made webhook configuration with a URL, and
//! the objects of a release (Deployment, service account, role) in a namespace of its own.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use support::namespace::Namespace;
use support::output::Output;
use support::plane::{self, ControlPlane, Shared};
use support::rejob::{self, Rejob};
use support::user::User;
use support::wait;

/// One test's turn on a cluster without any rejob in it.
pub struct Turn {
    plane: ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn, and clears away what the test before left.
pub fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: Shared = Shared::new(None);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plane = ControlPlane::shared_in_turns(&SHARED);
    let admin = plane.admin();
    let unlabel = json!({ "metadata": { "labels": { "rejob.dev/policy": null } } });
    for name in names(&admin, "/api/v1/namespaces?labelSelector=rejob.dev%2Fpolicy") {
        admin.patch("merge", &format!("/api/v1/namespaces/{}", name.1), &unlabel).ok();
    }
    let part = "labelSelector=app.kubernetes.io%2Fpart-of%3Drejob";
    for (namespace, name) in names(&admin, &format!("/apis/apps/v1/deployments?{part}")) {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        admin.delete(&path, &json!({})).ok();
    }
    let dormant = "/apis/batch/v1/jobs?labelSelector=rejob.dev%2Fdormant";
    for (namespace, name) in names(&admin, dormant) {
        let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
        admin.delete(&path, &json!({ "propagationPolicy": "Background" })).ok();
    }
    Turn { plane, _turn: turn }
}

fn names(admin: &User, path: &str) -> Vec<(String, String)> {
    let list = admin.get(path).ok();
    let text = |object: &Value, field: &str| {
        object["metadata"][field].as_str().unwrap_or_default().to_owned()
    };
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|object| (text(object, "namespace"), text(object, "name"))).collect()
}

impl Turn {
    /// The cluster.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The doctor, asked by the admin.
    pub fn doctor(&self) -> Examination {
        doctor(&self.plane.admin(), &[])
    }
}

/// What the doctor said.
pub struct Examination {
    /// The exit code and what was printed.
    pub output: Output,
    /// The JSON document; `null` when it was not asked for.
    pub json: Value,
}

/// Asks the doctor as that user, for JSON.
pub fn doctor(user: &User, args: &[&str]) -> Examination {
    let output = text(user, &[&["--output", "json"], args].concat());
    let json = serde_json::from_str(&output.stdout).unwrap_or_default();
    Examination { output, json }
}

/// Asks the doctor as that user, for text; again while this machine is so busy that rejob is slow,
/// which the doctor tells as well.
pub fn text(user: &User, args: &[&str]) -> Output {
    wait::until("rejob is quick", || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
        command.env_clear().arg("doctor").arg("--kubeconfig").arg(user.kubeconfig()).args(args);
        let output = Output::of(&mut command, "");
        (!output.stdout.contains("rejob is called, and slow")).then_some(output)
    })
}

impl Examination {
    /// The messages of one level and check, each with its subject in front.
    pub fn messages(&self, level: &str, check: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().cloned().unwrap_or_default();
        let wanted = findings.iter().filter(|f| f["level"] == level && f["check"] == check);
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        wanted.map(|f| format!("{}: {}", text(f, "subject"), text(f, "message"))).collect()
    }

    /// The names of the checks that found a problem, each once.
    pub fn problems(&self) -> Vec<String> {
        let findings = self.json["findings"].as_array().cloned().unwrap_or_default();
        let problems = findings.iter().filter(|finding| finding["level"] == "problem");
        let mut checks: Vec<_> =
            problems.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect();
        checks.dedup();
        checks
    }

    /// Panics unless something is wrong, the exit code says so, and a problem of that check has
    /// that text.
    #[track_caller]
    pub fn finds(&self, check: &str, text: &str) {
        let said = &self.output.stdout;
        assert_eq!(self.output.code, 1, "{said}{}", self.output.stderr);
        assert_eq!(self.json["healthy"], false, "{said}");
        let found = self.messages("problem", check);
        assert!(found.iter().any(|message| message.contains(text)), "{text:?} is not in {said}");
    }

    /// Panics unless nothing is wrong.
    #[track_caller]
    pub fn is_well(&self) {
        assert_eq!(self.output.code, 0, "{}{}", self.output.stdout, self.output.stderr);
        assert_eq!(self.json["healthy"], true, "{}", self.output.stdout);
    }
}

/// The release's objects; rejob itself is run by [`Rejob`].
pub struct Release {
    /// The namespace.
    pub namespace: Namespace,
    /// The name of the service account and of its role.
    pub account: String,
}

/// The rights that a policy which replaces needs, in rejob behind that webhook configuration.
pub fn rules(configuration: &str) -> Vec<Value> {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
    vec![
        rule("batch", "jobs", &["get"]),
        rule("batch", "jobs", &["list"]),
        rule("batch", "jobs", &["create"]),
        rule("batch", "jobs", &["delete"]),
        rule("authorization.k8s.io", "subjectaccessreviews", &["create"]),
        rule("", "namespaces", &["get"]),
        rule("", "pods", &["list"]),
        rule("", "events", &["create"]),
        json!({
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": [configuration], "verbs": ["get"],
        }),
    ]
}

impl Release {
    /// Creates them, for rejob behind that webhook configuration: all replicas available, all
    /// rights granted.
    pub fn create(turn: &Turn, configuration: &str) -> Self {
        let plane = turn.plane();
        let (admin, namespace) = (plane.admin(), plane.namespace("release", &[]));
        let account = format!("rejob-{}", plane::unique());
        let metadata = json!({ "name": account });
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({ "metadata": metadata, "rules": rules(configuration) });
        admin.post(&format!("{rbac}/clusterroles"), &role).ok();
        let subject =
            json!({ "kind": "ServiceAccount", "name": account, "namespace": namespace.name() });
        let binding = json!({
            "metadata": metadata, "subjects": [subject],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                         "name": account },
        });
        admin.post(&format!("{rbac}/clusterrolebindings"), &binding).ok();
        let labels =
            json!({ "app.kubernetes.io/name": "rejob", "app.kubernetes.io/part-of": "rejob" });
        guard(&admin, &labels, &format!("{}:{account}", namespace.name()));
        let deployment = json!({
            "metadata": { "name": "rejob", "labels": labels },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "serviceAccountName": account,
                    "containers": [{
                        "name": "rejob", "image": "rejob",
                        "args": ["serve", "--webhook-configuration", configuration],
                    }],
                }},
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", namespace.name());
        admin.post(&path, &deployment).ok();
        available(&admin, &format!("{path}/rejob"), 1);
        Self { namespace, account }
    }

    /// Grants these rights and no others.
    pub fn grant(&self, admin: &User, rules: &[Value]) {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{}", self.account);
        admin.patch("merge", &path, &json!({ "rules": rules })).ok();
    }
}

/// The self-guard of the chart, as far as the doctor looks at it.
fn guard(admin: &User, labels: &Value, account: &str) {
    let metadata = json!({ "name": "self-guard.rejob.rejob.dev", "labels": labels });
    let from_rejob = format!("request.userInfo.username == 'system:serviceaccount:{account}'");
    let policy = json!({
        "matchConstraints": { "resourceRules": [{
            "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs", "jobs/status"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
        }]},
        "matchConditions": [
            { "name": "from-rejob", "expression": from_rejob },
            { "name": "not-a-dry-run", "expression": "!request.dryRun" },
        ],
        "variables": [{ "name": "policy", "expression": "'replace'" }],
        "validations": [
            { "expression": "variables.policy in ['hash-name', 'replace', 'ttl']" },
            { "expression": "request.operation != 'CREATE' || object.spec.parallelism == 0" },
        ],
    });
    let bound =
        json!({ "policyName": "self-guard.rejob.rejob.dev", "validationActions": ["Deny"] });
    let group = "/apis/admissionregistration.k8s.io/v1";
    for (resource, kind, spec) in [
        ("validatingadmissionpolicies", "ValidatingAdmissionPolicy", policy),
        ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", bound),
    ] {
        let path = format!("{group}/{resource}/self-guard.rejob.rejob.dev?fieldManager=test");
        let version = "admissionregistration.k8s.io/v1";
        let object =
            json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
        admin.apply(&format!("{path}&force=true"), &object).ok();
    }
}

/// No controller looks after Deployments here: the test says that replicas are available.
pub fn available(admin: &User, deployment: &str, replicas: i32) {
    let status = json!({ "status": {
        "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
    }});
    admin.patch("merge", &format!("{deployment}/status"), &status).ok();
}

/// rejob with the built-in policies, and a namespace for each of them.
pub fn installed(turn: &Turn) -> (Release, Rejob<'_>) {
    installed_with(turn, &rejob::Options::default())
}

/// As [`installed`], with options.
pub fn installed_with<'t>(turn: &'t Turn, options: &rejob::Options<'_>) -> (Release, Rejob<'t>) {
    let rejob = Rejob::start(turn.plane(), options);
    let release = Release::create(turn, rejob.configuration());
    for policy in ["hash-name", "replace", "ttl"] {
        rejob.namespace(policy);
    }
    (release, rejob)
}

/// The path of a webhook configuration.
pub fn configuration(name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}")
}

/// Changes a field of each entry of a configuration.
pub fn change_entries(admin: &User, name: &str, change: impl Fn(&mut Value)) {
    admin.edit(&configuration(name), |object| {
        object["webhooks"].as_array_mut().unwrap().iter_mut().for_each(&change);
    });
}
