//! Checks in the user's name: what admission says to the user is heard before anything is deleted.

use serde_json::json;

use support::admission_policy::AdmissionPolicy;
use support::manifest::job;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place};
use super::rights::{assert_refused, deployed};

/// All that a deploy and a replacement take.
const RIGHTS: (&str, &str, &[&str]) = ("batch", "jobs", &["get", "patch", "create", "delete"]);
const WORDS: &str = "the cluster's rule";

fn start(plane: &ControlPlane) -> Rejob<'_> {
    Rejob::start(plane, &Options { check_as_user: true, ..Options::default() })
}

/// Waits until the policy refuses that user's dry run: a creation, or the deletion of the Job.
fn in_force(seen: &Namespace, operation: &str) {
    wait::until("the policy is in force", || {
        let user = seen.user();
        let answer = if operation == "CREATE" {
            user.post(&format!("{}?dryRun=All", seen.jobs_path()), &job("probe", "app:1"))
        } else {
            user.delete(&seen.job_path(JOB), &json!({ "dryRun": ["All"] }))
        };
        answer.message().contains(WORDS).then_some(())
    });
}

/// A place seen by a user with all rights, who is in that group.
fn user(plane: &ControlPlane, place: &Place, group: Option<&str>) -> Namespace {
    let seen = place.namespace.seen_with_rights(plane, &[RIGHTS]);
    let user = plane.user(seen.user().name(), group);
    seen.seen_by(user)
}

#[test]
fn a_policy_on_deletions_against_a_group_refuses_before_anything_is_deleted() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = deployed(rejob.namespace("replace"));
    let contractor = user(&plane, &place, Some("contractors"));
    let rule = ("!('contractors' in request.userInfo.groups)", WORDS);
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["DELETE"], rule);
    in_force(&contractor, "DELETE");
    let words = ["refuses to delete the old one", WORDS];
    assert_refused(&place, &contractor, 403, &words);
    let employee = Place::new(user(&plane, &place, Some("employees")));
    employee.deploy(Client::Apply, "app:2");
    employee.assert_runs("app:2");
}

#[test]
fn a_policy_on_creations_against_a_user_refuses_before_anything_is_deleted() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = deployed(rejob.namespace("replace"));
    let ada = user(&plane, &place, None);
    let expression = format!("request.userInfo.username != '{}'", ada.user().name());
    let rule = (expression.as_str(), WORDS);
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["CREATE"], rule);
    in_force(&ada, "CREATE");
    assert_refused(&place, &ada, 403, &["refuses the new one", WORDS]);
    let bob = Place::new(user(&plane, &place, None));
    bob.deploy(Client::ForcedApply, "app:2");
    bob.assert_runs("app:2");
}

/// It is shown the stored template, and a dry run of the update itself fails before it: no template
/// can change. So such a policy is not heard (docs/design/limits.md).
#[test]
fn a_policy_that_compares_templates_on_updates_is_not_heard() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = deployed(rejob.namespace("replace"));
    let outside = Place::new(rejob.unlabeled_namespace());
    outside.namespace.create_job(&job(JOB, "app:1")).ok();
    // A label tells that the policy is in force.
    let rule = (
        "object.spec.template == oldObject.spec.template && !has(object.metadata.labels.probe)",
        WORDS,
    );
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["UPDATE"], rule);
    let path = format!("{}?dryRun=All", outside.namespace.job_path(JOB));
    wait::until("the policy is in force", || {
        let probe = json!({ "metadata": { "labels": { "probe": "" } } });
        let answer = outside.namespace.user().patch("merge", &path, &probe);
        answer.message().contains(WORDS).then_some(())
    });
    let change = json!({ "spec": { "template": { "spec": { "restartPolicy": "OnFailure" } } } });
    let answer = outside.namespace.user().patch("merge", &path, &change);
    assert!(answer.message().contains("field is immutable"), "{}", answer.body);
    assert!(!answer.message().contains(WORDS), "{}", answer.body);
    place.deploy(Client::Apply, "app:2");
    place.assert_runs("app:2");
}

#[test]
fn a_service_account_is_checked_in_its_own_name_and_groups() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = deployed(rejob.namespace("replace"));
    let account = service_account(&plane, &place.namespace);
    account.kubectl_with(&Place::manifest("app:2").to_string(), &["apply", "-f", "-"]).ok();
    place.assert_runs("app:2");
    let groups = format!("'system:serviceaccounts:{}'", place.namespace.name());
    let expression = format!("!({groups} in request.userInfo.groups)");
    let rule = (expression.as_str(), WORDS);
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["DELETE"], rule);
    in_force(&account, "DELETE");
    let uid = place.uid();
    let manifest = Place::manifest("app:3").to_string();
    let told = account.kubectl_with(&manifest, &["apply", "-f", "-"]);
    assert!(told.code != 0 && told.stderr.contains(WORDS), "{told:?}");
    assert_eq!(place.uid(), uid);
}

/// A service account of the namespace with all rights there.
fn service_account(plane: &ControlPlane, namespace: &Namespace) -> Namespace {
    let (admin, name) = (plane.admin(), "deployer");
    let path =
        |api: &str, resource: &str| format!("{api}/namespaces/{}/{resource}", namespace.name());
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let metadata = json!({ "name": name });
    admin.post(&path("/api/v1", "serviceaccounts"), &json!({ "metadata": metadata })).ok();
    let (group, resource, verbs) = RIGHTS;
    let rules = json!([{ "apiGroups": [group], "resources": [resource], "verbs": verbs }]);
    admin.post(&path(rbac, "roles"), &json!({ "metadata": metadata, "rules": rules })).ok();
    let binding = json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace.name() }],
    });
    admin.post(&path(rbac, "rolebindings"), &binding).ok();
    let account = namespace.seen_by(plane.service_account(namespace.name(), name));
    wait::until("it has the rights", || {
        let path = format!("{}?dryRun=All", account.jobs_path());
        (account.user().post(&path, &job("probe", "app:1")).status == 201).then_some(())
    });
    account
}

#[test]
fn uid_and_extra_of_the_user_are_seen_by_admission() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = deployed(rejob.namespace("replace"));
    let name = user(&plane, &place, None).user().name().to_owned();
    let deploy = |image: &str, uid: &str, team: &str| {
        let extra = format!("--as-user-extra=example.com/team={team}");
        let uid = format!("--as-uid={uid}");
        let name = format!("--as={name}");
        let args = ["apply", "-f", "-", &name, &uid, "--as-group=dev & ops", &extra];
        place.namespace.kubectl_with(&Place::manifest(image).to_string(), &args)
    };
    // The deletion itself is rejob's.
    let expression = format!(
        "request.userInfo.username == '{}' || (request.userInfo.uid == '7' \
         && 'dev & ops' in request.userInfo.groups \
         && request.userInfo.extra['example.com/team'] == ['größe 1'])",
        rejob.account().name()
    );
    let rule = (expression.as_str(), WORDS);
    let _policy = AdmissionPolicy::validating(&plane, &rejob, &["DELETE"], rule);
    in_force(&user(&plane, &place, None), "DELETE");
    let uid = place.uid();
    for (uid, team) in [("8", "größe 1"), ("7", "other")] {
        let told = deploy("app:2", uid, team);
        assert!(told.code != 0 && told.stderr.contains(WORDS), "{told:?}");
    }
    assert_eq!(place.uid(), uid);
    deploy("app:2", "7", "größe 1").ok();
    place.assert_runs("app:2");
}

/// Nobody can act in the name of `system:masters`, which has every right.
#[test]
fn a_superuser_is_checked_in_rejobs_name() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = Place::new(rejob.namespace("replace"));
    for client in [Client::Put, Client::Apply, Client::ServerSideApply] {
        place.deploy(client, "app:1");
        place.deploy(client, "app:2");
        place.assert_runs("app:2");
    }
}

#[test]
fn without_its_rights_rejob_says_which_one_it_lacks() {
    let plane = ControlPlane::shared();
    let forbidden = Some("*");
    let options = Options { check_as_user: true, forbidden, ..Options::default() };
    let rejob = Rejob::start(&plane, &options);
    let place = deployed(rejob.namespace("replace"));
    let ada = user(&plane, &place, None);
    let words = ["rejob may not check it in the name of user", "impersonate:user-info"];
    assert_refused(&place, &ada, 403, &words);
}

/// SECURITY.md: what whoever has the token of rejob's account can do.
#[test]
fn its_rights_are_not_for_dry_runs_alone() {
    let plane = ControlPlane::shared();
    let rejob = start(&plane);
    let place = Place::new(rejob.unlabeled_namespace());
    let stolen = place.namespace.seen_by(rejob.account().clone());
    let ada = user(&plane, &place, None).user().name().to_owned();
    let jobs = place.namespace.jobs_path();
    let create = |user: &[&str]| {
        let manifest = job("plain", "app:1").to_string();
        stolen.kubectl_with(&manifest, &[&["create", "--raw", &jobs, "-f", "-"], user].concat())
    };
    // In the name of whoever may create Jobs, and of a controller of Kubernetes' own everywhere.
    let controller = "--as=system:serviceaccount:kube-system:cronjob-controller";
    for user in [&format!("--as={ada}"), controller] {
        create(&[user]).ok();
        place.namespace.started_pods("plain");
        let background = json!({ "propagationPolicy": "Background" });
        plane.admin().delete(&place.namespace.job_path("plain"), &background).ok();
        wait::until("it is gone", || place.namespace.job("plain").is_none().then_some(()));
    }
    // Not as a superuser, and nothing but Jobs.
    let told = create(&["--as=root", "--as-group=system:masters"]);
    assert!(told.stderr.contains("system:masters group is not allowed"), "{told:?}");
    let secrets = format!("/api/v1/namespaces/{}/secrets", place.namespace.name());
    let told = stolen.kubectl(&["get", "--raw", &secrets, controller]);
    assert!(told.stderr.contains("cannot impersonate-on:serviceaccount:list"), "{told:?}");
}
