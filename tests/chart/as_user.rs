//! `checks.asUser`: its flag, and the rights that take the place of the access reviews.

use super::refusals::refused;
use super::render::objects_with;
use super::rules::{JOBS, args, rights};

/// What is granted where Jobs are, and in the cluster.
const ON_JOBS: &str = "batch/jobs[] impersonate-on:user-info:create,impersonate-on:user-info:delete,\
    impersonate-on:serviceaccount:create,impersonate-on:serviceaccount:delete";
const IN_THE_CLUSTER: [&str; 2] = [
    "* authentication.k8s.io/*[] impersonate:user-info",
    "* authentication.k8s.io/serviceaccounts[] impersonate:serviceaccount",
];

#[test]
fn checks_as_the_user_take_rights_to_act_for_users_and_no_access_reviews() {
    let before = rights(&objects_with(""));
    let objects = objects_with("checks: {asUser: true}");
    assert!(args(&objects).contains(&"--check-as-user"));
    let mut expected: Vec<_> =
        before.into_iter().filter(|right| !right.contains("subjectaccessreviews")).collect();
    expected.extend(IN_THE_CLUSTER.map(str::to_owned));
    expected.push(format!("* {ON_JOBS}"));
    expected.sort();
    assert_eq!(rights(&objects), expected);
}

#[test]
fn they_are_limited_to_the_namespaces_that_rejob_is_limited_to() {
    let objects = objects_with("checks: {asUser: true}\nrbac: {namespaces: [batch]}");
    let rights = rights(&objects);
    for right in [JOBS, ON_JOBS] {
        assert!(rights.contains(&format!("batch {right}")), "{rights:?}");
        assert!(!rights.contains(&format!("* {right}")), "{rights:?}");
    }
}

#[test]
fn where_no_policy_replaces_they_are_refused() {
    for on_change in ["Report", "Deny"] {
        refused(
            &format!(
                "checks: {{asUser: true}}\n\
                 policies: {{replace: {{onChange: {on_change}}}, hash-name: null, ttl: null}}"
            ),
            &["checks.asUser is true, but no policy replaces", "set it to false"],
        );
    }
}
