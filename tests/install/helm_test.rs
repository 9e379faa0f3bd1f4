//! `helm test`: the doctor in a Pod of the chart's, with the rights that the chart gives it. The test
//! plays the kubelet: it runs the program with the Pod's arguments and account, and writes how it ended.

use serde_json::{Value, json};

use support::helm::Helm;
use support::namespace::Namespace;
use support::output::Output;
use support::pod;
use support::service::Service;
use support::site::{self, CONFIGURATION, Site};
use support::wait;

const PROFILE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/charts/rejob/ci/least-rights-values.yaml");

#[test]
fn helm_3_tests_a_release_with_rights_that_are_gone_afterwards() {
    tests(Helm::V3_22);
}

#[test]
fn helm_4_tests_a_release_with_rights_that_are_gone_afterwards() {
    tests(Helm::V4_3);
}

/// With the production profile, whose rights are in the team's namespace only.
fn tests(helm: Helm) {
    let cluster = site::cluster();
    let team = cluster.plane.namespace("team", &[("rejob.dev/policy", "replace")]);
    let namespaces = format!("rbac.namespaces={{{}}}", team.name());
    let site =
        Site::install_with(&cluster.plane, helm, &["--values", PROFILE, "--set", &namespaces]);
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    site.wait_until_called(&team);

    let (test, log) = helm_test(&site);
    assert_eq!(test.code, 0, "{}{}\n{log}", test.stdout, test.stderr);
    // It saw the calls, in the one namespace that it may look into.
    assert!(log.contains("rejob is called") && log.contains("rejob is well"), "{log}");
    no_rights_are_left(&site, &team);

    let broken =
        json!({ "webhooks": [{ "name": "replace.rejob.dev", "namespaceSelector": null }] });
    cluster.plane.admin().patch("strategic-merge", CONFIGURATION, &broken).ok();
    let (test, log) = helm_test(&site);
    assert_ne!(test.code, 0, "{}", test.stdout);
    assert!(log.contains("does not ask for the label rejob.dev/policy"), "{log}");
    no_rights_are_left(&site, &team);
}

/// What Helm says, and the log of the Pod.
fn helm_test(site: &Site<'_>) -> (Output, String) {
    let path = site.path("/api/v1", "pods", "rejob-doctor");
    let admin = site.plane.admin();
    let uid = |answer: &Value| answer["metadata"]["uid"].as_str().map(str::to_owned);
    let before = uid(&admin.get(&path).body);
    std::thread::scope(|scope| {
        let helm = scope.spawn(|| site.namespace.helm(site.helm, &["test", site::RELEASE]));
        let pod = wait::until("the Pod of the test", || {
            let answer = admin.get(&path);
            (answer.status == 200 && uid(&answer.body) != before).then_some(answer.body)
        });
        let log = run(site, &pod);
        (helm.join().expect("Helm ends"), log)
    })
}

/// What the kubelet does: runs the container, and writes the Pod's status.
fn run(site: &Site<'_>, pod: &Value) -> String {
    let container = &pod["spec"]["containers"][0];
    let args = container["args"].as_array().expect("arguments").iter();
    let account = pod["spec"]["serviceAccountName"].as_str().expect("an account");
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = pod::command(site, account, dir.path());
    let output = Output::of(command.args(args.map(|arg| arg.as_str().expect("a text"))), "");
    let (phase, reason) =
        if output.code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
    let over = "PodCompleted";
    let condition =
        |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": over });
    let status = json!({ "status": {
        "phase": phase,
        "conditions": [
            condition("Initialized", "True"), condition("Ready", "False"),
            condition("ContainersReady", "False"), condition("PodScheduled", "True"),
        ],
        "containerStatuses": [{
            "name": container["name"], "image": container["image"], "imageID": "", "ready": false,
            "restartCount": 0, "started": false,
            "state": { "terminated": { "exitCode": output.code, "reason": reason } },
        }],
    }});
    let path = site.path("/api/v1", "pods", "rejob-doctor/status");
    site.plane.admin().patch("merge", &path, &status).ok();
    output.stdout + &output.stderr
}

fn no_rights_are_left(site: &Site<'_>, team: &Namespace) {
    let kinds = "serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
    for namespace in [&site.namespace, team] {
        let selector = "--selector=app.kubernetes.io/component=doctor";
        let left = namespace.kubectl(&["get", kinds, "--output=name", selector]).ok().stdout;
        assert_eq!(left, "");
    }
}
