//! The self-guard, asked by whoever has stolen the token of rejob's account: which Jobs he may write,
//! of all that RBAC lets him. And that rejob goes on with its own work under it.

use serde_json::{Value, json};

use super::clients::{self, uid};
use support::helm::Helm;
use support::manifest::{image, job, left_dormant};
use support::namespace::Namespace;
use support::plane::{self, ControlPlane};
use support::service::Service;
use support::site::{self, OFTEN, RELEASE, Site};
use support::user::{Answer, User};
use support::wait;

const GUARD: &str = "ValidatingAdmissionPolicy 'self-guard.rejob.rejob.dev'";
const REPORTS: [&str; 2] =
    ["policies.hash-name=null,policies.ttl=null", "policies.replace.onChange=Report"];

/// The account's token in the wrong hands.
struct Thief<'p> {
    plane: &'p ControlPlane,
    account: User,
}

impl<'p> Thief<'p> {
    /// Of that installation, whose guard is in force.
    fn of(site: &Site<'p>) -> Self {
        let account = site.plane.service_account(site.namespace.name(), RELEASE);
        wait_until_guarded(site, &account);
        Self { plane: site.plane, account }
    }

    fn creates(&self, namespace: &str, job: &Value) -> Answer {
        self.account.post(&jobs(namespace), job)
    }

    /// Deletes a Job that somebody else has made there.
    fn deletes_one_of(&self, namespace: &str) -> Answer {
        let name = format!("job-{}", plane::unique());
        self.plane.admin().post(&jobs(namespace), &job(&name, "app:1")).ok();
        let path = format!("{}/{name}", jobs(namespace));
        let answer = self.account.delete(&path, &json!({ "propagationPolicy": "Background" }));
        self.plane.admin().delete(&path, &json!({ "propagationPolicy": "Background" }));
        answer
    }
}

fn jobs(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs")
}

/// Until the API server has taken notice of the policy and its binding, a plain Job is let in.
pub fn wait_until_guarded(site: &Site<'_>, account: &User) {
    let place = site.plane.namespace("guarded", &[]);
    wait::until("the self-guard is in force", || {
        let answer = account.post(&jobs(place.name()), &named(job("", "app:1")));
        (answer.status == 403 && answer.message().contains(GUARD)).then_some(())
    });
}

/// With a name of its own.
fn named(mut job: Value) -> Value {
    job["metadata"]["name"] = json!(format!("job-{}", plane::unique()));
    job
}

fn dormant() -> Value {
    named(left_dormant(""))
}

/// Refused by the guard, with that sentence.
#[track_caller]
fn refused(answer: &Answer, sentence: &str) {
    assert_eq!(answer.status, 403, "{}", answer.body);
    let message = answer.message();
    assert!(message.contains(GUARD) && message.contains(sentence), "{message}");
}

#[test]
fn a_stolen_token_starts_no_pod_and_touches_no_job_where_nobody_opted_in() {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    let opted_in = [("rejob.dev/policy", "replace")];
    let excluded = plane.namespace("payroll", &opted_in);
    let exclude = format!("webhook.excludedNamespaces={{{}}}", excluded.name());
    let site = Site::install(plane, Helm::V4_3, &[&exclude]);
    let thief = Thief::of(&site);
    let team = plane.namespace("team", &opted_in);

    only_dormant_jobs(&thief, team.name());
    only_where_somebody_opted_in(&thief);
    let own = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
    let kube_system = "kube-system";
    for never in [kube_system, site.namespace.name(), excluded.name()] {
        plane.admin().patch("merge", &format!("/api/v1/namespaces/{never}"), &own).ok();
        refused(&thief.creates(never, &dormant()), "which never opts in");
        refused(&thief.deletes_one_of(never), "which never opts in");
    }
    nothing_is_changed(&site, &thief, &team);
    // A dry run tells, and does nothing.
    for namespace in [team.name(), kube_system] {
        let path = format!("{}?dryRun=All", jobs(namespace));
        thief.account.post(&path, &named(job("", "app:1"))).ok();
    }
    let names = team.job_names();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(team.job(&names[0]).unwrap()["spec"]["parallelism"], 0);
}

/// Of the Jobs that are tried, one is left in the namespace.
fn only_dormant_jobs(thief: &Thief<'_>, team: &str) {
    let change = |change: fn(&mut Value)| {
        let mut job = dormant();
        change(&mut job);
        job
    };
    for job in [
        named(job("", "app:1")),
        change(|job| drop(job["metadata"].as_object_mut().unwrap().remove("annotations"))),
        change(|job| drop(job["metadata"].as_object_mut().unwrap().remove("labels"))),
        change(|job| job["metadata"]["annotations"]["rejob.dev/dormant"] = json!("true")),
        change(|job| job["spec"]["parallelism"] = json!(1)),
        change(|job| drop(job["spec"].as_object_mut().unwrap().remove("parallelism"))),
    ] {
        refused(&thief.creates(team, &job), "only with parallelism 0");
    }
    thief.creates(team, &dormant()).ok();
    thief.deletes_one_of(team).ok();
}

fn only_where_somebody_opted_in(thief: &Thief<'_>) {
    let sentence = "whose label rejob.dev/policy names one of its policies";
    for labels in [&[][..], &[("rejob.dev/policy", "")]] {
        let place = thief.plane.namespace("other", labels);
        refused(&thief.creates(place.name(), &dormant()), sentence);
        refused(&thief.deletes_one_of(place.name()), sentence);
    }
    let elsewhere = thief.plane.namespace("other", &[("rejob.dev/policy", "of-another-rejob")]);
    refused(&thief.deletes_one_of(elsewhere.name()), sentence);
}

/// Not even where somebody has given the account more rights than the chart does.
fn nothing_is_changed(site: &Site<'_>, thief: &Thief<'_>, team: &Namespace) {
    let name = format!("more-{}", plane::unique());
    let rights = ["--verb=update,patch", "--resource=jobs.batch,jobs.batch/status"];
    team.kubectl(&[&["create", "role", &name][..], &rights].concat()).ok();
    let account = format!("--serviceaccount={}:{RELEASE}", site.namespace.name());
    team.kubectl(&["create", "rolebinding", &name, &format!("--role={name}"), &account]).ok();
    let path = team.job_path(&team.job_names()[0]);
    let wakes = json!({ "spec": { "parallelism": 1 } });
    let answer = wait::until("the account has the rights", || {
        let answer = thief.account.patch("merge", &path, &wakes);
        (!answer.message().contains("cannot patch resource")).then_some(answer)
    });
    refused(&answer, "may not change Jobs");
    let stored = thief.account.get(&path).ok();
    refused(&thief.account.put(&path, &stored), "may not change Jobs");
    let status = json!({ "metadata": { "labels": { "a": "b" } } });
    let status = thief.account.patch("merge", &format!("{path}/status"), &status);
    refused(&status, "may not change Jobs");
}

#[test]
fn with_rbac_namespaces_the_guard_holds_in_the_same_namespaces() {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    let opted_in = [("rejob.dev/policy", "replace")];
    let [served, other] = ["served", "other"].map(|name| plane.namespace(name, &opted_in));
    let only = format!("rbac.namespaces={{{}}}", served.name());
    let site = Site::install(plane, Helm::V3_22, &[&only]);
    // Rights in the whole cluster, whoever gave them.
    let account = site.account();
    let binding = ["create", "clusterrolebinding", "more", "--clusterrole=cluster-admin"];
    let to = format!("--user={account}");
    plane.admin().kubectl(&[&binding[..], &[&to]].concat(), "").ok();
    let thief = Thief::of(&site);
    refused(&thief.creates(other.name(), &dormant()), "only in the namespaces of rbac.namespaces");
    refused(&thief.deletes_one_of(other.name()), "only in the namespaces of rbac.namespaces");
    thief.creates(served.name(), &dormant()).ok();
    thief.deletes_one_of(served.name()).ok();
}

#[test]
fn a_namespace_that_the_operators_expressions_leave_out_is_left_out_of_the_guard_too() {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    let expression = |number: usize, key: &str, operator: &str, value: &str| {
        let at = format!("webhook.namespaceMatchExpressions[{number}]");
        let values =
            if value.is_empty() { String::new() } else { format!(",{at}.values={{{value}}}") };
        format!("{at}.key={key},{at}.operator={operator}{values}")
    };
    let expressions = [
        expression(0, "team", "Exists", ""),
        expression(1, "frozen", "DoesNotExist", ""),
        expression(2, "tier", "In", "one,two"),
        expression(3, "stage", "NotIn", "prod"),
    ];
    let site = Site::install(plane, Helm::V4_3, &expressions.each_ref().map(String::as_str));
    let thief = Thief::of(&site);
    let fits = [("rejob.dev/policy", "replace"), ("team", ""), ("tier", "two")];
    let served = plane.namespace("served", &fits);
    thief.creates(served.name(), &dormant()).ok();
    thief.deletes_one_of(served.name()).ok();
    let left_out = [
        vec![fits[0], fits[2]],
        vec![fits[0], fits[1]],
        vec![fits[0], fits[1], ("tier", "three")],
        [&fits[..], &[("frozen", "")]].concat(),
        [&fits[..], &[("stage", "prod")]].concat(),
    ];
    for labels in left_out {
        let other = plane.namespace("other", &labels);
        let sentence = "only in the namespaces of webhook.namespaceMatchExpressions";
        refused(&thief.creates(other.name(), &dormant()), sentence);
        refused(&thief.deletes_one_of(other.name()), sentence);
    }
}

#[test]
fn where_policies_only_report_nothing_but_dry_runs_get_through() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &REPORTS);
    // Even with the right to delete, which the chart does not give it.
    let account = site.plane.service_account(site.namespace.name(), RELEASE);
    let team = site.plane.namespace("team", &[("rejob.dev/policy", "replace")]);
    let delete = account.delete(&team.job_path("any"), &json!({}));
    assert!(delete.message().contains("cannot delete resource"), "{}", delete.body);
    let binding = ["create", "clusterrolebinding", "more", "--clusterrole=cluster-admin"];
    let to = format!("--user={}", site.account());
    site.plane.admin().kubectl(&[&binding[..], &[&to]].concat(), "").ok();
    let thief = Thief::of(&site);
    for job in [named(job("", "app:1")), dormant()] {
        refused(&thief.creates(team.name(), &job), "only report");
        thief.account.post(&format!("{}?dryRun=All", team.jobs_path()), &job).ok();
    }
    refused(
        &wait::until("the right to delete is known", || {
            let answer = thief.deletes_one_of(team.name());
            (!answer.message().contains("cannot delete resource")).then_some(answer)
        }),
        "only report",
    );
    assert_eq!(team.job_names(), [""; 0]);
}

#[test]
fn rejob_does_its_own_work_under_the_guard() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V3_22, &[&OFTEN[..], &["replicas=1"]].concat());
    let team = site.team("replace");
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    site.wait_until_called(&team);
    wait_until_guarded(&site, &site.plane.service_account(site.namespace.name(), RELEASE));

    clients::all_replace(site.plane, &team, Helm::V3_22);
    team.create_job(&job("set", "app:1")).ok();
    let old = uid(&team, "set");
    team.kubectl(&["set", "image", "job/set", "app=app:2"]).ok();
    assert_ne!(uid(&team, "set"), old);
    assert_eq!(image(&team.job("set").unwrap()), "app:2");
    team.started_pods("set");

    let reaped = clients::left_dormant(site.plane);
    wait::until("the dormant Job is reaped", || reaped.job("cut-off").is_none().then_some(()));
    let said = site.doctor().ok().stdout;
    assert!(said.contains("rejob is well: 0 problems"), "{said}");
}
