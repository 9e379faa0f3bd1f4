//! Gatekeeper: a constraint on Jobs.

use serde_json::{Value, json};

use support::client::Place;
use support::clients;
use support::outcomes::a_few_at_a_time;
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::{manifest, net, wait};

use super::neighbor::{Neighbor, Program, apply, mount};
use super::play::{IMAGES, WELL, deploy, deploys};
use super::situations::{self, Beside, FORBIDDEN, POLICIES};
use super::table::Table;

const GATEKEEPER: Program = Program {
    name: "gatekeeper",
    version: "3.23.1",
    module: "github.com/open-policy-agent/gatekeeper/v3",
    package: "github.com/open-policy-agent/gatekeeper/v3",
};

/// Jobs have a label `app`, and images of tags that are let in.
const REGO: &str = r#"package jobs

violation[{"msg": "a Job needs the label app"}] {
  not input.review.object.metadata.labels.app
}

violation[{"msg": msg}] {
  container := input.review.object.spec.template.spec.containers[_]
  endswith(container.image, ":forbidden")
  msg := sprintf("the image %v is not let in", [container.image])
}
"#;

/// Its own manifest; the process listens where the API server looks for its Service.
fn start(plane: &ControlPlane) -> Neighbor {
    apply(plane, "", &["-f", &GATEKEEPER.source("deploy/gatekeeper.yaml")]);
    let path = "/api/v1/namespaces/gatekeeper-system/services/gatekeeper-webhook-service";
    let service = plane.admin().get(path).ok();
    let host = service["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let certificates = plane.dir().join("gatekeeper-certs");
    let user = plane.user("gatekeeper", Some("system:masters"));
    let args = [
        format!("--host={host}"),
        "--port=443".to_owned(),
        format!("--cert-dir={}", certificates.display()),
        format!("--health-addr=127.0.0.1:{}", net::free_port()),
        "--metrics-addr=0".to_owned(),
        // Its default backend listens on all addresses; this one sends, and nobody listens there.
        "--metrics-backend=opentelemetry".to_owned(),
        format!("--otlp-endpoint=127.0.0.1:{}", net::free_port()),
        "--debug-use-fake-pod".to_owned(),
        "--exempt-namespace=gatekeeper-system".to_owned(),
        "--operation=webhook".to_owned(),
        "--operation=mutation-webhook".to_owned(),
        // It makes the kind of a constraint from its template.
        "--operation=generate".to_owned(),
        format!("--kubeconfig={}", user.kubeconfig().display()),
    ];
    let env = [
        ("POD_NAMESPACE", "gatekeeper-system"),
        ("POD_NAME", "gatekeeper"),
        ("NAMESPACE", "gatekeeper-system"),
        ("CONTAINER_NAME", "manager"),
    ];
    let mut neighbor = Neighbor::start(plane, &user, GATEKEEPER, &args, &env);
    let secret = "/api/v1/namespaces/gatekeeper-system/secrets/gatekeeper-webhook-server-cert";
    mount(plane, &mut neighbor, secret, &certificates);
    // Its check of the labels of Namespaces fails closed.
    let probe = json!({ "metadata": { "name": "probe" } });
    wait::until("Gatekeeper is called", || {
        neighbor.assert_runs();
        (plane.admin().post("/api/v1/namespaces?dryRun=All", &probe).status == 201).then_some(())
    });
    neighbor
}

/// A slow machine must not let in what the constraint refuses: installed, it fails open after seconds.
fn fail_closed(plane: &ControlPlane) {
    let hook = json!({
        "name": "validation.gatekeeper.sh", "failurePolicy": "Fail", "timeoutSeconds": 25,
    });
    let change = json!({ "webhooks": [hook] }).to_string();
    let configuration =
        "validatingwebhookconfiguration/gatekeeper-validating-webhook-configuration";
    plane.admin().kubectl(&["patch", configuration, "-p", &change], "").ok();
}

/// The constraint, once it refuses a Job of a rejob's namespaces.
fn constrain(plane: &ControlPlane, neighbor: &mut Neighbor, rejob: &Rejob<'_>) {
    let template = json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "metadata": { "name": "jobs" },
        "spec": {
            "crd": { "spec": { "names": { "kind": "Jobs" } } },
            "targets": [{ "target": "admission.k8s.gatekeeper.sh", "rego": REGO }],
        },
    });
    apply_when_taken(plane, neighbor, &template);
    let kinds = json!([{ "apiGroups": ["batch"], "kinds": ["Job"] }]);
    let selector = json!({ "matchLabels": rejob.instance_label() });
    let constraint = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Jobs",
        "metadata": { "name": "jobs" },
        "spec": { "match": { "kinds": kinds, "namespaceSelector": selector } },
    });
    apply_when_taken(plane, neighbor, &constraint);
    let path = format!("{}?dryRun=All", rejob.unlabeled_namespace().jobs_path());
    wait::until("the constraint refuses", || {
        let answer = plane.admin().post(&path, &manifest::job("probe", "busybox:1"));
        answer.message().contains("a Job needs the label app").then_some(())
    });
    fail_closed(plane);
}

fn apply_when_taken(plane: &ControlPlane, neighbor: &mut Neighbor, object: &Value) {
    let mut last = String::new();
    let taken = wait::poll(wait::DEADLINE, || {
        neighbor.assert_runs();
        let args = ["apply", "--server-side", "-f", "-"];
        let output = plane.admin().kubectl(&args, &object.to_string());
        last = output.stderr;
        (output.code == 0).then_some(())
    });
    assert!(taken.is_some(), "Gatekeeper does not take its objects: {last}");
}

#[test]
fn gatekeeper_constrains_jobs() {
    let range = format!("--service-cluster-ip-range={}", net::address_range());
    let options = Options { apiserver_flags: vec![range], ..Options::default() };
    let plane = ControlPlane::start(&options);
    let mut neighbor = start(&plane);
    let rejob = Rejob::with_policies(&plane, POLICIES);
    constrain(&plane, &mut neighbor, &rejob);
    let mut table = Table::new(
        "Gatekeeper",
        format!(
            "Gatekeeper {} with a constraint on Jobs: a label, and no image `busybox:forbidden`. Deploys of `busybox:1` twice, then\n\
             of `busybox:2` twice, then of `busybox:forbidden`; each Job finishes before the next deploy.\n\
             \n\
             {}",
            GATEKEEPER.version,
            situations::ABOUT
        ),
    );
    let clients = clients::all();
    let outcomes = a_few_at_a_time(&clients, |client| {
        [false, true].map(|opted_in| {
            let place = Place::new(&rejob, opted_in);
            let allowed = deploys(client.as_ref(), &place, &IMAGES);
            if client.recreates() {
                return allowed;
            }
            format!("{allowed}, {}", deploy(client.as_ref(), &place, FORBIDDEN))
        })
    });
    for (client, [before, after]) in clients.iter().zip(outcomes) {
        table.row(client.title(), &before, &after);
        if !client.recreates() {
            let refused = "error: is not let in";
            assert_eq!(after, format!("{WELL}, {refused}"), "{}", client.title());
        }
    }
    let beside = Beside { prefix: "", place: &|policy| situations::place(&rejob, policy) };
    beside.situations(&mut table);
    beside.policies(&mut table);
    beside.refusals(&mut table);
    table.compare();
}
