//! What later admission sees of a replacement's first turn is the old Job throughout: no validator of
//! updates refuses what deleting and creating by hand would come to.

use serde_json::{Value, json};

use support::admission_policy::AdmissionPolicy;
use support::manifest::{annotated, annotation, image, labeled};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked, uid_of};

const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
const QUEUE_RULE: &str = "the queue name may not change while the job is not suspended";
const OWNER: &str = "operator.example.com/owner";
const OWNER_RULE: &str = "the owner may not change";
const MARKER: &str = "rejob.dev/replacing";

/// A rule that what the updated object has under a key is what it had, unless it is suspended.
fn stays(map: &str, key: &str) -> String {
    let of = |object: &str| {
        format!("(has({object}.{map}) && '{key}' in {object}.{map} ? {object}.{map}['{key}'] : '')")
    };
    let (new, old) = (of("object"), of("oldObject"));
    format!("(has(object.spec.suspend) && object.spec.suspend) || {new} == {old}")
}

/// A policy on updates, in force.
fn policy(
    plane: &ControlPlane,
    rejob: &Rejob<'_>,
    map: &str,
    key: &str,
    rule: &str,
) -> AdmissionPolicy {
    let expression = stays(map, key);
    let policy = AdmissionPolicy::validating(plane, rejob, &["UPDATE"], (&expression, rule));
    let probe = rejob.unlabeled_namespace();
    probe.create_job(&Place::manifest("app:1")).ok();
    let field = map.rsplit('.').next().unwrap();
    let change = json!({ "metadata": { field: { key: "changed" } } });
    wait::until("the policy is in force", || {
        let path = format!("{}?dryRun=All", probe.job_path(JOB));
        let answer = probe.user().patch("merge", &path, &change);
        (answer.status == 422).then(|| assert!(answer.message().contains(rule), "{}", answer.body))
    });
    policy
}

/// How a deploy is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    By(Client),
    PutWithResourceVersion,
}

const WAYS: [Way; 8] = [
    Way::By(Client::Apply),
    Way::By(Client::ServerSideApply),
    Way::By(Client::Helm3),
    Way::By(Client::Helm4),
    Way::By(Client::StrategicMergePatch),
    Way::By(Client::MergePatch),
    Way::By(Client::ForcedApply),
    Way::PutWithResourceVersion,
];

impl Way {
    /// One command: what the client said.
    fn send(self, place: &Place, manifest: &Value) -> Result<String, String> {
        match self {
            Self::By(client) => place.try_send(client, manifest),
            Self::PutWithResourceVersion => {
                let answer = self.request(place, manifest, "");
                let text = answer.body.to_string();
                if answer.status < 300 { Ok(text) } else { Err(text) }
            }
        }
    }

    /// One request of that kind, as a program sends it.
    fn request(self, place: &Place, manifest: &Value, query: &str) -> Answer {
        match self {
            Self::By(Client::Apply | Client::Helm3) => {
                place.request(Client::StrategicMergePatch, manifest, query)
            }
            Self::By(Client::ServerSideApply | Client::Helm4) => {
                place.request(Client::ForcedApply, manifest, query)
            }
            Self::By(client) => place.request(client, manifest, query),
            Self::PutWithResourceVersion => wait::until("nobody else writes in between", || {
                let mut sent = manifest.clone();
                let live = place.namespace.job(JOB);
                if let Some(live) = &live {
                    sent["metadata"]["resourceVersion"] =
                        live["metadata"]["resourceVersion"].clone();
                }
                let answer = place.request(Client::Put, &sent, query);
                let stands = place
                    .namespace
                    .job(JOB)
                    .is_some_and(|now| live.is_some_and(|live| uid_of(&live) == uid_of(&now)));
                (answer.status != 409 || !stands).then_some(answer)
            }),
        }
    }
}

/// The Job in that queue, of that owner; the second version has another parallelism as well.
fn manifest(version: i64, queue: &str, owner: &str) -> Value {
    let mut job = labeled(Place::manifest(&format!("app:{version}")), QUEUE_NAME, queue);
    job["spec"]["completions"] = json!(5);
    job["spec"]["parallelism"] = json!(version);
    annotated(job, OWNER, owner)
}

/// Both kinds of first read: from the watch cache, and a live one, whose errors are final.
fn on_both_planes(check: impl Fn(&ControlPlane)) {
    let options = Options { no_watch_cache: true, ..Options::default() };
    for plane in [ControlPlane::shared(), ControlPlane::start(&options)] {
        check(&plane);
    }
}

/// The first version, started.
fn deployed(rejob: &Rejob<'_>, way: Way, first: &Value) -> Place {
    let place = Place::new(rejob.namespace("replace"));
    way.send(&place, first).unwrap_or_else(|error| panic!("{way:?}: {error}"));
    wait::until("the Job controller has counted the Job's Pods", || {
        (place.job()["status"]["active"] == first["spec"]["parallelism"]).then_some(())
    });
    place
}

#[test]
fn a_queue_name_changes_together_with_the_image() {
    on_both_planes(|plane| {
        let rejob = Rejob::builtin(plane);
        let _policy = policy(plane, &rejob, "metadata.labels", QUEUE_NAME, QUEUE_RULE);
        std::thread::scope(|scope| {
            for way in WAYS {
                let rejob = &rejob;
                scope.spawn(move || moves_to_another_queue(rejob, way));
            }
        });
    });
}

fn moves_to_another_queue(rejob: &Rejob<'_>, way: Way) {
    let place = deployed(rejob, way, &manifest(1, "team-a", "one"));
    let (uid, second) = (place.uid(), manifest(2, "team-b", "one"));
    let dry = way.request(&place, &second, "&dryRun=All");
    assert_eq!(dry.status, 200, "{way:?}: {}", dry.body);
    assert!(annotation(&dry.body, MARKER).is_some(), "{way:?}: {}", dry.body);
    assert_eq!(dry.body["metadata"]["labels"][QUEUE_NAME], "team-a", "{way:?}");
    assert_eq!(image(&dry.body), "app:1", "{way:?}");
    // What may be changed shows as the request says.
    assert_eq!(dry.body["spec"]["parallelism"], 2, "{way:?}");
    assert_eq!(place.uid(), uid, "{way:?}");
    way.send(&place, &second).unwrap_or_else(|error| panic!("{way:?}: {error}"));
    let job = place.job();
    assert_ne!(uid_of(&job), uid, "{way:?}");
    assert_unmarked(&job);
    assert_eq!(job["metadata"]["labels"][QUEUE_NAME], "team-b", "{way:?}");
    assert_eq!((image(&job), &job["spec"]["parallelism"]), ("app:2", &json!(2)), "{way:?}");
    let uid = uid_of(&job);
    way.send(&place, &second).unwrap_or_else(|error| panic!("{way:?}: {error}"));
    assert_eq!(place.uid(), uid, "{way:?}: an unchanged deploy ran again");
    place.namespace.started_pods(JOB);
}

/// A dry run shows the old annotations. Where the new Job is made dormant it carries the old ones, so
/// that nobody takes it for done, and its release changes them: such a policy refuses that.
#[test]
fn an_annotation_changes_together_with_the_image() {
    on_both_planes(|plane| {
        let rejob = Rejob::builtin(plane);
        let _policy = policy(plane, &rejob, "metadata.annotations", OWNER, OWNER_RULE);
        std::thread::scope(|scope| {
            for way in WAYS {
                let rejob = &rejob;
                scope.spawn(move || moves_to_another_owner(rejob, way));
            }
        });
    });
}

fn moves_to_another_owner(rejob: &Rejob<'_>, way: Way) {
    let place = deployed(rejob, way, &manifest(1, "team-a", "one"));
    let (uid, second) = (place.uid(), manifest(2, "team-a", "two"));
    let dry = way.request(&place, &second, "&dryRun=All");
    if dry.status == 200 {
        assert!(annotation(&dry.body, MARKER).is_some(), "{way:?}: {}", dry.body);
        assert_eq!(annotation(&dry.body, OWNER), Some("one"), "{way:?}");
    }
    let said = way.send(&place, &second);
    if !matches!(way, Way::By(client) if client.applies()) {
        // docs/design/limits.md: the dormant Job has the old annotations.
        assert!(said.expect_err("it is refused").contains(OWNER_RULE), "{way:?}");
        return;
    }
    let job = place.namespace.job(JOB).unwrap_or_else(|| panic!("{way:?}: lost: {said:?}"));
    assert_unmarked(&job);
    said.unwrap_or_else(|error| panic!("{way:?}: the dry run promised it: {error}"));
    assert_ne!(uid_of(&job), uid, "{way:?}");
    assert_eq!((annotation(&job, OWNER), image(&job)), (Some("two"), "app:2"), "{way:?}");
}

/// A policy that came later forbids what is stored: the real run deploys what it allows. A dry run can
/// only show the stored template, which the policy refuses, and says so.
#[test]
fn what_is_stored_is_forbidden_by_now() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let ways = [Way::By(Client::Apply), Way::By(Client::ForcedApply), Way::By(Client::MergePatch)];
    let stored = |way| {
        let place = Place::new(rejob.namespace("replace"));
        way_sends(way, &place, "app:latest");
        place.namespace.started_pods(JOB);
        (way, place)
    };
    let places: Vec<_> = ways.into_iter().map(stored).collect();
    let expression = "object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))";
    let rule = (expression, "name a version");
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["CREATE", "UPDATE"], rule);
    let path = format!("{}?dryRun=All", rejob.unlabeled_namespace().jobs_path());
    wait::until("the policy is in force", || {
        (plane.admin().post(&path, &Place::manifest("app:latest")).status == 422).then_some(())
    });
    for (way, place) in places {
        let uid = place.uid();
        let dry = way.request(&place, &Place::manifest("app:1"), "&dryRun=All");
        assert_eq!(dry.status, 422, "{way:?}: {}", dry.body);
        assert!(dry.message().contains("name a version"), "{way:?}: {}", dry.body);
        let told = dry.warnings.iter().any(|warning| warning.contains("shows the old template"));
        assert!(told, "{way:?}: {:?}", dry.warnings);
        assert_eq!(place.uid(), uid, "{way:?}");
        way_sends(way, &place, "app:1");
        assert_ne!(place.uid(), uid, "{way:?}");
        place.assert_runs("app:1");
        place.assert_ran(2);
    }
}

fn way_sends(way: Way, place: &Place, image: &str) {
    let said = way.send(place, &Place::manifest(image));
    said.unwrap_or_else(|error| panic!("{way:?}: {error}"));
}
