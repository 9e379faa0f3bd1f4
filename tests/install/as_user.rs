//! `checks.asUser`: the chart's rights are all that checks in the user's name take.

use serde_json::json;

use super::clients::uid;
use support::helm::Helm;
use support::manifest::job;
use support::service::Service;
use support::site::{self, Site};

#[test]
fn the_charts_rights_are_enough_to_check_in_the_users_name() {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    let team = plane.namespace("team", &[("rejob.dev/policy", "replace")]);
    let namespaces = format!("rbac.namespaces[0]={}", team.name());
    let site = Site::install(plane, Helm::V4_3, &["checks.asUser=true", &namespaces]);
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    site.wait_until_called(&team);
    let verbs: &[&str] = &["get", "patch", "create", "delete"];
    let change = |image: &str| {
        let containers = json!([{ "name": "app", "image": image }]);
        json!({ "spec": { "template": { "spec": { "containers": containers } } } })
    };
    let user = team.seen_with_rights(plane, &[("batch", "jobs", verbs)]);
    let patcher = team.seen_with_rights(plane, &[("batch", "jobs", &["get", "patch"])]);
    user.create_job(&job("nightly", "app:1")).ok();
    let old = uid(&team, "nightly");
    let path = team.job_path("nightly");
    let told = patcher.user().patch("strategic-merge", &path, &change("app:2"));
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(told.message().contains("may not delete jobs in namespace"), "{}", told.message());
    assert_eq!(uid(&team, "nightly"), old);
    user.user().patch("strategic-merge", &path, &change("app:2")).ok();
    let new = uid(&team, "nightly");
    assert_ne!(new, old);
    let applied = format!("{path}?fieldManager=test&force=true");
    user.user().apply(&applied, &job("nightly", "app:3")).ok();
    assert_ne!(uid(&team, "nightly"), new);
}
