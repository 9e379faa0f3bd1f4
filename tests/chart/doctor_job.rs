//! `examples/install/doctor.yaml` and what `helm test` makes of the chart: its rights are enough for the doctor, it may run where the
//! restricted standard is enforced, and the program understands its arguments.

use std::process::Command;

use clap::Parser;
use serde_json::{Value, json};

use super::render::{KUBERNETES, chart, objects, of_kind, the};
use support::helm::Helm;
use support::output::Output;
use support::plane::{self, ControlPlane};

/// The example, in another namespace and with another name for what is cluster-wide.
fn example(namespace: &str, name: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/install/doctor.yaml");
    let text = std::fs::read_to_string(path).expect("the example");
    let text = text.replace("namespace: rejob", &format!("namespace: {namespace}"));
    objects(&text.replace("name: rejob-doctor", &format!("name: {name}")))
}

/// The findings of the doctor as the user of that kubeconfig: `level check subject: message`.
fn findings(kubeconfig: &str, namespace: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.env_clear().args(["doctor", "--output", "json", "--kubeconfig", kubeconfig]);
    let output = Output::of(command.args(["--namespace", namespace]), "");
    let json: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let line = |finding: &Value| {
        ["level", "check", "subject", "message"].map(|key| text(finding, key)).join(" ")
    };
    json["findings"].as_array().expect("findings").iter().map(line).collect()
}

#[test]
fn the_doctor_in_the_cluster_has_the_rights_to_see_what_an_admin_sees() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("doctor", &[]);
    let release = format!("rejob-{}", plane::unique());
    let policy = format!("policies.{release}.onChange=Replace");
    let chart = chart().display().to_string();
    let others = "policies.replace=null,policies.hash-name=null,policies.ttl=null";
    let install = ["install", &release, &chart, "--set", &policy, "--set", others];
    namespace.helm(Helm::V4_3, &install).ok();
    let objects = example(namespace.name(), &release.replace("rejob", "doctor"));
    let account = the(&objects, "ServiceAccount")["metadata"]["name"].as_str().unwrap().to_owned();
    for object in objects.iter().filter(|object| object["kind"] != "Job") {
        let args = ["create", "--validate=strict", "--filename=-"];
        namespace.kubectl_with(&object.to_string(), &args).ok();
    }
    let seen = |kubeconfig: &std::path::Path| {
        // What concerns this installation: other tests have theirs on the same cluster.
        let mut lines = findings(kubeconfig.to_str().unwrap(), namespace.name());
        lines.retain(|line| line.contains(&release));
        // Whether there is a namespace to try, and a webhook before this one, is up to them as well;
        // and from outside the cluster the Secret tells, which the Job's account may not read.
        let elsewhere = [" calls ", " order ", " ca-bundle ", " certificate "];
        lines.retain(|line| !elsewhere.iter().any(|check| line.contains(check)));
        lines
    };
    let admin = seen(namespace.user().kubeconfig());
    let user = plane.service_account(namespace.name(), &account);
    assert_eq!(seen(user.kubeconfig()), admin);
    for check in ["ok webhook-configuration", "ok rights", "deployment", "endpoints", "entry"] {
        assert!(admin.iter().any(|line| line.contains(check)), "no {check:?} in {admin:#?}");
    }
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        for object in of_kind(&objects, kind) {
            let name = object["metadata"]["name"].as_str().unwrap();
            namespace.kubectl(&["delete", kind, name]).ok();
        }
    }
    namespace.helm(Helm::V4_3, &["uninstall", &release]).ok();
}

#[test]
fn the_doctors_job_is_one_that_a_restricted_namespace_takes() {
    let plane = ControlPlane::shared();
    let label = ("pod-security.kubernetes.io/enforce", "restricted");
    let namespace = plane.namespace("doctor-job", &[label]);
    let objects = example(namespace.name(), "doctor");
    let job = the(&objects, "Job");
    let args = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
    namespace.kubectl_with(&job.to_string(), &args).ok();
    let mut pod = job["spec"]["template"].clone();
    pod["metadata"] = json!({ "name": "doctor" });
    let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace.name());
    plane.admin().post(&path, &pod).ok();
    let container = &pod["spec"]["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container["image"], format!("ghcr.io/rejob/rejob:{version}"));
    let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    let cli = rejob::cli::Cli::try_parse_from(std::iter::once("rejob").chain(args)).unwrap();
    assert!(matches!(cli.command, rejob::cli::Command::Doctor(_)));
}

/// What rules allow, each right for itself: `group/resource verb`.
fn rights(role: &Value) -> Vec<String> {
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        rule[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut found = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        for resource in texts(rule, "resources") {
            let group = texts(rule, "apiGroups").join(",");
            found.extend(
                texts(rule, "verbs").iter().map(|verb| format!("{group}/{resource} {verb}")),
            );
        }
    }
    found
}

/// The rights that `docs/doctor.md` names, but for the Secret: from a Pod a handshake shows the certificate.
fn rights_of_the_page() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md");
    let page = std::fs::read_to_string(path).expect("docs/doctor.md");
    let block = page.split_once("```yaml\n").expect("the ClusterRole").1;
    let role: Value = serde_saphyr::from_str(block.split_once("```").unwrap().0).unwrap();
    let mut expected = rights(&role);
    expected.retain(|right| !right.contains("/secrets "));
    expected
}

#[test]
fn the_doctors_rights_are_those_of_its_page_less_the_secret() {
    let mut expected = rights_of_the_page();
    let objects = example("rejob", "rejob-doctor");
    let mut found = rights(the(&objects, "ClusterRole"));
    found.extend(rights(the(&objects, "Role")));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// What `helm test` makes, for values.
pub fn of_helm_test(values: &str) -> Vec<Value> {
    let mut command = Command::new(Helm::V4_3.program());
    command.args(["template", "rejob"]).arg(chart()).args([
        "--namespace",
        "rejob",
        "--values",
        "-",
    ]);
    command.args(["--kube-version", KUBERNETES]);
    command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR"));
    let all = objects(&Output::of(&mut command, values).ok().stdout);
    let is_test = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"] == "test";
    all.into_iter().filter(is_test).collect()
}

#[test]
fn helm_test_gives_the_doctor_the_rights_of_its_page_less_the_secret() {
    let mut expected = rights_of_the_page();
    let objects = of_helm_test("{}");
    let roles = objects.iter().filter(|object| !object["rules"].is_null());
    let mut found: Vec<_> = roles.flat_map(rights).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    // All that is cluster-wide but the Jobs goes where rejob's own rights are limited.
    let limited = of_helm_test("rbac: {namespaces: [batch]}");
    let cluster = rights(the(&limited, "ClusterRole"));
    assert!(!cluster.iter().any(|right| right.contains("jobs")), "{cluster:?}");
    let batch = of_kind(&limited, "Role");
    let batch = batch.iter().find(|role| role["metadata"]["namespace"] == "batch").unwrap();
    assert_eq!(rights(batch), ["batch/jobs list", "batch/jobs create"]);
    assert!(of_helm_test("rbac: {create: false}").is_empty());
    assert!(of_helm_test("enabled: false").is_empty());
}

#[test]
fn the_pod_of_helm_test_is_one_that_a_restricted_namespace_takes() {
    let plane = ControlPlane::shared();
    let label = ("pod-security.kubernetes.io/enforce", "restricted");
    let namespace = plane.namespace("helm-test", &[label]);
    for values in ["{}", "{tolerations: [{operator: Exists}], imagePullSecrets: [{name: a}]}"] {
        let mut pod = the(&of_helm_test(values), "Pod").clone();
        pod["metadata"]["namespace"] = json!(namespace.name());
        let args = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
        namespace.kubectl_with(&pod.to_string(), &args).ok();
        let container = &pod["spec"]["containers"][0];
        let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let cli = rejob::cli::Cli::try_parse_from(std::iter::once("rejob").chain(args)).unwrap();
        assert!(matches!(cli.command, rejob::cli::Command::Doctor(_)));
    }
}
