//! The API server, the order of webhooks, dormant Jobs, calls.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::facts::{CallOutcome, Facts};
use super::{from, hint, label, one, problem};
use crate::doctor::Level;
use crate::kubernetes::fake::{make_dormant, recorded};

#[test]
fn an_old_kubernetes_is_a_problem() {
    problem("version", "v1.29.9 is older than 1.30", |facts| facts.version = Ok("v1.29.9".into()));
    hint("version", "without a minor version", |facts| facts.version = Ok("v0.0.0-master".into()));
}

#[test]
fn a_clock_minutes_off_is_a_problem_and_seconds_off_a_hint() {
    let shift = |seconds: i64| {
        move |facts: &mut Facts| facts.here += jiff::SignedDuration::from_secs(seconds)
    };
    problem("clock", "this machine's clock is 10 min ahead of", shift(600));
    problem("clock", "this machine's clock is 10 min behind", shift(-600));
    hint("clock", "30 s ahead of", shift(30));
}

#[test]
fn everything_else_is_judged_by_the_api_servers_clock() {
    // This machine believes that the certificate has expired.
    let found = one(|facts| facts.here = "2030-01-01T00:00:00Z".parse().unwrap());
    assert_eq!((found.0, found.1), (Level::Problem, "clock"));
}

fn earlier(webhook: Value) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let mut whole = json!({
            "name": "digest.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {}, "rules": [{ "apiGroups": ["batch"], "apiVersions": ["v1"],
            "resources": ["jobs"], "operations": ["CREATE"] }],
        });
        let name = webhook["configuration"].as_str().unwrap_or("00-digest").to_owned();
        for (key, value) in webhook.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let other = from(json!({ "metadata": { "name": name }, "webhooks": [whole] }));
        facts.configurations.as_mut().unwrap().push(other);
    }
}

#[test]
fn another_webhook_on_jobs_that_sorts_before_rejob_is_a_hint() {
    hint("order", "digest.example.com sees Jobs before 00-rejob", earlier(json!({})));
    let quiet = [
        json!({ "configuration": "50-digest" }),
        json!({ "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                            "operations": ["*"] }] }),
        json!({ "namespaceSelector": { "matchLabels": { "team": "other" } } }),
    ];
    for webhook in quiet {
        assert_eq!(super::spoiled(earlier(webhook.clone())), [], "{webhook}");
    }
}

fn dormant(namespace: &str, created: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut job = json!({
        "metadata": {
            "name": "nightly", "namespace": namespace, "creationTimestamp": created,
        },
    });
    make_dormant(&mut job, &recorded("deployer", None));
    change(&mut job);
    job
}

#[test]
fn a_dormant_job_that_outlives_its_request_is_left() {
    let left = |created: &'static str| {
        move |facts: &mut Facts| facts.dormant = Ok(vec![dormant("shop", created, |_| ())])
    };
    problem("dormant-jobs", "dormant for 5 min", left("2026-06-01T11:55:00Z"));
    hint("dormant-jobs", "dormant for 60 s", left("2026-06-01T11:59:00Z"));
    assert_eq!(super::spoiled(left("2026-06-01T11:59:50Z")), []);
}

#[test]
fn a_dormant_job_where_nobody_opts_in_is_left_at_any_age() {
    problem("dormant-jobs", "does not opt in any more", |facts| {
        facts.dormant = Ok(vec![dormant("kube-system", "2026-06-01T12:00:00Z", |_| ())]);
    });
}

#[test]
fn a_forged_dormant_label_is_a_hint() {
    let changes: [fn(&mut Value); 2] = [
        |job| job["spec"]["parallelism"] = json!(1),
        |job| job["metadata"]["annotations"] = json!({}),
    ];
    for change in changes {
        hint("dormant-jobs", "rejob did not make it dormant", |facts| {
            facts.dormant = Ok(vec![dormant("shop", "2026-06-01T11:00:00Z", change)]);
        });
    }
}

fn outcome(outcome: CallOutcome) -> impl FnOnce(&mut Facts) {
    move |facts| facts.calls[0].outcome = outcome
}

#[test]
fn a_call_that_fails_says_what_the_api_server_says() {
    let message = "failed calling webhook \"replace.rejob.dev\": connection refused";
    let failed = CallOutcome::Failed { namespace: "shop".into(), message: message.into() };
    problem("calls", message, outcome(failed));
}

fn answered(took: &[u64], unmarked: usize) -> CallOutcome {
    let took = took.iter().map(|millis| Duration::from_millis(*millis)).collect();
    CallOutcome::Answered { namespace: "shop".into(), took, unmarked }
}

#[test]
fn a_job_that_rejob_never_saw_is_a_problem() {
    problem("calls", "2 of 2 dry-run Jobs in shop", outcome(answered(&[], 2)));
    problem("calls", "1 of 5 dry-run Jobs in shop", outcome(answered(&[1, 1, 1, 1], 1)));
}

#[test]
fn rejobs_own_user_cannot_try_the_calls() {
    hint("calls", "its own user, alone", |facts| {
        facts.user = Ok("system:serviceaccount:rejob:rejob".into());
        facts.calls[0].outcome = answered(&[], 2);
    });
}

#[test]
fn rejob_that_runs_as_the_user_who_asks_is_a_problem() {
    problem("calls", "it leaves all Jobs of this user alone", outcome(CallOutcome::SameUser));
}

#[test]
fn slow_calls_are_a_hint() {
    hint("calls", "slow: 3 dry-run Jobs in shop, 1500 ms", outcome(answered(&[10, 1500, 2000], 0)));
}

#[test]
fn calls_that_could_not_be_tried_say_why() {
    let why = "jobs.batch is forbidden: User \"eve\" cannot create resource \"jobs\"";
    hint("calls", why, outcome(CallOutcome::NotTried(why.into())));
    hint("calls", "not tried for replace: no namespace opts in", outcome(CallOutcome::NoNamespace));
}

#[test]
fn a_namespace_that_names_no_policy_is_a_problem_each() {
    problem("namespace", "\"repalce\", which no webhook has; there are replace", |facts| {
        label(facts, "shop", "repalce");
    });
    let two = super::spoiled(|facts| {
        label(facts, "shop", "a");
        let more = json!({ "metadata": { "name": "b", "labels": { "rejob.dev/policy": "b" } } });
        facts.namespaces.as_mut().unwrap().push(from(more));
    });
    assert_eq!(two.iter().map(|f| f.subject.as_str()).collect::<Vec<_>>(), ["shop", "b"]);
}

#[test]
fn protected_namespaces_must_not_opt_in() {
    problem("namespace", "kube-system opts in to replace, and is never served", |facts| {
        label(facts, "kube-system", "replace");
    });
    problem("namespace", "rejob's own namespace opts in", |facts| label(facts, "rejob", "replace"));
}

#[test]
fn a_namespace_that_the_selector_leaves_out_is_a_problem() {
    let excluded = json!({
        "matchLabels": { "rejob.dev/policy": "replace" },
        "matchExpressions": [{ "key": "team", "operator": "Exists" }],
    });
    problem("namespace", "the namespaceSelector of the webhook leaves it out", |facts| {
        super::entry(facts).namespace_selector = Some(from(excluded));
    });
}

#[test]
fn nobody_opting_in_is_a_hint() {
    hint("namespace", "no namespace opts in", |facts| {
        facts.namespaces.as_mut().unwrap().pop();
    });
}

#[test]
fn what_may_not_be_read_is_a_hint_and_the_rest_goes_on() {
    let no = || "x is forbidden: User \"eve\" cannot list resource \"x\"".to_owned();
    hint("namespace", "is forbidden", |facts| facts.namespaces = Err(no()));
    hint("dormant-jobs", "is forbidden", |facts| facts.dormant = Err(no()));
    hint("version", "is forbidden", |facts| facts.version = Err(no()));
    hint("clock", "no Date header", |facts| facts.there = None);
    // Without the configurations there is nothing to say about anything: that is no hint.
    problem("webhook-configuration", "is forbidden", |facts| facts.configurations = Err(no()));
}
