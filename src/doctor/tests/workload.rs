//! The Deployment, its Service and its rights.

use super::super::facts::Facts;
use super::{from, hint, one, problem, spoiled};
use crate::doctor::Level;

fn replicas(wanted: i32, available: i32) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let deployment = facts.installations[0].deployment.as_mut().unwrap().as_mut().unwrap();
        deployment.spec.as_mut().unwrap().replicas = Some(wanted);
        deployment.status.as_mut().unwrap().available_replicas = Some(available);
    }
}

#[test]
fn a_deployment_without_an_available_replica_is_a_problem() {
    problem("deployment", "none of its 2 replicas is available", replicas(2, 0));
    problem("deployment", "scaled to 0 replicas", replicas(0, 0));
    hint("deployment", "1 of its 2 replicas are available", replicas(2, 1));
}

#[test]
fn a_missing_deployment_is_a_hint_and_its_rights_are_unknown() {
    hint("deployment", "no Deployment here has the labels of the chart", |facts| {
        facts.installations[0].deployment = Ok(None);
        facts.installations[0].policies = Err("no".into());
    });
    hint("rights", "the namespace it runs in is not known", |facts| facts.installations.clear());
}

#[test]
fn a_service_without_ready_endpoints_is_a_problem() {
    fn backend(facts: &mut Facts) -> &mut super::super::facts::Backend {
        facts.backends.values_mut().next().unwrap()
    }
    problem("endpoints", "it has no ready endpoint", |facts| backend(facts).ready = Ok(0));
    problem("endpoints", "does not exist", |facts| backend(facts).service = Ok(None));
    problem("endpoints", "its port 443, which the Service does not have", |facts| {
        backend(facts).service = Ok(Some(from(serde_json::json!({ "spec": { "ports": [] } }))));
    });
    hint("endpoints", "is forbidden", |facts| backend(facts).ready = Err("it is forbidden".into()));
}

#[test]
fn each_missing_right_is_a_problem_of_its_own() {
    let count = super::healthy().installations[0].rights.len();
    assert_eq!(count, 8 + 5);
    for index in 0..count {
        let found = one(|facts| facts.installations[0].rights[index].1 = Ok(false));
        let words = super::healthy().installations[0].rights[index].0.describe();
        assert_eq!((found.0, found.1, found.2.as_str()), (Level::Problem, "rights", "rejob/rejob"));
        assert_eq!(found.3, format!("the service account may not {words}"));
    }
}

#[test]
fn checks_as_the_user_on_an_older_kubernetes_are_a_problem() {
    let as_user = |version: &'static str| {
        move |facts: &mut Facts| {
            facts.version = Ok(version.into());
            let deployment = facts.installations[0].deployment.as_mut().unwrap().as_mut().unwrap();
            let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
            pod.containers[0].args.as_mut().unwrap().push("--check-as-user".into());
        }
    };
    problem("rights", "needs Kubernetes 1.36, and this is v1.35.4", as_user("v1.35.4"));
    assert_eq!(spoiled(as_user("v1.36.0")), []);
}

#[test]
fn rights_that_may_not_be_asked_for_are_one_hint() {
    hint("rights", "subjectaccessreviews is forbidden", |facts| {
        for right in &mut facts.installations[0].rights {
            right.1 = Err("subjectaccessreviews is forbidden: User \"eve\" cannot".into());
        }
    });
}

#[test]
fn an_installation_without_rights_to_need_is_well() {
    assert_eq!(spoiled(|facts| facts.installations[0].rights.clear()), []);
}

#[test]
fn policies_that_cannot_be_read_are_a_hint() {
    hint("policies", "its policies could not be checked: the ConfigMap", |facts| {
        facts.installations[0].policies = Err("the ConfigMap p does not exist".into());
    });
}
