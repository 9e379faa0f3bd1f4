//! A real API server takes what the chart renders, installed, upgraded and removed by real Helm.

use serde_json::{Value, json};

use super::render::{HELMS, chart, ci_names, ci_values, minor, objects, template, the};
use support::helm::Helm;
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// The ci values that the Kubernetes under test can take.
fn names() -> Vec<String> {
    ci_names().into_iter().filter(|name| minor() >= 36 || name != "native-ttl").collect()
}

fn render(name: &str) -> Vec<Value> {
    let version = format!("1.{}.0", minor());
    let rendered =
        template(Helm::V4_3, &["--kube-version", &version, "--values", &ci_values(name)]);
    objects(&rendered.ok().stdout)
}

/// Makes a namespace of that very name, unless another test has.
fn namespace(plane: &ControlPlane, name: &str) {
    let object = json!({ "metadata": { "name": name } });
    let answer = plane.admin().post("/api/v1/namespaces", &object);
    assert!(answer.status == 201 || answer.status == 409, "{}", answer.body);
}

#[test]
fn the_api_server_accepts_every_object_strictly() {
    let plane = ControlPlane::shared();
    for name in ["rejob", "batch", "reports"] {
        namespace(&plane, name);
    }
    for name in names() {
        // The kinds of cert-manager and of the Prometheus operator need their own definitions.
        let foreign = ["cert-manager.io/v1", "monitoring.coreos.com/v1"];
        let items: Vec<_> = render(&name)
            .into_iter()
            .filter(|object| !foreign.contains(&object["apiVersion"].as_str().unwrap()))
            .collect();
        let count = items.len();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "--output=name",
            "--filename=-",
        ];
        let output = plane.admin().kubectl(&args, &list.to_string()).ok();
        assert_eq!(output.stdout.lines().count(), count, "{name}: {}", output.stdout);
        assert!(!output.stderr.contains("Warning"), "{name}: {}", output.stderr);
    }
}

#[test]
fn the_pods_meet_the_restricted_pod_security_standard() {
    let plane = ControlPlane::shared();
    // Of ci/pod-values.yaml.
    let class = json!({ "metadata": { "name": "gvisor" }, "handler": "runsc" });
    plane.admin().post("/apis/node.k8s.io/v1/runtimeclasses", &class).ok();
    let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}"));
    let restricted = plane.namespace(
        "restricted",
        &[(labels[0].as_str(), "restricted"), (labels[1].as_str(), "restricted")],
    );
    for name in names() {
        let mut pod = the(&render(&name), "Deployment")["spec"]["template"].clone();
        pod["metadata"]["name"] = json!("rejob");
        let answer = plane
            .admin()
            .post(&format!("/api/v1/namespaces/{}/pods?dryRun=All", restricted.name()), &pod);
        if name == "host-network" {
            // That is what the standard forbids, and what docs/install/managed-clusters.md says.
            assert_eq!(answer.status, 403, "{}", answer.body);
            assert!(answer.message().contains("host namespaces"), "{}", answer.message());
        } else {
            assert!(answer.warnings.is_empty(), "{name}: {:?}", answer.warnings);
            answer.ok();
        }
    }
}

/// A release of its own name and policies, so that other tests on the cluster never meet it.
struct Release {
    helm: Helm,
    namespace: Namespace,
    name: String,
}

impl Release {
    fn new(plane: &ControlPlane, helm: Helm) -> Self {
        Self {
            helm,
            namespace: plane.namespace("release", &[]),
            name: format!("rejob-{}", plane::unique()),
        }
    }

    fn helm(&self, command: &[&str], sets: &[&str]) -> support::output::Output {
        let chart = chart().display().to_string();
        let policy = format!("policies.{}.onChange=Replace", self.name);
        let mut args: Vec<&str> = command.to_vec();
        args.extend([self.name.as_str(), chart.as_str(), "--set", &policy]);
        for set in ["policies.replace=null", "policies.hash-name=null", "policies.ttl=null"]
            .iter()
            .chain(sets)
        {
            args.extend(["--set", set]);
        }
        self.namespace.helm(self.helm, &args)
    }

    fn path(&self) -> String {
        format!("{CONFIGURATIONS}/00-{}", self.name)
    }

    fn webhook(&self) -> Value {
        let configuration = self.namespace.user().get(&self.path()).ok();
        configuration["webhooks"][0].clone()
    }

    /// What the server writes in self mode.
    fn server_writes(&self) {
        let client = json!({ "caBundle": a_ca(), "service": { "path": PATH } });
        let patch = json!({
            "webhooks": [{ "name": format!("{}.rejob.dev", self.name), "clientConfig": client }],
        });
        let url = format!("{}?fieldManager=rejob", self.path());
        self.namespace.user().patch("strategic-merge", &url, &patch).ok();
    }
}

/// The path that the server writes, with its token.
const PATH: &str = "/v1/t/0123456789abcdefghijklmnopqrstuv/policies/some";

fn a_ca() -> String {
    use base64::Engine;
    let pair = rcgen::generate_simple_self_signed(["ca".to_owned()]).expect("a certificate");
    base64::engine::general_purpose::STANDARD.encode(pair.cert.pem())
}

#[test]
fn an_upgrade_keeps_what_the_server_wrote_and_meets_no_conflict() {
    let plane = ControlPlane::shared();
    for helm in Helm::ALL {
        let release = Release::new(&plane, helm);
        release.helm(&["install"], &[]).ok();
        assert!(release.webhook()["clientConfig"].get("caBundle").is_none());
        release.server_writes();
        let written = release.webhook()["clientConfig"].clone();
        assert_eq!(written["service"]["path"], PATH);
        release.helm(&["upgrade"], &["webhook.timeoutSeconds=7", "replicas=3"]).ok();
        assert_eq!(release.webhook()["timeoutSeconds"], 7, "Helm {}", helm.version());
        assert_eq!(release.webhook()["clientConfig"], written, "Helm {}", helm.version());
        // A rotation.
        release.server_writes();
        let written = release.webhook()["clientConfig"].clone();
        release.namespace.helm(helm, &["rollback", &release.name, "1"]).ok();
        assert_eq!(release.webhook()["timeoutSeconds"], 10, "Helm {}", helm.version());
        assert_eq!(release.webhook()["clientConfig"], written, "Helm {}", helm.version());
        release.namespace.helm(helm, &["uninstall", &release.name]).ok();
        assert_eq!(release.namespace.user().get(&release.path()).status, 404);
    }
}

#[test]
fn a_policy_that_is_taken_out_takes_its_webhook_with_it() {
    let plane = ControlPlane::shared();
    for helm in HELMS {
        let release = Release::new(&plane, helm);
        let second = format!("policies.{}-b.onChange=Keep", release.name);
        release.helm(&["install"], &[&second]).ok();
        release.server_writes();
        let entry = format!("{}-b.rejob.dev", release.name);
        let client = json!({ "caBundle": a_ca(), "service": { "path": PATH } });
        let patch = json!({ "webhooks": [{ "name": entry, "clientConfig": client }] });
        let url = format!("{}?fieldManager=rejob", release.path());
        release.namespace.user().patch("strategic-merge", &url, &patch).ok();
        release.helm(&["upgrade"], &[]).ok();
        let configuration = release.namespace.user().get(&release.path()).ok();
        let names: Vec<_> =
            configuration["webhooks"].as_array().unwrap().iter().map(|w| &w["name"]).collect();
        assert_eq!(
            names,
            [
                &json!(format!("{}.rejob.dev", release.name)),
                &json!("rerun.rejob.dev"),
                &json!("dormant.rejob.dev"),
            ],
            "Helm {}",
            helm.version()
        );
        assert!(
            release.webhook()["clientConfig"]["caBundle"].is_string(),
            "Helm {}",
            helm.version()
        );
        release.namespace.helm(helm, &["uninstall", &release.name]).ok();
    }
}

#[test]
fn uninstall_leaves_nothing_of_the_release() {
    let plane = ControlPlane::shared();
    for helm in HELMS {
        let release = Release::new(&plane, helm);
        release
            .helm(&["install"], &["autoscaling.enabled=true", "metrics.dashboard.enabled=true"])
            .ok();
        let rendered =
            release.namespace.helm(helm, &["get", "manifest", &release.name]).ok().stdout;
        assert!(objects(&rendered).len() > 10);
        release.namespace.helm(helm, &["uninstall", &release.name]).ok();
        let args = ["get", "--ignore-not-found", "--output=name", "--filename=-"];
        let left = release.namespace.kubectl_with(&rendered, &args).ok().stdout;
        assert_eq!(left, "", "Helm {}", helm.version());
    }
}

#[test]
fn gitops_tools_see_no_drift_after_the_server_wrote() {
    let plane = ControlPlane::shared();
    let release = Release::new(&plane, Helm::V4_3);
    let rendered = release.helm(&["template"], &[]).ok().stdout;
    for side in ["--server-side", "--server-side=false"] {
        let apply = ["apply", side, "--filename=-"];
        release.namespace.kubectl_with(&rendered, &apply).ok();
        release.server_writes();
        let diff = ["diff", side, "--filename=-"];
        let output = release.namespace.kubectl_with(&rendered, &diff);
        assert_eq!(output.code, 0, "{side}: {}{}", output.stdout, output.stderr);
        release.namespace.kubectl_with(&rendered, &apply).ok();
        assert!(release.webhook()["clientConfig"]["caBundle"].is_string(), "{side}");
        release.namespace.kubectl_with(&rendered, &["delete", "--filename=-"]).ok();
    }
}

#[test]
fn another_certificates_mode_takes_the_path_back_with_force_conflicts() {
    let plane = ControlPlane::shared();
    let provided = [
        "certificates.mode=provided",
        "certificates.provided.secretName=mine",
        "webhook.acceptUnauthenticated=true",
    ];
    for helm in HELMS {
        let release = Release::new(&plane, helm);
        release.helm(&["install"], &[]).ok();
        release.server_writes();
        let path = json!(format!("/v1/policies/{}", release.name));
        if helm == Helm::V3_22 {
            release.helm(&["upgrade"], &provided).ok();
        } else {
            // Server-side apply tells the two writers apart: docs/install/upgrade.md says what to do.
            let conflict = release.helm(&["upgrade"], &provided);
            assert_ne!(conflict.code, 0);
            conflict.warns("conflict");
            release.helm(&["upgrade", "--force-conflicts"], &provided).ok();
        }
        assert_eq!(
            release.webhook()["clientConfig"]["service"]["path"],
            path,
            "Helm {}",
            helm.version()
        );
        release.namespace.helm(helm, &["uninstall", &release.name]).ok();
    }
}

#[test]
fn the_service_account_of_a_release_may_do_what_rejob_does_and_nothing_else() {
    let plane = ControlPlane::shared();
    let release = Release::new(&plane, Helm::V4_3);
    release.helm(&["install"], &[]).ok();
    let own = release.namespace.name();
    let other = plane.namespace("other", &[]);
    let account = plane.service_account(own, &release.name);
    let may = |verb: &str, group: &str, resource: &str, namespace: &str, name: &str| {
        let review = json!({ "spec": { "resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name,
        }}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        account.post(path, &review).ok()["status"]["allowed"] == true
    };
    let every = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let verbs = |group: &str, resource: &str, namespace: &str, name: &str| {
        every
            .into_iter()
            .filter(|verb| may(verb, group, resource, namespace, name))
            .collect::<Vec<_>>()
    };
    let jobs = ["get", "list", "create", "delete"];
    assert_eq!(verbs("batch", "jobs", other.name(), ""), jobs);
    assert_eq!(verbs("", "events", other.name(), ""), ["create"]);
    assert_eq!(verbs("", "pods", other.name(), ""), ["list"]);
    assert_eq!(verbs("", "namespaces", other.name(), other.name()), ["get"]);
    assert_eq!(verbs("authorization.k8s.io", "subjectaccessreviews", "", ""), ["create"]);
    let secret = format!("{}-tls", release.name);
    assert_eq!(verbs("", "secrets", own, &secret), ["get", "create", "patch"]);
    assert_eq!(verbs("", "secrets", own, "another"), ["create"]);
    assert!(verbs("", "secrets", other.name(), &secret).is_empty());
    let configurations = "mutatingwebhookconfigurations";
    let group = "admissionregistration.k8s.io";
    let name = format!("00-{}", release.name);
    assert_eq!(verbs(group, configurations, "", &name), ["get", "patch"]);
    assert!(verbs(group, configurations, "", "another").is_empty());
    for (group, resource) in [
        ("", "pods/exec"),
        ("", "serviceaccounts/token"),
        ("batch", "jobs/status"),
        ("batch", "cronjobs"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ] {
        assert!(verbs(group, resource, other.name(), "").is_empty(), "{resource}");
    }
    assert!(!may("impersonate", "", "users", "", "admin"));
    release.namespace.helm(release.helm, &["uninstall", &release.name]).ok();
}
