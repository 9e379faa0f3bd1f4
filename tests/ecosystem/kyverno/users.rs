//! A policy on the user: who may write Jobs.

use serde_json::{Value, json};

use support::client::{Client, JOB, Place};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::situation::POLICIES;
use support::user::User;
use support::wait;

use super::super::neighbor::Neighbor;
use super::super::play::{IMAGES, Kubectl, WELL, deploy, deploys, short};
use super::super::table::Table;
use super::{policy, rule};

/// Nobody else writes Jobs. Where existing violations are allowed, every update passes: the old Job is
/// judged by the same user.
fn only(rejob: &Rejob<'_>, users: &[&str], allow_existing: bool) -> Value {
    let condition = json!({
        "key": "{{ request.userInfo.username }}", "operator": "AnyNotIn", "value": users,
    });
    rule(
        rejob,
        "users",
        &json!({ "validate": {
            "failureAction": "Enforce",
            "allowExistingViolations": allow_existing,
            "message": "only the deployer writes Jobs",
            "deny": { "conditions": { "any": [condition] } },
        }}),
    )
}

/// A user with all rights who is not in `system:masters`: nobody can be checked in that group's name.
fn user(plane: &ControlPlane, name: &str) -> User {
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": name }],
    });
    plane.admin().post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).ok();
    let user = plane.user(name, None);
    wait::until("the user has the rights", || {
        (user.get("/api/v1/nodes").status == 200).then_some(())
    });
    user
}

/// The deployer's Job, which somebody else changes.
fn changed_by_another(client: Kubectl, place: &Place<'_>, another: &User) -> String {
    let first = deploy(&client, place, IMAGES[0]);
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    let seen = Place::in_namespace(place.rejob, place.namespace.seen_by(another.clone()));
    let Err(error) = client.deploy(&seen, "busybox:2") else { return format!("{first}, run") };
    let fate = if place.uid() == old { "old one untouched" } else { "old one gone" };
    format!("{first}, {}, {fate}", short(&error))
}

/// It is rejob that tries the new Job, deletes the old one and makes the dormant one.
const REFUSED: &str =
    "run, no run, error: only the deployer writes Jobs, error: only the deployer writes Jobs";
const UNTOUCHED: &str = "run, error: only the deployer writes Jobs, old one untouched";

pub fn play(plane: &ControlPlane, neighbor: &mut Neighbor, table: &mut Table) {
    let [deployer, somebody] = ["deployer", "somebody"].map(|name| user(plane, name));
    let users = ["deployer", "system:serviceaccount:rejob-system*"];
    for (users, allow_existing) in [(&users[..1], false), (&users, false), (&users, true)] {
        for check_as_user in [false, true] {
            let options = Options { policies: Some(POLICIES), check_as_user, ..Options::default() };
            let rejob = Rejob::start(plane, &options);
            let probe = rejob.unlabeled_namespace().seen_by(somebody.clone());
            let name = format!("users-{}-{allow_existing}-{check_as_user}", users.len());
            let only = only(&rejob, users, allow_existing);
            policy(plane, neighbor, &name, &[only], &probe, |_, answer| {
                answer["message"].as_str().is_some_and(|text| text.contains("only the deployer"))
            });
            let place = |opted_in| {
                let namespace = Place::new(&rejob, opted_in).namespace;
                Place::in_namespace(&rejob, namespace.seen_by(deployer.clone()))
            };
            let mut title = format!("Jobs are written by `{}` only", users.join("`, `"));
            for (more, is_so) in [
                (", `allowExistingViolations: true`", allow_existing),
                (", `checks.asUser`", check_as_user),
            ] {
                title.push_str(if is_so { more } else { "" });
            }
            for client in Kubectl::both(|_| {}) {
                let title = format!("{title}: {}", client.title());
                let [before, after] =
                    [false, true].map(|opted_in| deploys(&client, &place(opted_in), &IMAGES));
                table.row(&title, &before, &after);
                assert_eq!(after, if users.len() == 1 { REFUSED } else { WELL }, "{title}");
                let [before, after] = [false, true]
                    .map(|opted_in| changed_by_another(client, &place(opted_in), &somebody));
                table.row(&format!("{title}, changed by another user"), &before, &after);
                if check_as_user || users.len() == 1 {
                    assert_eq!(after, UNTOUCHED, "{title}");
                }
            }
        }
    }
}
