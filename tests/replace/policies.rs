//! A ValidatingAdmissionPolicy of the cluster that refuses one of the two forms of a new Job, the
//! one that is to run or the one in which rejob makes it, acts before anything is deleted.

use serde_json::json;

use crate::support::admission_policy::AdmissionPolicy;
use crate::support::manifest::{image, job};
use crate::support::plane::ControlPlane;
use crate::support::rejob::Rejob;
use crate::support::wait;

use super::deploy::{Client, JOB, Place};

/// Under a policy that refuses to create `refused` (a parallelism), who makes a Job dormant is
/// refused before the old one is deleted.
fn refused_before_the_deletion(refused: i64) {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(Client::Put, "app:1");
    place.assert_runs("app:1");
    let uid = place.uid();
    let expression = format!("object.spec.parallelism != {refused}");
    let rule = (expression.as_str(), "the cluster's rule");
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["CREATE"], rule);
    let mut probe = job("probe", "app:1");
    probe["spec"]["parallelism"] = json!(refused);
    wait::until("the policy is in force", || {
        let path = format!("{}?dryRun=All", place.namespace.jobs_path());
        let answer = place.namespace.user().post(&path, &probe);
        (answer.status == 422).then(|| assert!(answer.message().contains("the cluster's rule")))
    });
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
