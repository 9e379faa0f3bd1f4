//! Kyverno's admission controller: it rewrites Jobs, and refuses them.

mod users;

use serde_json::{Value, json};

use support::client::{Client, JOB, Place};
use support::clients;
use support::manifest;
use support::namespace::{Namespace, has_condition};
use support::outcomes::a_few_at_a_time;
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::POLICIES;
use support::{net, wait};

use super::neighbor::{Neighbor, Program, apply};
use super::play::{IMAGES, Kubectl, WELL, deploy, deploys};
use super::situations::{self, Beside};
use super::table::Table;

const KYVERNO: Program = Program {
    name: "kyverno",
    version: "1.19.1",
    module: "github.com/kyverno/kyverno",
    package: "github.com/kyverno/kyverno/cmd/kyverno",
};

/// What its chart installs, as far as a controller outside the cluster needs it.
fn start(plane: &ControlPlane) -> Neighbor {
    apply(plane, "", &["--recursive", "-f", &KYVERNO.source("config/crds")]);
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kyverno" } },
        object("v1", "ServiceAccount", "kyverno"),
        object("v1", "ConfigMap", "kyverno"),
        object("v1", "ConfigMap", "kyverno-metrics"),
        deployment(),
    ]});
    apply(plane, &objects.to_string(), &["-f", "-"]);
    let port = net::free_port();
    let args = [
        format!("--serverIP=127.0.0.1:{port}"),
        format!("--webhookServerPort={port}"),
        "--webhookServerHost=127.0.0.1".to_owned(),
        "--caSecretName=kyverno-ca".to_owned(),
        "--tlsSecretName=kyverno-tls".to_owned(),
        "--controllerRuntimeMetricsAddress=0".to_owned(),
        // `--disableMetrics` would leave the port open on all addresses.
        "--metricsHost=127.0.0.1".to_owned(),
        format!("--metricsPort={}", net::free_port()),
        "--webhookTimeout=25".to_owned(),
        "--admissionReports=false".to_owned(),
    ];
    let user = plane.user("kyverno", Some("system:masters"));
    let kubeconfig = format!("--kubeconfig={}", user.kubeconfig().display());
    let args = [&args[..], &[kubeconfig]].concat();
    let env = [
        ("KYVERNO_NAMESPACE", "kyverno"),
        ("KYVERNO_SERVICEACCOUNT_NAME", "kyverno"),
        ("KYVERNO_ROLE_NAME", "kyverno"),
        ("KYVERNO_DEPLOYMENT", "kyverno"),
        ("KYVERNO_POD_NAME", "kyverno"),
        ("KYVERNO_SVC", "kyverno-svc"),
        ("INIT_CONFIG", "kyverno"),
        ("METRICS_CONFIG", "kyverno-metrics"),
        ("POD_IP", "127.0.0.1"),
    ];
    Neighbor::start(plane, &user, KYVERNO, &args, &env)
}

fn object(version: &str, kind: &str, name: &str) -> Value {
    let metadata = json!({ "name": name, "namespace": "kyverno" });
    json!({ "apiVersion": version, "kind": kind, "metadata": metadata })
}

/// Kyverno waits until its Deployment is there; nobody makes Pods of it.
fn deployment() -> Value {
    let mut deployment = object("apps/v1", "Deployment", "kyverno");
    let labels = json!({ "app": "kyverno" });
    deployment["spec"] = json!({
        "replicas": 0,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "kyverno", "image": "kyverno" }] },
        },
    });
    deployment
}

/// A rule of Kyverno on the Jobs of a rejob's namespaces.
fn rule(rejob: &Rejob<'_>, name: &str, rule: &Value) -> Value {
    let mut rule = rule.clone();
    rule["name"] = name.into();
    let selector = json!({ "matchLabels": rejob.instance_label() });
    let resources = json!({ "kinds": ["Job"], "namespaceSelector": selector });
    rule["match"] = json!({ "any": [{ "resources": resources }] });
    rule
}

/// Creates the policy, and waits until a Job that shows its effect does so.
fn policy(
    plane: &ControlPlane,
    neighbor: &mut Neighbor,
    name: &str,
    rules: &[Value],
    probe: &Namespace,
    shows: impl Fn(u16, &Value) -> bool,
) {
    let policy = json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": { "name": name },
        "spec": { "background": false, "emitWarning": false, "rules": rules },
    });
    wait::until("Kyverno takes the policy", || {
        neighbor.assert_runs();
        let path =
            format!("/apis/kyverno.io/v1/clusterpolicies/{name}?fieldManager=test&force=true");
        let answer = plane.admin().apply(&path, &policy);
        (answer.status < 300).then_some(())
    });
    wait::until("the policy is ready", || {
        let path = format!("/apis/kyverno.io/v1/clusterpolicies/{name}");
        has_condition(&plane.admin().get(&path).ok(), "Ready").then_some(())
    });
    wait::until("the policy has an effect", || {
        let path = format!("{}?dryRun=All", probe.jobs_path());
        let answer = probe.user().post(&path, &manifest::job("probe", "busybox:1"));
        shows(answer.status, &answer.body).then_some(())
    });
}

/// Pods get a registry mirror and a pull secret, and one image is not let in.
fn rewrites(rejob: &Rejob<'_>) -> [Value; 3] {
    let pod = |spec: Value| json!({ "spec": { "template": { "spec": spec } } });
    let image = json!([{ "name": "{{ element.name }}", "image": "mirror.example.com/{{ element.image }}" }]);
    let mirrored = json!({ "key": "{{ element.image }}", "operator": "NotEquals", "value": "mirror.example.com/*" });
    [
        rule(
            rejob,
            "mirror",
            &json!({ "mutate": { "foreach": [{
                "list": "request.object.spec.template.spec.containers",
                "preconditions": { "all": [mirrored] },
                "patchStrategicMerge": pod(json!({ "containers": image })),
            }]}}),
        ),
        rule(
            rejob,
            "pull-secret",
            &json!({ "mutate": {
                "patchStrategicMerge": pod(json!({ "imagePullSecrets": [{ "name": "pull" }] })),
            }}),
        ),
        rule(
            rejob,
            "images",
            &json!({ "validate": {
                "failureAction": "Enforce",
                "message": "the image is not let in",
                "pattern": pod(json!({ "containers": [{ "image": "!*:forbidden" }] })),
            }}),
        ),
    ]
}

/// Jobs have the label `team`, in what is created and what is changed.
fn requires_label(rejob: &Rejob<'_>, allow_existing: bool) -> Value {
    rule(
        rejob,
        "labels",
        &json!({ "validate": {
            "failureAction": "Enforce",
            "allowExistingViolations": allow_existing,
            "message": "the label team is required",
            "pattern": { "metadata": { "labels": { "team": "?*" } } },
        }}),
    )
}

fn with_team(job: &mut Value) {
    job["metadata"]["labels"]["team"] = "a".into();
}

/// With the label unchanged and changed, then without it.
fn labels(client: Kubectl, place: &Place<'_>) -> String {
    let labeled = deploys(&client, place, &IMAGES);
    let bare = Kubectl { edit: |_| {}, ..client };
    format!("{labeled}, {}", deploy(&bare, place, "busybox:3"))
}

/// The Job is older than the policy: unchanged, changed, changed and given the label.
fn existing(client: Kubectl, place: &Place<'_>) -> String {
    let bare = Kubectl { edit: |_| {}, ..client };
    let [first, second] = ["busybox:1", "busybox:2"].map(|image| deploy(&bare, place, image));
    format!("{first}, {second}, {}", deploy(&client, place, "busybox:2"))
}

#[test]
fn kyverno() {
    let plane = ControlPlane::start(&Options::default());
    let mut neighbor = start(&plane);
    let mut table = Table::new(
        "Kyverno",
        format!(
            "Kyverno {}, its admission controller. Unless a row says otherwise: deploys of `busybox:1` twice, then of `busybox:2`\n\
             twice; each Job finishes before the next deploy.\n\
             \n\
             Kyverno judges a replacement as the creation of a new Job. So a Job that is older than a policy is no longer excepted\n\
             once it changes: give it what the policy asks for in the same deploy. Until then the old Job stays. A dry run shows the new\n\
             image as the manifest names it, without the mirror.\n\
             \n\
             A policy on the user must let rejob's service account write Jobs as well, since rejob deletes the old Job and makes the\n\
             new one. Set [`checks.asUser`](install/production.md#checks-in-the-users-name) beside such a policy. Without it, Kyverno\n\
             hears of another user's change only after the old Job is deleted. Then the change is refused and the Job is gone; or it\n\
             passes, where a kubectl apply updates the new Job and `allowExistingViolations` is true, Kyverno's default.\n\
             \n\
             {}",
            KYVERNO.version,
            situations::ABOUT
        ),
    );
    rewriting(&plane, &mut neighbor, &mut table);
    requiring(&plane, &mut neighbor, &mut table);
    older_than_the_policy(&plane, &mut neighbor, &mut table);
    users::play(&plane, &mut neighbor, &mut table);
    table.compare();
}

const REWRITTEN: &str = "a registry mirror and a pull secret: ";

fn rewriting(plane: &ControlPlane, neighbor: &mut Neighbor, table: &mut Table) {
    let rejob = Rejob::with_policies(plane, situations::POLICIES);
    let probe = rejob.unlabeled_namespace();
    policy(plane, neighbor, "rewrite", &rewrites(&rejob), &probe, |_, job| {
        job["spec"]["template"]["spec"]["imagePullSecrets"].is_array()
            && manifest::image(job).starts_with("mirror.")
    });
    let clients = clients::all();
    let outcomes = a_few_at_a_time(&clients, |client| {
        let deployed = |opted_in| deploys(client.as_ref(), &Place::new(&rejob, opted_in), &IMAGES);
        [false, true].map(deployed)
    });
    for (client, [before, after]) in clients.iter().zip(outcomes) {
        table.row(&format!("{REWRITTEN}{}", client.title()), &before, &after);
        if !client.recreates() {
            assert_eq!(after, WELL, "{}", client.title());
        }
    }
    let beside = Beside { prefix: REWRITTEN, place: &|policy| situations::place(&rejob, policy) };
    beside.situations(table);
    beside.policies(table);
    beside.refusals(table);
}

fn refuses(_: u16, answer: &Value) -> bool {
    answer["message"].as_str().is_some_and(|message| message.contains("the label team is required"))
}

fn requiring(plane: &ControlPlane, neighbor: &mut Neighbor, table: &mut Table) {
    let rejob = Rejob::with_policies(plane, POLICIES);
    let probe = rejob.unlabeled_namespace();
    policy(plane, neighbor, "labels", &[requires_label(&rejob, true)], &probe, refuses);
    for client in Kubectl::both(with_team) {
        let title = client.title();
        let [before, after] =
            [false, true].map(|opted_in| labels(client, &Place::new(&rejob, opted_in)));
        table.row(&format!("a label is required: {title}, last without it"), &before, &after);
        assert_eq!(after, format!("{WELL}, error: the label team is required"), "{title}");
    }
}

fn older_than_the_policy(plane: &ControlPlane, neighbor: &mut Neighbor, table: &mut Table) {
    for allow_existing in [true, false] {
        let rejob = Rejob::with_policies(plane, POLICIES);
        let clients = Kubectl::both(with_team);
        let places = clients.map(|client| {
            [false, true].map(|opted_in| {
                let place = Place::new(&rejob, opted_in);
                let bare = Kubectl { edit: |_| {}, ..client };
                assert_eq!(deploy(&bare, &place, "busybox:1"), "run");
                place.namespace.finish_pods(JOB);
                place
            })
        });
        let name = format!("existing-{allow_existing}");
        let probe = rejob.unlabeled_namespace();
        let rules = [requires_label(&rejob, allow_existing)];
        policy(plane, neighbor, &name, &rules, &probe, refuses);
        for (client, places) in clients.into_iter().zip(places) {
            let [before, after] = places.each_ref().map(|place| existing(client, place));
            let title = client.title();
            let situation = format!(
                "a Job older than the policy, `allowExistingViolations: {allow_existing}`: {title}, \
                 unchanged, changed, changed and labeled"
            );
            table.row(&situation, &before, &after);
            assert!(
                after.ends_with(", error: the label team is required, run"),
                "{title}: {after}"
            );
        }
    }
}
