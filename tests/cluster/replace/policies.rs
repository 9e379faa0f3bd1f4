//! A ValidatingAdmissionPolicy of the cluster that refuses one of the two forms of a new Job, the
//! one that is to run or the one in which rejob makes it, acts before anything is deleted. One that
//! judges updates is shown the stored template in a dry run: docs/design/limits.md.

use serde_json::{Value, json};

use support::admission_policy::AdmissionPolicy;
use support::manifest::{image, job};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::wait;

use super::deploy::{Client, JOB, Place};

/// A validation with that expression.
fn rule(expression: &str) -> Value {
    json!({ "expression": expression, "message": "the cluster's rule" })
}

/// Waits until the policy refuses that Job.
fn in_force(place: &Place, probe: &Value) {
    wait::until("the policy is in force", || {
        let path = format!("{}?dryRun=All", place.namespace.jobs_path());
        let answer = place.namespace.user().post(&path, probe);
        let refused = matches!(answer.status, 403 | 422);
        refused.then(|| assert!(answer.message().contains("the cluster's rule")))
    });
}

/// Under a policy that refuses to create `refused` (a parallelism), who makes a Job dormant is
/// refused before the old one is deleted.
fn refused_before_the_deletion(refused: i64) {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(Client::Put, "app:1");
    place.assert_runs("app:1");
    let uid = place.uid();
    let rule = rule(&format!("object.spec.parallelism != {refused}"));
    let _policy = AdmissionPolicy::validation(&plane, &rejob, &["CREATE"], &rule);
    let mut probe = job("probe", "app:1");
    probe["spec"]["parallelism"] = json!(refused);
    in_force(&place, &probe);
    for client in [Client::Put, Client::MergePatch, Client::JsonPatch, Client::Apply] {
        let told = place.try_deploy(client, "app:2").expect_err("it is refused");
        assert!(told.contains("the cluster's rule"), "{client:?}: {told}");
        assert!(!told.contains("immutable"), "{client:?}: {told}");
        assert_eq!((place.uid().as_str(), image(&place.job())), (uid.as_str(), "app:1"));
    }
    // The API server makes an apply's Job itself, and never one that starts no Pod.
    let applied = place.try_deploy(Client::ForcedApply, "app:2");
    assert_eq!(applied.is_ok(), refused == 0, "{applied:?}");
    if refused == 0 {
        place.assert_runs("app:2");
    } else {
        assert_eq!(place.uid(), uid);
    }
    super::deploy::assert_unmarked(&place.job());
    assert_eq!(place.namespace.job_names(), [JOB]);
}

#[test]
fn a_policy_that_refuses_a_job_without_pods() {
    refused_before_the_deletion(0);
}

#[test]
fn a_policy_that_refuses_a_job_with_pods() {
    refused_before_the_deletion(1);
}

/// No image without a version, on creations and updates.
const NO_LATEST: &str =
    "!object.spec.template.spec.containers.exists(c, c.image.endsWith(':latest'))";
/// The line of docs/design/limits.md that lets an update pass which changes no template.
const UNCHANGED: &str = "request.operation == 'UPDATE' \
    && object.spec.template == oldObject.spec.template";
const BOTH: [&str; 2] = ["CREATE", "UPDATE"];

/// A Job deployed with an image that the policy forbids from then on.
fn forbidden(
    plane: &ControlPlane,
    rejob: &Rejob<'_>,
    client: Client,
    rule: &Value,
) -> (Place, AdmissionPolicy) {
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(client, "app:latest");
    place.assert_runs("app:latest");
    let policy = AdmissionPolicy::validation(plane, rejob, &BOTH, rule);
    in_force(&place, &job("probe", "app:latest"));
    (place, policy)
}

/// What kubectl and the GitOps controllers ask first.
fn dry_run(place: &Place, client: Client, image: &str) -> Result<String, String> {
    let manifest = Place::manifest(image).to_string();
    let mut args = vec!["apply", "--dry-run=server", "-f", "-"];
    args.extend((client == Client::ServerSideApply).then_some("--server-side"));
    let output = place.namespace.kubectl_with(&manifest, &args);
    if output.code == 0 { Ok(output.stdout) } else { Err(output.stderr) }
}

const CLIENTS: [Client; 2] = [Client::Apply, Client::ServerSideApply];

#[test]
fn a_policy_on_the_stored_template_refuses_the_dry_run_of_what_mends_it() {
    let plane = ControlPlane::shared();
    for client in CLIENTS {
        let rejob = Rejob::builtin(&plane);
        let (place, _policy) = forbidden(&plane, &rejob, client, &rule(NO_LATEST));
        let told = dry_run(&place, client, "app:1").expect_err("the stored template is judged");
        assert!(told.contains("the cluster's rule"), "{client:?}: {told}");
        // The API server throws away what it says of the first turn of a real one.
        place.deploy(client, "app:1");
        place.assert_runs("app:1");
    }
}

#[test]
fn a_policy_that_lets_an_unchanged_template_pass_refuses_nothing_but_what_it_forbids() {
    let mut rule = rule(&format!("{UNCHANGED} || {NO_LATEST}"));
    rule["reason"] = json!("Forbidden");
    for options in [Options::default(), Options { no_watch_cache: true, ..Options::default() }] {
        let plane = if options.no_watch_cache {
            ControlPlane::start(&options)
        } else {
            ControlPlane::shared()
        };
        for client in CLIENTS {
            let rejob = Rejob::builtin(&plane);
            let (place, _policy) = forbidden(&plane, &rejob, client, &rule);
            let shown = dry_run(&place, client, "app:1");
            assert!(shown.is_ok(), "{client:?}: {shown:?}");
            place.deploy(client, "app:1");
            place.assert_runs("app:1");
            let uid = place.uid();
            let told = dry_run(&place, client, "other:latest").expect_err("it is forbidden");
            assert!(told.contains("the cluster's rule"), "{client:?}: {told}");
            let told = place.try_deploy(client, "other:latest").expect_err("it is forbidden");
            assert!(told.contains("the cluster's rule"), "{client:?}: {told}");
            assert_eq!(place.uid(), uid, "{client:?}");
            let probe = job("probe", "app:latest");
            assert_eq!(place.namespace.create_job(&probe).status, 403);
        }
    }
}

#[test]
fn without_a_watch_cache_a_policy_on_the_stored_template_refuses_once_after_the_deletion() {
    let plane = ControlPlane::start(&Options { no_watch_cache: true, ..Options::default() });
    for client in CLIENTS {
        let rejob = Rejob::builtin(&plane);
        let (place, _policy) = forbidden(&plane, &rejob, client, &rule(NO_LATEST));
        let uid = place.uid();
        let told = place.try_deploy(client, "app:1").expect_err("the first turn is judged");
        assert!(told.contains("the cluster's rule"), "{client:?}: {told}");
        let advice = "old run deleted; if this fails, send it again";
        assert!(told.contains(advice), "{client:?}: {told}");
        let left = place.namespace.job(JOB);
        assert!(left.is_none_or(|job| super::deploy::uid_of(&job) != uid), "{client:?}");
        place.deploy(client, "app:1");
        place.assert_runs("app:1");
    }
}
