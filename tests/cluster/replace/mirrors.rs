//! A hook that both rewrites a field and adds one: a client that merges takes the first back and keeps
//! the second, so what it asks for is neither what is stored nor what it asked for at first. An
//! unchanged deploy is one all the same: nothing runs, whichever replica is asked.

use serde_json::{Value, json};

use support::admission_policy::AdmissionPolicy;
use support::binaries::Binaries;
use support::hook::{self, Hook, Rewrite};
use support::manifest;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place};

/// Webhooks are called in the order of their configurations' names.
const BEFORE: &str = "10-mirror";
const REJOB: &str = "50-rejob";
const AFTER: &str = "90-mirror";

const BOTH: &[&str] = &["CREATE", "UPDATE"];
const CREATE: &[&str] = &["CREATE"];

const POLICIES: &str = "\
policies:
  replace: {}
  keep: { onChange: Keep }
  deny: { onChange: Deny }
";

/// What a policy engine does in an air-gapped cluster: images come from a mirror, with its secret.
fn mirror(job: &mut Value) {
    const MIRROR: &str = "mirror.example.com/";
    let pod = &mut job["spec"]["template"]["spec"];
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        if let Some(image) = container["image"].as_str().filter(|i| !i.starts_with(MIRROR)) {
            container["image"] = format!("{MIRROR}{image}").into();
        }
    }
    add(pod, "imagePullSecrets", json!({ "name": "mirror-pull" }));
}

fn sidecar(job: &mut Value) {
    hook::pin_images(job);
    add(
        &mut job["spec"]["template"]["spec"],
        "containers",
        json!({ "name": "mesh", "image": "mesh@sha256:0" }),
    );
}

fn environment(job: &mut Value) {
    hook::pin_images(job);
    let proxy = json!({ "name": "HTTP_PROXY", "value": "proxy:3128" });
    add(&mut job["spec"]["template"]["spec"]["containers"][0], "env", proxy);
}

/// Adds an item of that name to a list, where there is none.
fn add(object: &mut Value, list: &str, item: Value) {
    let mut items = object[list].as_array().cloned().unwrap_or_default();
    if !items.iter().any(|there| there["name"] == item["name"]) {
        items.push(item);
        object[list] = Value::from(items);
    }
}

/// Who rewrites: a webhook, or the API server itself.
enum Rewriter {
    Webhook { _hook: Hook, rewrite: Rewrite },
    Policy { _policy: AdmissionPolicy },
}

impl Rewriter {
    fn webhook(
        plane: &ControlPlane,
        rejob: &Rejob<'_>,
        name: &str,
        operations: &[&str],
        rewrite: Rewrite,
    ) -> Self {
        let options = hook::Options { name, operations, rewrite, ..hook::Options::default() };
        Self::Webhook { _hook: Hook::with(plane, rejob, &options), rewrite }
    }

    /// As [`mirror`].
    fn policy(plane: &ControlPlane, rejob: &Rejob<'_>) -> Self {
        let image = "object.spec.template.spec.containers[0].image";
        let expression = format!(
            "[JSONPatch{{op: 'replace', path: '/spec/template/spec/containers/0/image', \
             value: 'mirror.example.com/' + {image}}}, \
             JSONPatch{{op: 'add', path: '/spec/template/spec/imagePullSecrets', \
             value: [Object.spec.template.spec.imagePullSecrets{{name: 'mirror-pull'}}]}}]"
        );
        let condition = format!("!{image}.startsWith('mirror.example.com/')");
        let policy = AdmissionPolicy::mutating(plane, rejob, BOTH, &expression, &condition);
        let path = format!("{}?dryRun=All", rejob.unlabeled_namespace().jobs_path());
        wait::until("the policy is in force", || {
            let created = plane.admin().post(&path, &manifest::job("probe", "probe:1")).ok();
            (manifest::image(&created) != "probe:1").then_some(())
        });
        Self::Policy { _policy: policy }
    }

    /// What it makes of that manifest's containers and secrets.
    fn assert_rewrote(&self, manifest: &Value, stored: &Value) {
        let rewrite = match self {
            Self::Webhook { rewrite, .. } => *rewrite,
            Self::Policy { .. } => mirror,
        };
        let mut wanted = manifest.clone();
        rewrite(&mut wanted);
        let rewritten = |job: &Value| -> (Value, Vec<Value>) {
            let pod = &job["spec"]["template"]["spec"];
            let all = pod["containers"].as_array().unwrap().iter();
            let containers = all.map(|c| json!([c["name"], c["image"], c["env"], c["args"]]));
            (pod["imagePullSecrets"].clone(), containers.collect())
        };
        assert_eq!(rewritten(stored), rewritten(&wanted));
    }
}

fn start(plane: &ControlPlane) -> Rejob<'_> {
    Rejob::start(plane, &Options { name: REJOB, policies: Some(POLICIES), ..Options::default() })
}

/// The Job with that image; from `busybox:3` on with a script of more than 16 KiB.
fn manifest(image: &str) -> Value {
    let mut job = Place::manifest(image);
    if image >= "busybox:3" {
        let script = "echo a step of the import\n".repeat(800);
        job["spec"]["template"]["spec"]["containers"][0]["args"] = json!([script]);
    }
    job
}

/// Each client deploys that image so many times, side by side: the same uid each time, and so many
/// runs in all.
fn each_deploys(
    places: &[(Client, Place)],
    rewriter: &Rewriter,
    image: &str,
    times: usize,
    runs: usize,
) {
    std::thread::scope(|scope| {
        for (client, place) in places {
            scope.spawn(move || {
                let mut uid = None;
                for time in 1..=times {
                    place.send(*client, &manifest(image));
                    let what = format!("{client:?}: {image}, deploy {time}");
                    let uid = uid.get_or_insert_with(|| place.uid());
                    assert_eq!(place.uid(), *uid, "{what}: an unchanged deploy ran again");
                }
                rewriter.assert_rewrote(&manifest(image), &place.job());
                let ran = wait::poll(wait::DEADLINE, || (place.runs() >= runs).then_some(()));
                let what = format!("{client:?}: {image}");
                assert!(ran.is_some() && place.runs() == runs, "{what}: {} runs", place.runs());
            });
        }
    });
}

/// Deploys of two versions with restarts of rejob in between: one run of each.
fn one_run_of_each_version(
    clients: impl IntoIterator<Item = Client>,
    rewriter: impl FnOnce(&ControlPlane, &Rejob<'_>) -> Rewriter,
) {
    let plane = ControlPlane::shared();
    let mut rejob = start(&plane);
    let rewriter = rewriter(&plane, &rejob);
    let place = |client| (client, Place::new(rejob.namespace("replace")));
    let places: Vec<_> = clients.into_iter().map(place).collect();
    each_deploys(&places, &rewriter, "busybox:1", 3, 1);
    rejob.restart(&[]);
    each_deploys(&places, &rewriter, "busybox:1", 1, 1);
    each_deploys(&places, &rewriter, "busybox:2", 3, 2);
    rejob.restart(&[]);
    each_deploys(&places, &rewriter, "busybox:2", 1, 2);
    each_deploys(&places, &rewriter, "busybox:3", 2, 3);
    each_deploys(&places, &rewriter, "busybox:4", 2, 4);
}

/// Those whose requests differ most; the others are like one of them.
const FEW: [Client; 5] = [
    Client::Apply,
    Client::Put,
    Client::MergePatch,
    Client::StrategicMergePatch,
    Client::ForcedApply,
];

#[test]
fn a_mirror_with_its_pull_secret_after_rejob() {
    let clients = Client::ALL.into_iter().chain(FEW.into_iter().skip(2));
    one_run_of_each_version(clients, |plane, rejob| {
        Rewriter::webhook(plane, rejob, AFTER, BOTH, mirror)
    });
}

#[test]
fn a_mirror_with_its_pull_secret_before_rejob() {
    one_run_of_each_version(FEW, |plane, rejob| {
        Rewriter::webhook(plane, rejob, BEFORE, BOTH, mirror)
    });
}

#[test]
fn a_mirror_with_its_pull_secret_after_rejob_on_create_only() {
    one_run_of_each_version(FEW, |plane, rejob| {
        Rewriter::webhook(plane, rejob, AFTER, CREATE, mirror)
    });
}

#[test]
fn a_mirror_with_its_pull_secret_before_rejob_on_create_only() {
    one_run_of_each_version(FEW, |plane, rejob| {
        Rewriter::webhook(plane, rejob, BEFORE, CREATE, mirror)
    });
}

#[test]
fn a_mirror_with_its_pull_secret_by_an_admission_policy() {
    if Binaries::get().minor < 36 {
        return; // Not yet generally available.
    }
    one_run_of_each_version(FEW, Rewriter::policy);
}

#[test]
fn a_sidecar_and_pinned_images() {
    one_run_of_each_version(FEW, |plane, rejob| {
        Rewriter::webhook(plane, rejob, AFTER, BOTH, sidecar)
    });
}

#[test]
fn an_environment_variable_and_pinned_images() {
    one_run_of_each_version(FEW, |plane, rejob| {
        Rewriter::webhook(plane, rejob, AFTER, BOTH, environment)
    });
}

/// A Job that runs, and policies that replace nothing: who asks for nothing new is never told to wait,
/// refused or warned, in a dry run neither.
#[test]
fn an_unchanged_deploy_hears_nothing() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Rewriter::webhook(&plane, &rejob, AFTER, BOTH, mirror);
    std::thread::scope(|scope| {
        for policy in ["replace", "keep", "deny"] {
            for client in FEW {
                let rejob = &rejob;
                scope.spawn(move || unchanged_hears_nothing(rejob, policy, client));
            }
        }
    });
}

fn unchanged_hears_nothing(rejob: &Rejob<'_>, policy: &str, client: Client) {
    let what = format!("{policy} {client:?}");
    let place = Place::new(rejob.namespace(policy));
    place.send(client, &manifest("busybox:1"));
    place.namespace.ready_pods(JOB);
    let uid = place.uid();
    if client == Client::Apply {
        let text = manifest("busybox:1").to_string();
        let kubectl = |args: &[&str]| place.namespace.kubectl_with(&text, args).ok();
        let diff = kubectl(&["diff", "-f", "-"]);
        assert_eq!((diff.stdout.as_str(), diff.stderr.as_str()), ("", ""), "{what}");
        assert_eq!(kubectl(&["apply", "-f", "-"]).stderr, "", "{what}");
    } else {
        for query in ["&dryRun=All", "", ""] {
            let answer = place.request(client, &manifest("busybox:1"), query);
            assert_eq!(answer.status, 200, "{what} {query}: {}", answer.body);
            assert_eq!(answer.warnings, [""; 0], "{what} {query}");
            super::deploy::assert_unmarked(&answer.body);
        }
    }
    assert_eq!(place.uid(), uid, "{what}");
    place.assert_ran(1);
}

/// What a change is, it stays under such a hook: one run, then none.
#[test]
fn a_changed_deploy_runs_once() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let _hook = Rewriter::webhook(&plane, &rejob, AFTER, BOTH, mirror);
    let with = |env: Value| {
        let mut job = manifest("busybox:1");
        job["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        job
    };
    let one = json!([{ "name": "A", "value": "1" }]);
    let twice = json!([{ "name": "A", "value": "0" }, { "name": "A", "value": "1" }]);
    let clients = Client::ALL.into_iter().chain([Client::MergePatch, Client::ForcedApply]);
    std::thread::scope(|scope| {
        for client in clients {
            let place = Place::new(rejob.namespace("replace"));
            let (with, one, twice) = (&with, &one, &twice);
            scope.spawn(move || {
                let place = &place;
                let mut uids = Vec::new();
                let deploy = |manifest: &Value| {
                    send_until_it_is_not_told_to_wait(place, client, manifest);
                    let uid = place.uid();
                    place.send(client, manifest);
                    assert_eq!(place.uid(), uid, "{client:?}: an unchanged deploy ran again");
                    uid
                };
                uids.push(deploy(&with(one.clone())));
                place.assert_ran(1);
                // A merge patch without the field says nothing of it, but brings the whole list.
                uids.push(deploy(&manifest("busybox:1")));
                assert_ne!(uids[0], uids[1], "{client:?}: a removed field does not run");
                let job = place.job();
                let env = &job["spec"]["template"]["spec"]["containers"][0]["env"];
                assert_eq!(*env, Value::Null, "{client:?}");
                place.assert_ran(2);
                // A name given twice, by mistake, and then once; an apply refuses it.
                if matches!(client, Client::Apply | Client::Put | Client::MergePatch) {
                    place.send(client, &with(twice.clone()));
                    place.assert_ran(3);
                    place.send(client, &with(one.clone()));
                    place.assert_ran(4);
                }
            });
        }
    });
}

/// As client-go does: an apply that only removes fields, within a second of the last one, is told to.
fn send_until_it_is_not_told_to_wait(place: &Place, client: Client, manifest: &Value) {
    wait::until("the client is not told to wait", || match place.try_send(client, manifest) {
        Err(error) if error.contains("TooManyRequests") => None,
        said => Some(said.expect("the deploy succeeds")),
    });
}

/// Two managers own the template together, and a third one patches it.
#[test]
fn another_managers_change_runs_once_and_stays() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let rewriter = Rewriter::webhook(&plane, &rejob, AFTER, BOTH, mirror);
    for client in [Client::Apply, Client::ServerSideApply, Client::ForcedApply] {
        let place = Place::new(rejob.namespace("replace"));
        place.send(client, &manifest("busybox:1"));
        place.assert_ran(1);
        place.namespace.kubectl(&["set", "env", "job", JOB, "A=1"]).ok();
        place.assert_ran(2);
        let uid = place.uid();
        for _ in 0..2 {
            place.namespace.kubectl(&["set", "env", "job", JOB, "A=1"]).ok();
            place.send(client, &manifest("busybox:1"));
            assert_eq!(place.uid(), uid, "{client:?}: an unchanged deploy ran again");
        }
        let job = place.job();
        let env = &job["spec"]["template"]["spec"]["containers"][0]["env"];
        assert_eq!(*env, json!([{ "name": "A", "value": "1" }]), "{client:?}");
        place.assert_ran(2);
    }
    let place = Place::new(rejob.namespace("replace"));
    // What the hook wrote is the field of whoever applied last.
    let path =
        |manager| format!("{}?fieldManager={manager}&force=true", place.namespace.job_path(JOB));
    let labeled = |label| manifest::labeled(manifest("busybox:1"), label, "yes");
    for _ in 0..3 {
        for manager in ["one", "two"] {
            place.namespace.user().apply(&path(manager), &labeled(manager)).ok();
            place.assert_ran(1);
        }
    }
    rewriter.assert_rewrote(&manifest("busybox:1"), &place.job());
}
