//! A namespace that opts out, or in to another policy, in the very middle of a replacement, with the
//! self-guard in force: the client is told success only where the Job runs.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::clients::uid;
use super::self_guard::wait_until_guarded;
use support::helm::Helm;
use support::hook::{self, Hook};
use support::manifest::{annotation, image, job};
use support::namespace::Namespace;
use support::output::Output;
use support::service::Service;
use support::site::{self, RELEASE, Site};
use support::user::User;
use support::wait;

/// When the label changes: in which request of a replacement, and to what.
struct Moment {
    admin: User,
    namespace: String,
    operation: &'static str,
    label: Value,
}

static NEXT: Mutex<Option<Moment>> = Mutex::new(None);

/// Changes the label at that moment, and lets the request go on when the API server knows it.
fn opts_out(request: &Value) -> Duration {
    let mut next = NEXT.lock().unwrap();
    let of_a_replacement = match request["operation"].as_str() {
        Some("CREATE") => request["object"]["metadata"]["labels"]["rejob.dev/dormant"] == "true",
        Some("UPDATE") => annotation(&request["object"], "rejob.dev/replacing").is_some(),
        _ => true,
    };
    if request["dryRun"] == true || !of_a_replacement {
        return Duration::ZERO;
    }
    let Some(moment) = next.take_if(|next| request["operation"] == next.operation) else {
        return Duration::ZERO;
    };
    drop(next);
    let label = json!({ "metadata": { "labels": { "rejob.dev/policy": moment.label } } });
    let path = format!("/api/v1/namespaces/{}", moment.namespace);
    moment.admin.patch("merge", &path, &label).ok();
    let probe = format!("/apis/batch/v1/namespaces/{}/jobs?dryRun=All", moment.namespace);
    wait::until("the API server calls rejob no longer", || {
        let answer = moment.admin.post(&probe, &job("probe", "a")).ok();
        annotation(&answer, "rejob.dev/template-hash").is_none().then_some(())
    });
    Duration::ZERO
}

/// A Job whose image is changed while the namespace's label changes.
struct Case<'a, 'p> {
    site: &'a Site<'p>,
    team: &'a Namespace,
}

impl Case<'_, '_> {
    fn apply(&self, image: &str) -> Output {
        let manifest = job("nightly", image).to_string();
        self.team.kubectl_with(&manifest, &["apply", "--filename=-"])
    }

    /// In that request of the replacement the label gets that value: what the client says, and the uid
    /// of the old Job.
    fn replace(&self, operation: &'static str, label: Value) -> (Output, String) {
        self.opt_in();
        self.apply("app:1").ok();
        let old = uid(self.team, "nightly");
        let (admin, namespace) = (self.site.plane.admin(), self.team.name().to_owned());
        *NEXT.lock().unwrap() = Some(Moment { admin, namespace, operation, label });
        let said = self.apply("app:2");
        assert!(NEXT.lock().unwrap().is_none(), "the label was not changed: {said:?}");
        (said, old)
    }

    fn opt_in(&self) {
        let label = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
        let path = format!("/api/v1/namespaces/{}", self.team.name());
        self.site.plane.admin().patch("merge", &path, &label).ok();
        self.site.wait_until_called(self.team);
    }

    fn runs_the_second(&self, old: &str) {
        let job = self.team.job("nightly").expect("the Job");
        assert_ne!(job["metadata"]["uid"], old);
        assert_eq!((image(&job), &job["spec"]["parallelism"]), ("app:2", &json!(1)));
        self.team.started_pods("nightly");
    }
}

#[test]
fn a_namespace_that_opts_out_in_the_middle_of_a_replacement_loses_no_job_silently() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &["replicas=1"]);
    let team = site.team("replace");
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    wait_until_guarded(&site, &site.plane.service_account(site.namespace.name(), RELEASE));
    let case = Case { site: &site, team: &team };
    case.opt_in();
    let operations = &["CREATE", "UPDATE", "DELETE"];
    let options = hook::Options { operations, takes: opts_out, ..hook::Options::default() };
    let _hook = Hook::in_namespace(&cluster.plane, &team, &options);

    // Before the deletion: nothing is touched.
    let (said, old) = case.replace("DELETE", Value::Null);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("refused to delete the old one"), "{}", said.stderr);
    assert_eq!(uid(&team, "nightly"), old);

    // Between deletion and creation, to another value: it goes on.
    let (said, old) = case.replace("CREATE", json!("of-another-rejob"));
    said.ok();
    case.runs_the_second(&old);

    // Between the two, no label any more: the client is told, and what to do.
    let (said, old) = case.replace("CREATE", Value::Null);
    assert_ne!(said.code, 0, "{said:?}");
    for told in ["was deleted and could not be created again", "set the label"] {
        assert!(said.stderr.contains(told), "{}", said.stderr);
    }
    assert!(team.job("nightly").is_none());
    case.opt_in();
    case.apply("app:2").ok();
    case.runs_the_second(&old);

    // When the new Job is there: it goes on.
    let (said, old) = case.replace("UPDATE", Value::Null);
    said.ok();
    case.runs_the_second(&old);
}
