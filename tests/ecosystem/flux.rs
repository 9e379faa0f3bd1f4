//! Flux's kustomize-controller: it applies what a source serves, again and again.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::client::{Client, JOB, Place, Said, job};
use support::output::Output;
use support::plane::{self, ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::{POLICIES, Situation, short};
use support::{manifest, net, wait};

use super::neighbor::{Neighbor, Program, apply};
use super::table::Table;

const CONTROLLER: Program = Program {
    name: "kustomize-controller",
    version: "1.9.6",
    module: "github.com/fluxcd/kustomize-controller",
    package: "github.com/fluxcd/kustomize-controller",
};
const GROUP: &str = "source.toolkit.fluxcd.io";

/// Kinds of sources, all of which it watches: what a source controller writes is written by the test.
fn sources() -> Vec<Value> {
    [
        ("GitRepository", "gitrepositories"),
        ("OCIRepository", "ocirepositories"),
        ("Bucket", "buckets"),
    ]
    .iter()
    .chain(&[("ExternalArtifact", "externalartifacts")])
    .map(|(kind, plural)| {
        let schema = json!({ "openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        }});
        let version = json!({ "name": "v1", "served": true, "storage": true, "schema": schema });
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{GROUP}") },
            "spec": {
                "group": GROUP, "scope": "Namespaced", "versions": [version],
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            },
        })
    })
    .collect()
}

fn start(plane: &ControlPlane) -> Neighbor {
    apply(plane, "", &["-f", &CONTROLLER.source("config/crd/bases")]);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": sources() });
    apply(plane, &list.to_string(), &["-f", "-"]);
    let user = plane.user("kustomize-controller", Some("system:masters"));
    let args = [
        "--metrics-addr=0".to_owned(),
        format!("--health-addr=127.0.0.1:{}", net::free_port()),
        "--watch-all-namespaces=true".to_owned(),
        "--interval-jitter-percentage=0".to_owned(),
        "--min-retry-delay=250ms".to_owned(),
        "--max-retry-delay=2s".to_owned(),
    ];
    Neighbor::start(plane, &user, CONTROLLER, &args, &[("RUNTIME_NAMESPACE", "flux-system")])
}

/// Serves the files of a folder on loopback, for as long as the process lives.
struct Artifacts {
    port: u16,
    dir: PathBuf,
}

impl Artifacts {
    fn start(plane: &ControlPlane) -> Self {
        let dir = plane.dir().join("artifacts");
        fs::create_dir_all(&dir).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (port, served) = (listener.local_addr().unwrap().port(), dir.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let Ok(length) = stream.read(&mut request) else { continue };
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let name = request.split([' ', '/']).nth(2).unwrap_or_default();
                let body = fs::read(served.join(name)).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { port, dir }
    }

    /// Packs the manifest as a source controller does: the artifact of a source's status.
    fn pack(&self, manifest: &Value) -> Value {
        let (folder, name) = (tempfile::tempdir().unwrap(), format!("{}.tar.gz", plane::unique()));
        fs::write(folder.path().join("job.yaml"), manifest.to_string()).unwrap();
        let file = self.dir.join(&name);
        let mut tar = Command::new("tar");
        Output::of(tar.arg("-C").arg(folder.path()).arg("-czf").arg(&file).arg("."), "").ok();
        let mut digest = String::new();
        for byte in Sha256::digest(fs::read(&file).unwrap()) {
            write!(digest, "{byte:02x}").unwrap();
        }
        json!({
            "url": format!("http://127.0.0.1:{}/{name}", self.port),
            "path": name,
            // The same manifest again is another revision.
            "revision": format!("{}@sha256:{digest}", plane::unique()),
            "digest": format!("sha256:{digest}"),
            "lastUpdateTime": "2026-01-01T00:00:00Z",
        })
    }
}

/// A Kustomization of one Job.
struct Flux<'a> {
    title: &'static str,
    artifacts: &'a Artifacts,
    spec: Value,
}

impl Flux<'_> {
    /// The same with more in its spec.
    fn with(&self, more: Value) -> Self {
        let mut spec = self.spec.clone();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self { spec, ..*self }
    }

    fn path(place: &Place<'_>, group: &str, plural: &str) -> String {
        let namespace = place.namespace.name();
        format!("/apis/{group}/v1/namespaces/{namespace}/{plural}/{JOB}")
    }

    fn status(place: &Place<'_>) -> Value {
        let path = Self::path(place, "kustomize.toolkit.fluxcd.io", "kustomizations");
        place.namespace.user().get(&path).body["status"].clone()
    }

    fn put(place: &Place<'_>, group: &str, plural: &str, object: &Value) {
        let path = Self::path(place, group, plural);
        place.namespace.user().apply(&format!("{path}?fieldManager=test&force=true"), object).ok();
    }

    /// Serves the manifest and waits until Flux has done with it: applied, and healthy where it waits.
    fn sync(&self, place: &Place<'_>, manifest: &Value) -> Said {
        let artifact = self.artifacts.pack(manifest);
        let ready = json!({ "type": "Ready", "status": "True", "reason": "Succeeded",
            "message": "stored", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let source = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "GitRepository", "metadata": { "name": JOB },
            "spec": { "interval": "1h", "url": "https://example.com/repository" },
            "status": { "artifact": artifact, "conditions": [ready], "observedGeneration": 1 },
        });
        Self::put(place, GROUP, "gitrepositories", &source);
        let mut spec = json!({
            "interval": "1s", "retryInterval": "1s", "path": "./", "prune": true, "timeout": "170s",
            "targetNamespace": place.namespace.name(),
            "sourceRef": { "kind": "GitRepository", "name": JOB },
        });
        spec.as_object_mut().unwrap().extend(self.spec.as_object().unwrap().clone());
        let kustomization = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": { "name": JOB }, "spec": spec,
        });
        Self::put(place, "kustomize.toolkit.fluxcd.io", "kustomizations", &kustomization);
        wait::until("Flux has done with the revision", || {
            let status = Self::status(place);
            let revision = &artifact["revision"];
            if status["lastAppliedRevision"] == *revision {
                return Some(Ok("applied".to_owned()));
            }
            let conditions = status["conditions"].as_array()?;
            let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
            let failed = ready["status"] == "False" && status["lastAttemptedRevision"] == *revision;
            failed.then(|| Err(ready["message"].to_string()))
        })
    }
}

/// Plays without rejob and with it. Each Kustomization is suspended afterwards: many at an interval of
/// a second would keep the controller from the next one.
fn both(rejob: &Rejob<'_>, play: impl Fn(&Place<'_>) -> String) -> [String; 2] {
    [false, true].map(|opted_in| {
        let place = Place::new(rejob, opted_in);
        let outcome = play(&place);
        let path = Flux::path(&place, "kustomize.toolkit.fluxcd.io", "kustomizations");
        place.namespace.user().patch("merge", &path, &json!({ "spec": { "suspend": true } }));
        outcome
    })
}

impl Client for Flux<'_> {
    fn title(&self) -> &'static str {
        self.title
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        self.sync(place, &job(image))
    }

    fn dry_run(&self, _: &Place<'_>, _: &str) -> Option<Said> {
        None
    }

    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        self.with(json!({ "wait": true })).deploy(place, image)
    }

    fn delete(&self, place: &Place<'_>) -> Said {
        let path = Self::path(place, "kustomize.toolkit.fluxcd.io", "kustomizations");
        place.namespace.user().delete(&path, &json!({})).ok();
        Ok(String::new())
    }

    fn recreates(&self) -> bool {
        self.spec["force"] == true
    }
}

/// The old Job works for longer than `timeout`; then it ends.
fn timeout(flux: &Flux<'_>, place: &Place<'_>) -> String {
    flux.deploy(place, "busybox:1").expect("the first deploy");
    place.namespace.ready_pods(JOB);
    let old = place.uid();
    let hurried = flux.with(json!({ "timeout": "5s" }));
    let Err(error) = hurried.deploy(place, "busybox:2") else {
        return if place.uid() == old { "no run" } else { "new run at once" }.to_owned();
    };
    assert_eq!(place.uid(), old, "the old Job is gone, or another: {error}");
    if error.contains("field is immutable") {
        return short(&error);
    }
    place.namespace.finish_pods(JOB);
    let new = wait::until("the next tries replace the Job", || {
        place.job().filter(|job| job["metadata"]["uid"] != old)
    });
    assert_eq!(manifest::image(&new), "busybox:2");
    "error, old one untouched; new run when it has ended".to_owned()
}

/// Ten intervals pass after a change, and nothing is written.
fn drift(flux: &Flux<'_>, place: &Place<'_>) -> String {
    flux.deploy(place, "busybox:1").expect("the first deploy");
    place.namespace.finish_pods(JOB);
    if let Err(error) = flux.deploy(place, "busybox:2") {
        return short(&error);
    }
    place.namespace.finish_pods(JOB);
    let before = place.job();
    let last = || Flux::status(place)["history"][0]["totalReconciliations"].as_u64().unwrap_or(0);
    let begun = last();
    wait::until("ten intervals pass", || (last() >= begun + 10).then_some(()));
    if place.job() == before { "nothing is written".to_owned() } else { "written".to_owned() }
}

#[test]
fn kustomize_controller() {
    let plane = ControlPlane::start(&Options::default());
    let mut neighbor = start(&plane);
    let artifacts = Artifacts::start(&plane);
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let mut table = Table::new(
        "Flux",
        format!(
            "kustomize-controller {}, with an interval of a second and an artifact that the test serves in the place of\n\
             source-controller; `wait` is the Kustomization's own. 1.10 could not be had: the Go module proxy does not serve four of\n\
             its modules (403: `pkg/apis/crypto` 0.5.0, `pkg/http/fetch` 0.30.1, `pkg/masktoken` 0.10.0, `pkg/spiffe` 0.2.0).",
            CONTROLLER.version
        ),
    );
    for (title, spec) in
        [("Kustomization", json!({})), ("Kustomization with `force`", json!({ "force": true }))]
    {
        let flux = Flux { title, artifacts: &artifacts, spec };
        for situation in Situation::ALL {
            neighbor.assert_runs();
            // Without rejob every retry fails again, and nothing is to be waited for.
            let [before, after] = both(&rejob, |place| situation.play(&flux, place));
            if after == "-" {
                continue;
            }
            table.row(&format!("{title}: {}", situation.title()), &before, &after);
            assert_eq!(after, situation.wanted(&flux), "{title}: {situation:?}");
        }
        let [before, after] = both(&rejob, |place| timeout(&flux, place));
        table.row(&format!("{title}: changed, old one runs beyond `timeout`"), &before, &after);
        assert_eq!(after, "error, old one untouched; new run when it has ended", "{title}");
        let [before, after] = both(&rejob, |place| drift(&flux, place));
        table.row(&format!("{title}: ten intervals after a change"), &before, &after);
        assert_eq!(after, "nothing is written", "{title}");
    }
    table.compare();
}
