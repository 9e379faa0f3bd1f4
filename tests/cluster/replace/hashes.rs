//! The recorded hash is what a Job was asked for, unless somebody else wrote it: a change never goes
//! under in a hash that belongs to another template.

use serde_json::{Value, json};

use support::manifest::{annotated, annotation, image};
use support::plane::ControlPlane;
use support::rejob::Rejob;

use super::deploy::{Client, JOB, Place, uid_of};

const HASH: &str = "rejob.dev/template-hash";

/// The hash of the Job of that image, as rejob would record it.
fn hash(place: &Place, image: &str) -> String {
    let mut probe = Place::manifest(image);
    probe["metadata"]["name"] = json!("probe");
    let path = format!("{}?dryRun=All", place.namespace.jobs_path());
    let created = place.namespace.user().post(&path, &probe).ok();
    annotation(&created, HASH).expect("rejob records it").to_owned()
}

/// How a hash that belongs to another template comes into storage.
#[derive(Debug, Clone, Copy)]
enum Foreign {
    /// The Job was made where nobody looked after it, from another one's export.
    BeforeOptIn,
    Annotated,
    Put,
}

/// Stores the first image with the second one's hash, if rejob lets that happen.
fn stored(rejob: &Rejob<'_>, foreign: Foreign) -> Place {
    let first = |hash: &str| annotated(Place::manifest("app:1"), HASH, hash);
    match foreign {
        Foreign::BeforeOptIn => {
            let hash = hash(&Place::new(rejob.namespace("replace")), "app:2");
            let place = Place::new(rejob.unlabeled_namespace());
            place.namespace.create_job(&first(&hash)).ok();
            let opt_in = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
            let namespace = format!("/api/v1/namespaces/{}", place.namespace.name());
            place.namespace.user().patch("merge", &namespace, &opt_in).ok();
            rejob.wait_until_called(&place.namespace);
            assert_eq!(annotation(&place.job(), HASH), Some(hash.as_str()));
            place
        }
        Foreign::Annotated | Foreign::Put => {
            let place = Place::new(rejob.namespace("replace"));
            place.deploy(Client::Put, "app:1");
            let hash = hash(&place, "app:2");
            if matches!(foreign, Foreign::Put) {
                place.send(Client::Put, &first(&hash));
            } else {
                let value = format!("{HASH}={hash}");
                place.namespace.kubectl(&["annotate", "job", JOB, "--overwrite", &value]).ok();
            }
            place
        }
    }
}

#[test]
fn a_foreign_hash_in_storage_hides_no_change() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let ways = [Client::Put, Client::MergePatch, Client::ForcedApply];
    let mut silent = Vec::new();
    for foreign in [Foreign::BeforeOptIn, Foreign::Annotated, Foreign::Put] {
        for client in ways {
            let place = stored(&rejob, foreign);
            if !runs_or_warns(&place, client, &Place::manifest("app:2")) {
                silent.push(format!("{foreign:?} {client:?}"));
            }
        }
    }
    assert_eq!(silent, [""; 0]);
}

/// The hash of an export is in the manifest, and the template has been edited since.
#[test]
fn a_foreign_hash_in_a_manifest_hides_no_change() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for of in ["app:1", "app:2", "app:3"] {
        for client in [Client::Put, Client::MergePatch, Client::ForcedApply] {
            let place = Place::new(rejob.namespace("replace"));
            place.deploy(client, "app:1");
            let sent = annotated(Place::manifest("app:2"), HASH, &hash(&place, of));
            assert!(runs_or_warns(&place, client, &sent), "{client:?}: the hash of {of}");
            let job = place.job();
            if image(&job) == "app:2" {
                let own = hash(&place, "app:2");
                assert_eq!(annotation(&job, HASH), Some(own.as_str()), "{client:?}: of {of}");
            }
        }
    }
}

/// A new run, or a warning: never a success that says nothing and does nothing.
#[track_caller]
fn runs_or_warns(place: &Place, client: Client, sent: &Value) -> bool {
    place.namespace.started_pods(JOB);
    let uid = place.uid();
    let answer = place.request(client, sent, "");
    assert!(answer.status < 300, "{client:?}: {}", answer.body);
    let job = place.job();
    (uid_of(&job) != uid && image(&job) == "app:2") || !answer.warnings.is_empty()
}
