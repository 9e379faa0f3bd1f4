//! Kueue's controller: it suspends the Jobs of a queue, and starts them when there is room.

use std::fs;

use serde_json::{Value, json};

use support::client::{Client, JOB, Place, container};
use support::clients;
use support::namespace::has_condition;
use support::outcomes::a_few_at_a_time;
use support::plane::{self, ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::{POLICIES, Situation};
use support::{manifest, net, wait};

use super::neighbor::{Neighbor, Program, apply, mount};
use super::play::{IMAGES, Kubectl, WELL, deploy, deploys};
use super::situations::{self, Beside};
use super::table::Table;

const KUEUE: Program = Program {
    name: "kueue",
    version: "0.17.0",
    module: "sigs.k8s.io/kueue",
    package: "sigs.k8s.io/kueue/cmd/kueue",
};
const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";

/// Kueue's own manifests, less those of its Pods and rights.
fn install(plane: &ControlPlane) {
    plane.admin().kubectl(&["create", "namespace", "kueue-system"], "").ok();
    let dir = plane.dir().join("kueue");
    fs::create_dir_all(&dir).unwrap();
    // Kustomize takes no absolute path.
    let components = KUEUE.source("config/components");
    let up = "../".repeat(dir.canonicalize().unwrap().components().count() - 1);
    let resources: Vec<_> = ["crd", "internalcert", "webhook"]
        .iter()
        .map(|part| format!("{up}{}/{part}", components.trim_start_matches('/')))
        .collect();
    let kustomization =
        json!({ "namespace": "kueue-system", "namePrefix": "kueue-", "resources": resources });
    fs::write(dir.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    apply(plane, "", &["-k", &dir.display().to_string()]);
}

/// Listens where the API server looks for Kueue's Service, on its port 443.
fn start(plane: &ControlPlane) -> Neighbor {
    install(plane);
    let path = "/api/v1/namespaces/kueue-system/services/kueue-webhook-service";
    let service = plane.admin().get(path).ok();
    let certificates = plane.dir().join("kueue-certs");
    let config = json!({
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": "kueue-system",
        "health": { "healthProbeBindAddress": format!("127.0.0.1:{}", net::free_port()) },
        "metrics": { "bindAddress": "0" },
        "webhook": {
            "host": service["spec"]["clusterIP"],
            "port": 443,
            "certDir": certificates,
        },
        "leaderElection": { "leaderElect": false },
        "internalCertManagement": {
            "enable": true,
            "webhookServiceName": "kueue-webhook-service",
            "webhookSecretName": "kueue-webhook-server-cert",
        },
        "integrations": { "frameworks": ["batch/job"] },
    });
    let file = plane.dir().join("kueue.yaml");
    fs::write(&file, config.to_string()).unwrap();
    let user = plane.user("kueue", Some("system:masters"));
    let args = [
        format!("--config={}", file.display()),
        format!("--kubeconfig={}", user.kubeconfig().display()),
        "--feature-gates=VisibilityOnDemand=false".to_owned(),
    ];
    let mut neighbor = Neighbor::start(plane, &user, KUEUE, &args, &[]);
    let secret = "/api/v1/namespaces/kueue-system/secrets/kueue-webhook-server-cert";
    mount(plane, &mut neighbor, secret, &certificates);
    neighbor
}

/// A queue of the cluster with room for four processors.
fn cluster_queue(plane: &ControlPlane, neighbor: &mut Neighbor, name: &str) {
    let flavor = json!({ "name": "default", "resources": [{ "name": "cpu", "nominalQuota": 4 }] });
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        kueue("ResourceFlavor", json!({ "name": "default" }), json!({
            "nodeLabels": { "pool": "a" }, "tolerations": [{ "key": "pool", "operator": "Exists" }],
        })),
        kueue("ClusterQueue", json!({ "name": name }), json!({
            "namespaceSelector": {},
            "resourceGroups": [{ "coveredResources": ["cpu"], "flavors": [flavor] }],
        })),
    ]});
    let args = ["apply", "--server-side", "-f", "-"];
    let mut last = String::new();
    let taken = wait::poll(wait::DEADLINE, || {
        neighbor.assert_runs();
        let output = plane.admin().kubectl(&args, &objects.to_string());
        last = output.stderr;
        (output.code == 0).then_some(())
    });
    assert!(taken.is_some(), "Kueue does not take its objects: {last}");
}

fn kueue(kind: &str, metadata: Value, spec: Value) -> Value {
    json!({ "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, "spec": spec })
}

fn place<'r>(rejob: &'r Rejob<'r>, opted_in: bool, cluster_queue: &str) -> Place<'r> {
    with_queues(Place::new(rejob, opted_in), cluster_queue)
}

/// The place with two queues; `default` is that of Jobs that name none.
fn with_queues<'r>(place: Place<'r>, cluster_queue: &str) -> Place<'r> {
    for name in ["default", "other"] {
        let metadata = json!({ "name": name, "namespace": place.namespace.name() });
        let queue = kueue("LocalQueue", metadata, json!({ "clusterQueue": cluster_queue }));
        place
            .namespace
            .kubectl_with(&queue.to_string(), &["apply", "--server-side", "-f", "-"])
            .ok();
    }
    // Kueue knows of the queue once its webhook puts Jobs into it.
    wait::until("a Job is put into the queue", || {
        let path = format!("{}?dryRun=All", place.namespace.jobs_path());
        let answer = place.namespace.user().post(&path, &manifest::job("probe", "busybox:1"));
        answer.body["metadata"]["labels"][QUEUE_NAME].is_string().then_some(())
    });
    place
}

fn into_default(job: &mut Value) {
    into(job, "default");
}

fn into_other(job: &mut Value) {
    into(job, "other");
}

/// Asks for what the queue has, so that its flavor says where the Pods run.
fn into(job: &mut Value, queue: &str) {
    job["metadata"]["labels"][QUEUE_NAME] = queue.into();
    container(job)["resources"] = json!({ "requests": { "cpu": "1" } });
}

/// Into its queue, which has no room for another Job then.
fn all_of_the_queue(job: &mut Value) {
    into_default(job);
    container(job)["resources"] = json!({ "requests": { "cpu": "4" } });
}

/// Kueue refuses every write without the label of the queue that it has put the Job into.
const UNNAMED: &str =
    "run, error: queue-name must not be empty, run, error: queue-name must not be empty";

/// Whether the client's writes are a manifest as a whole, which names no queue.
fn puts(client: &dyn Client) -> bool {
    ["kubectl create, replace", "Helm 3.22 --force", "PUT of the bare manifest"]
        .contains(&client.title())
        || client.title().contains("--force-replace")
}

/// Deploys [`IMAGES`]; what came of it. Every new Job has run once.
fn deploys_that_run(client: &dyn Client, place: &Place<'_>) -> String {
    let outcomes = deploys(client, place, &IMAGES);
    assert_ran(place, &outcomes);
    outcomes
}

fn assert_ran(place: &Place<'_>, outcomes: &str) {
    place.namespace.assert_ran(outcomes.split(", ").filter(|outcome| *outcome == "run").count());
    let pod = &place.job().unwrap()["spec"]["template"]["spec"];
    if pod["containers"][0]["resources"]["requests"].is_object() {
        // Where the queue's flavor says. Kueue sends no field manager.
        assert_eq!(pod["nodeSelector"], json!({ "pool": "a" }));
        assert_eq!(pod["tolerations"][0]["key"], "pool");
    }
}

/// The Job waits in its queue: suspended, with one Workload and no Pod.
fn assert_queued(place: &Place<'_>) {
    let job = place.job().unwrap();
    let uid = &job["metadata"]["uid"];
    let namespace = place.namespace.name();
    let path = format!("/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/workloads");
    let workloads = wait::until("Kueue makes a Workload of the Job", || {
        let list = place.namespace.user().get(&path).ok();
        let all = list["items"].as_array().unwrap().iter();
        let of_it = all.filter(|it| it["metadata"]["ownerReferences"][0]["uid"] == *uid).count();
        (of_it > 0).then_some(of_it)
    });
    assert_eq!(workloads, 1);
    let job = place.job().unwrap();
    assert_eq!(job["spec"]["suspend"], true, "{job:#}");
    assert_eq!(job["metadata"]["uid"], *uid);
    assert_eq!(place.namespace.pods(uid.as_str().unwrap()), Vec::<Value>::new());
}

/// The first image in one queue, the second in the other.
fn another_queue(client: Kubectl, place: &Place<'_>) -> String {
    let first = deploy(&client, place, "busybox:1");
    place.namespace.started_pods(JOB);
    let second = deploy(&Kubectl { edit: into_other, ..client }, place, "busybox:2");
    if second == "run" {
        assert_eq!(place.job().unwrap()["metadata"]["labels"][QUEUE_NAME], "other");
        place.namespace.finish_pods(JOB);
    }
    let outcomes = format!("{first}, {second}");
    assert_ran(place, &outcomes);
    outcomes
}

/// The queue is closed, which suspends its Jobs, and opened again.
fn suspended_and_resumed(client: Kubectl, place: &Place<'_>, queue: &str) -> String {
    let first = deploy(&client, place, "busybox:1");
    place.namespace.started_pods(JOB);
    let stop = |policy: &str| {
        let change = json!({ "spec": { "stopPolicy": policy } }).to_string();
        let args = ["patch", "clusterqueue", queue, "--type=merge", "-p", &change];
        place.namespace.kubectl(&args).ok();
    };
    stop("HoldAndDrain");
    wait::until("the Job is suspended", || {
        has_condition(&place.job().unwrap(), "Suspended").then_some(())
    });
    let second = deploy(&client, place, "busybox:1");
    let mut third = deploy(&client, place, "busybox:2");
    if third == "run" {
        assert_queued(place);
        "new Job (queued)".clone_into(&mut third);
    }
    stop("None");
    place.namespace.finish_pods(JOB);
    // Once before the queue was closed, and once after.
    place.namespace.assert_ran(2);
    let fourth = deploy(&client, place, manifest::image(&place.job().unwrap()));
    format!("{first}, {second}, {third}, resumed, {fourth}")
}

#[test]
fn kueue_queues_jobs() {
    let range = format!("--service-cluster-ip-range={}", net::address_range());
    let options = Options { apiserver_flags: vec![range], ..Options::default() };
    let plane = ControlPlane::start(&options);
    let mut neighbor = start(&plane);
    cluster_queue(&plane, &mut neighbor, "main");
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let mut table = Table::new(
        "Kueue",
        format!(
            "Kueue {}, its controller and its webhooks. `busybox:1` is deployed twice, then `busybox:2` twice. The queue starts\n\
             every Job, and it has finished before the next deploy. Every \"run\" is a new Job that has started one Pod; one that is\n\
             \"queued\" is suspended, has a Workload and no Pod. Unless a row says otherwise, the manifest names no queue, and Kueue\n\
             puts the Job into the namespace's default one.\n\
             \n\
             Kueue refuses a PUT that lacks the queue's label (`queue-name must not be empty`). A manifest that names no queue lacks\n\
             it. If such a PUT changes the Job, rejob creates a new Job and Kueue labels it; an unchanged PUT is refused. For\n\
             `kubectl replace`, `helm --force` and `--force-replace`: name the queue in the manifest.\n\
             \n\
             {}",
            KUEUE.version,
            situations::ABOUT
        ),
    );
    let clients = clients::all();
    let outcomes = a_few_at_a_time(&clients, |client| {
        [false, true]
            .map(|opted_in| deploys_that_run(client.as_ref(), &place(&rejob, opted_in, "main")))
    });
    for (client, [before, after]) in clients.iter().zip(outcomes) {
        table.row(client.title(), &before, &after);
        if !client.recreates() {
            let wanted = if puts(client.as_ref()) { UNNAMED } else { WELL };
            assert_eq!(after, wanted, "{}", client.title());
        }
    }
    let client = Kubectl { title: "kubectl replace", edit: into_default };
    let [before, after] =
        [false, true].map(|opted_in| deploys_that_run(&client, &place(&rejob, opted_in, "main")));
    table.row("kubectl create, replace, of a manifest that names its queue", &before, &after);
    assert_eq!(after, WELL);
    for client in Kubectl::both(into_default) {
        let title = client.title();
        let [before, after] =
            [false, true].map(|opted_in| another_queue(client, &place(&rejob, opted_in, "main")));
        table.row(&format!("{title}: another image in another queue"), &before, &after);
        assert_eq!(after, "run, run", "{title}");
        let [before, after] = [false, true].map(|opted_in| {
            let queue = format!("closed-{}", plane::unique());
            cluster_queue(&plane, &mut neighbor, &queue);
            suspended_and_resumed(client, &place(&rejob, opted_in, &queue), &queue)
        });
        let situation = format!("{title}: unchanged, then changed while its queue is closed");
        table.row(&situation, &before, &after);
        assert_eq!(after, "run, no run, new Job (queued), resumed, no run", "{title}");
        let client = Kubectl { edit: all_of_the_queue, ..client };
        for situation in [Situation::ChangedHanging, Situation::ChangedRunning] {
            let [before, after] = [false, true].map(|opted_in| {
                let queue = format!("full-{}", plane::unique());
                cluster_queue(&plane, &mut neighbor, &queue);
                situation.play(&client, &place(&rejob, opted_in, &queue))
            });
            let row = format!("{title}: {} and fills its queue", situation.title());
            table.row(&row, &before, &after);
            assert_eq!(after, situation.wanted(&client), "{row}");
        }
    }
    let place = &|policy: Option<&str>| with_queues(situations::place(&rejob, policy), "main");
    Beside { prefix: "", place }.situations(&mut table);
    table.compare();
}
