//! The collecting, against an API server that is a function.

use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::facts::{CallOutcome, ChainSource, Facts};
use super::super::probe::Probe;

use super::{configuration, deployment};
use crate::doctor::collect;
use crate::kubernetes::ApiAnswer;
use crate::kubernetes::webhook::Target;

/// Answers by method and path; anything else is forbidden.
struct Fake<F> {
    answers: F,
    asked: Mutex<Vec<String>>,
}

impl<F: Fn(&str) -> Option<(u16, Value)> + Sync> Fake<F> {
    fn new(answers: F) -> Self {
        Self { answers, asked: Mutex::default() }
    }

    fn asked(&self, part: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    fn collect(&self, namespace: Option<&str>) -> Result<Facts, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(collect(self, "https://10.0.0.1", namespace))
    }
}

impl<F: Fn(&str) -> Option<(u16, Value)> + Sync> Probe for Fake<F> {
    async fn call(
        &self,
        method: Method,
        path: &str,
        _: Option<&Value>,
    ) -> Result<ApiAnswer, String> {
        let line = format!("{method} {path}");
        let (code, body) = (self.answers)(&line).unwrap_or_else(|| {
            (403, json!({ "message": "it is forbidden: User \"eve\" cannot do that" }))
        });
        self.asked.lock().unwrap().push(line);
        let (date, took) = (None, Duration::from_millis(3));
        Ok(ApiAnswer { code, body, date, warnings: Vec::new(), took })
    }

    async fn served(&self, _: &Target) -> Result<Vec<Vec<u8>>, String> {
        Err("it cannot be reached from here".to_owned())
    }

    fn now(&self) -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }
}

/// A cluster with one configuration and two namespaces that opt in; `jobs` answers dry-run Jobs.
fn cluster(line: &str, jobs: impl Fn(&str) -> (u16, Value)) -> Option<(u16, Value)> {
    let namespace = |name: &str| json!({ "metadata": { "name": name, "labels": { "rejob.dev/policy": "replace" } } });
    let items = |items: Value| (200, json!({ "items": items }));
    let selector = "?labelSelector=app.kubernetes.io%2F";
    let deployments = format!("GET /apis/apps/v1/namespaces/rejob/deployments{selector}");
    Some(match line {
        "GET /version" => (200, json!({ "gitVersion": "v1.37.2" })),
        "GET /api/v1/namespaces" => items(json!([
            // Neither is served: another policy, and on its way out.
            { "metadata": { "name": "0", "labels": { "rejob.dev/policy": "ttl" } } },
            { "metadata": { "name": "1", "labels": { "rejob.dev/policy": "replace" },
                            "deletionTimestamp": "2026-06-01T11:00:00Z" } },
            namespace("a"),
            namespace("b"),
        ])),
        _ if line.ends_with("/mutatingwebhookconfigurations") => items(json!([configuration("")])),
        // Only the name was not overridden.
        _ if line == format!("{deployments}part-of%3Drejob") => items(json!([])),
        _ if line == format!("{deployments}name%3Drejob") => items(json!([deployment()])),
        _ if line.ends_with("/secrets/rejob-tls") => (200, json!({ "data": { "tls.crt": "" } })),
        _ if line.ends_with("/services/rejob") => (404, json!({ "message": "not found" })),
        _ if line.ends_with("/jobs?dryRun=All") => jobs(line),
        _ => return None,
    })
}

fn marked() -> (u16, Value) {
    (201, json!({ "metadata": { "annotations": { "rejob.dev/template-hash": "x" } } }))
}

#[test]
fn what_is_forbidden_is_noted_and_the_rest_goes_on() {
    let fake = Fake::new(|line: &str| cluster(line, |_| marked()));
    let facts = fake.collect(None).unwrap();
    assert!(facts.dormant.unwrap_err().contains("is forbidden: User \"eve\""));
    assert!(facts.user.is_err());
    let installation = &facts.installations[0];
    assert_eq!(installation.settings().unwrap().service_account, "rejob");
    assert!(installation.rights.iter().all(|(_, allowed)| allowed.is_err()));
    assert_eq!(installation.rights.len(), 13);
    let backend = facts.backends.values().next().unwrap();
    assert_eq!((backend.service.as_ref().unwrap(), backend.ready.is_err()), (&None, true));
    let certificate = facts.certificates.values().next().unwrap();
    let instead = "it cannot be reached from here".to_owned();
    assert_eq!(certificate.source, ChainSource::Secret { name: "rejob-tls".into(), instead });
    assert_eq!(facts.there, None);
}

#[test]
fn five_jobs_are_sent_for_an_entry_and_all_are_dry() {
    let fake = Fake::new(|line: &str| cluster(line, |_| marked()));
    let facts = fake.collect(None).unwrap();
    let took = vec![Duration::from_millis(3); 5];
    let expected = CallOutcome::Answered { namespace: "a".into(), took, unmarked: 0 };
    assert_eq!(facts.calls[0].outcome, expected);
    assert_eq!((fake.asked("POST /apis/batch/"), fake.asked("dryRun=All")), (5, 5));
}

#[test]
fn after_two_unmarked_jobs_it_is_over() {
    let fake = Fake::new(|line: &str| cluster(line, |_| (201, json!({ "metadata": {} }))));
    let facts = fake.collect(None).unwrap();
    let expected = CallOutcome::Answered { namespace: "a".into(), took: Vec::new(), unmarked: 2 };
    assert_eq!(facts.calls[0].outcome, expected);
    assert_eq!(fake.asked("dryRun=All"), 2);
}

#[test]
fn where_something_else_refuses_the_next_namespace_is_tried() {
    let quota = || (403, json!({ "message": "exceeded quota: compute" }));
    let fake = Fake::new(|line: &str| {
        cluster(line, |line| if line.contains("/namespaces/a/") { quota() } else { marked() })
    });
    let facts = fake.collect(None).unwrap();
    assert!(
        matches!(&facts.calls[0].outcome, CallOutcome::Answered { namespace, .. } if namespace == "b")
    );
}

#[test]
fn a_failed_call_of_rejob_is_not_tried_elsewhere() {
    let message = "Internal error occurred: failed calling webhook \"replace.rejob.dev\": no";
    let fake = Fake::new(|line: &str| cluster(line, |_| (500, json!({ "message": message }))));
    let facts = fake.collect(None).unwrap();
    let expected = CallOutcome::Failed { namespace: "a".into(), message: message.into() };
    assert_eq!(facts.calls[0].outcome, expected);
    assert_eq!(fake.asked("dryRun=All"), 1);
}

#[test]
fn another_installations_entries_are_left_out_when_a_namespace_is_given() {
    let fake = Fake::new(|line: &str| cluster(line, |_| marked()));
    let facts = fake.collect(Some("elsewhere")).unwrap();
    assert_eq!(facts.entries().count(), 0);
    assert_eq!(fake.asked("dryRun=All"), 0);
}

#[test]
fn bad_credentials_end_it() {
    let fake = Fake::new(|_: &str| Some((401, json!({ "message": "Unauthorized" }))));
    assert_eq!(fake.collect(None).unwrap_err(), "it does not accept these credentials");
    assert_eq!(fake.asked(""), 1);
}

#[test]
fn nothing_but_reads_reviews_and_dry_runs_is_asked() {
    let fake = Fake::new(|line: &str| cluster(line, |_| marked()));
    fake.collect(None).unwrap();
    for line in fake.asked.lock().unwrap().iter() {
        let harmless = line.starts_with("GET ")
            || line.ends_with("subjectaccessreviews")
            || line.ends_with("selfsubjectreviews")
            || line.ends_with("/jobs?dryRun=All");
        assert!(harmless, "{line}");
    }
}
