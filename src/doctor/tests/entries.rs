//! The webhook configuration, its entries and their certificates.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;
use serde_json::json;

use super::super::facts::{ChainSource, Facts};
use super::{entry, from, hint, one, pki, problem, serve, spoiled, the_configuration};
use crate::doctor::Level;

#[test]
fn no_configuration_is_a_problem() {
    problem("webhook-configuration", "no MutatingWebhookConfiguration of rejob exists", |facts| {
        facts.configurations = Ok(Vec::new());
    });
    problem("webhook-configuration", "it has no entry", |facts| {
        let configuration = the_configuration(facts);
        configuration.webhooks = None;
        configuration.metadata.labels =
            Some(BTreeMap::from([("app.kubernetes.io/name".into(), "rejob".into())]));
    });
}

#[test]
fn a_paused_rejob_is_a_hint_and_its_entries_are_not_called() {
    let pause = |facts: &mut Facts| {
        let condition = json!([{ "name": "paused", "expression": "false" }]);
        for webhook in the_configuration(facts).webhooks.iter_mut().flatten() {
            if webhook.name != "dormant.rejob.dev" {
                webhook.match_conditions = Some(from(condition.clone()));
            }
        }
    };
    hint("webhook-configuration", "rejob is paused: every Job is left to plain Kubernetes", pause);
    assert_eq!(spoiled(pause).len(), 1);
}

#[test]
fn an_entry_for_every_namespace_is_a_problem() {
    let found = spoiled(|facts| entry(facts).namespace_selector = None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("does not ask for the label rejob.dev/policy"));
}

#[test]
fn an_entry_for_another_policys_namespaces_is_a_problem() {
    let found = spoiled(|facts| {
        entry(facts).namespace_selector =
            Some(from(json!({ "matchLabels": { "rejob.dev/policy": "ttl" } })));
    });
    assert_eq!(found[0].check, "entry");
    assert!(found[0].message.contains("the policy replace, and selects the namespaces of ttl"));
}

#[test]
fn rules_that_leave_out_updates_are_a_problem() {
    problem("entry", "its rules leave out UPDATE of jobs", |facts| {
        entry(facts).rules.as_mut().unwrap()[0].operations = Some(vec!["CREATE".into()]);
    });
}

#[test]
fn a_path_that_is_missing_or_another_policys_is_a_problem() {
    let path = |path: Option<&'static str>| {
        move |facts: &mut Facts| {
            let service = entry(facts).client_config.service.as_mut().unwrap();
            service.path = path.map(str::to_owned);
        }
    };
    problem("entry", "its path is not /v1/policies/<policy>", path(None));
    problem("entry", "its path names ttl", path(Some("/v1/t/0a1b/policies/ttl")));
    assert_eq!(spoiled(path(Some("/v1/t/0a1b/policies/replace"))), []);
}

#[test]
fn a_policy_that_the_server_lacks_is_a_problem() {
    problem("entry", "the server has no policy replace", |facts| {
        serve(facts, "policies:\n  other: {}\n");
    });
}

#[test]
fn knobs_that_do_not_fit_are_hints() {
    hint("timeout", "timeoutSeconds is 2", |facts| entry(facts).timeout_seconds = Some(2));
    hint("timeout", "timeoutSeconds is 30", |facts| entry(facts).timeout_seconds = Some(30));
    hint("reinvocation", "a policy that replaces or reports needs Never", |facts| {
        entry(facts).reinvocation_policy = Some("IfNeeded".into());
    });
    hint("reinvocation", "reinvocationPolicy is Never", |facts| {
        serve(facts, "policies:\n  replace:\n    onChange: Keep\n");
    });
    hint("failure-policy", "failurePolicy is Fail", |facts| {
        entry(facts).failure_policy = Some("Fail".into());
        facts.backends.values_mut().for_each(|backend| backend.ready = Ok(1));
    });
    assert_eq!(spoiled(|facts| entry(facts).failure_policy = Some("Fail".into())), []);
}

#[test]
fn no_ca_bundle_is_a_problem_for_a_service_and_a_hint_for_a_url() {
    problem("ca-bundle", "it has no caBundle", |facts| entry(facts).client_config.ca_bundle = None);
    let found = spoiled(|facts| {
        let client = &mut entry(facts).client_config;
        (client.ca_bundle, client.service) = (None, None);
        client.url = Some("https://rejob.rejob.svc/v1/policies/replace".into());
        let (mut target, certificate) = facts.certificates.pop_first().unwrap();
        target.service = None;
        facts.certificates.insert(target, certificate);
    });
    assert_eq!((found[0].level, found[0].check), (Level::Hint, "ca-bundle"), "{found:?}");
}

#[test]
fn a_ca_bundle_of_another_ca_is_a_problem_and_says_how_to_mend_it() {
    let other = pki().0;
    let found = spoiled(|facts| {
        entry(facts).client_config.ca_bundle = Some(ByteString(other.clone().into_bytes()));
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.starts_with(
        "its caBundle does not match the certificate that rejob/rejob serves: another CA"
    ));
    let restart = "kubectl --namespace rejob rollout restart deployment/rejob";
    assert_eq!(found[0].remedy.as_deref(), Some(restart));
}

#[test]
fn a_given_certificate_is_mended_by_a_patch() {
    let other = pki().0;
    let found = spoiled(|facts| {
        entry(facts).client_config.ca_bundle = Some(ByteString(other.into_bytes()));
        let deployment = facts.installations[0].deployment.as_mut().unwrap().as_mut().unwrap();
        let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        pod.containers[0].args = None;
    });
    assert!(found[0].remedy.as_deref().unwrap().starts_with("certs/ca-bundle.sh ca.crt replace"));
}

#[test]
fn without_a_handshake_the_secret_is_compared_and_said_so() {
    let other = pki().0;
    let source = ChainSource::Secret {
        name: "rejob-tls".into(),
        instead: "rejob.rejob.svc:443 cannot be reached from here".into(),
    };
    problem(
        "ca-bundle",
        "in the Secret rejob-tls (rejob.rejob.svc:443 cannot be reached",
        |facts| {
            facts.certificates.values_mut().for_each(|one| one.source = source.clone());
            entry(facts).client_config.ca_bundle = Some(ByteString(other.into_bytes()));
        },
    );
}

#[test]
fn a_certificate_that_cannot_be_seen_is_unchecked() {
    let found = spoiled(|facts| {
        let hidden = || Err("rejob.rejob.svc:443 cannot be reached from here".to_owned());
        facts.certificates.values_mut().for_each(|one| one.chain = hidden());
    });
    let seen: Vec<_> = found.iter().map(|f| (f.level, f.check)).collect();
    let unseen = |check| (Level::Hint, check);
    let checks = ["ca-bundle", "certificate", "ca-bundle", "ca-bundle"];
    assert_eq!(seen, checks.map(unseen));
    assert!(found.iter().all(|f| f.message.contains("could not be checked: rejob.rejob.svc")));
}

fn of_rerun(facts: &mut Facts) -> &mut MutatingWebhook {
    &mut the_configuration(facts).webhooks.as_mut().unwrap()[1]
}

fn of_dormant(facts: &mut Facts) -> &mut MutatingWebhook {
    &mut the_configuration(facts).webhooks.as_mut().unwrap()[2]
}

#[test]
fn an_entry_of_reruns_that_fails_open_or_is_missing_is_a_problem() {
    problem(
        "entry",
        "its failurePolicy is Ignore: while rejob cannot be reached, a change",
        |facts| {
            of_rerun(facts).failure_policy = Some("Ignore".into());
        },
    );
    problem("entry", "its namespaceSelector does not ask for the label", |facts| {
        of_rerun(facts).namespace_selector = None;
    });
    problem("entry", "its namespaceSelector leaves out replace: rejob.dev/rerun does", |facts| {
        let selector = of_rerun(facts).namespace_selector.as_mut().unwrap();
        let values = &mut selector.match_expressions.as_mut().unwrap()[0].values;
        values.as_mut().unwrap().remove(0);
    });
    problem("entry", "its rules leave out UPDATE of jobs", |facts| {
        of_rerun(facts).rules.as_mut().unwrap()[0].operations = Some(vec!["CREATE".into()]);
    });
    problem("entry", "its matchConditions do not ask for a change of rejob.dev/rerun", |facts| {
        of_rerun(facts).match_conditions = None;
    });
    problem("webhook-configuration", "it has no entry rerun.rejob.dev", |facts| {
        the_configuration(facts).webhooks.as_mut().unwrap().remove(1);
    });
}

#[test]
fn the_entry_of_reruns_leaves_out_policies_that_report() {
    let leaves_out = |policies: &'static str| {
        move |facts: &mut Facts| {
            serve(facts, policies);
            let mut watched = entry(facts).clone();
            watched.name = "watched.rejob.dev".into();
            watched.client_config.service.as_mut().unwrap().path =
                Some("/v1/t/***/policies/watched".into());
            watched.namespace_selector =
                Some(from(json!({ "matchLabels": { "rejob.dev/policy": "watched" } })));
            the_configuration(facts).webhooks.as_mut().unwrap().push(watched);
        }
    };
    assert_eq!(spoiled(leaves_out("policies: { replace: {}, watched: { onChange: Report } }")), []);
    problem(
        "entry",
        "its namespaceSelector leaves out watched: rejob.dev/rerun does",
        leaves_out("policies: { replace: {}, watched: {} }"),
    );
}

#[test]
fn an_entry_of_dormant_jobs_that_fails_open_or_is_missing_is_a_problem() {
    problem("entry", "its failurePolicy is Ignore", |facts| {
        of_dormant(facts).failure_policy = Some("Ignore".into());
    });
    problem("entry", "its objectSelector does not ask for the label rejob.dev/dormant", |facts| {
        of_dormant(facts).object_selector = None;
    });
    problem("entry", "its rules leave out UPDATE of jobs", |facts| {
        of_dormant(facts).rules.as_mut().unwrap()[0].operations = Some(vec!["CREATE".into()]);
    });
    problem("entry", "its path names replace", |facts| {
        let service = of_dormant(facts).client_config.service.as_mut().unwrap();
        service.path = Some("/v1/t/0a1b/policies/replace".into());
    });
    problem("webhook-configuration", "it has no entry dormant.rejob.dev", |facts| {
        the_configuration(facts).webhooks.as_mut().unwrap().pop();
    });
    // Where nothing is replaced, nothing is dormant, and nothing runs again.
    let kept = spoiled(|facts| {
        the_configuration(facts).webhooks.as_mut().unwrap().truncate(1);
        entry(facts).reinvocation_policy = Some("IfNeeded".into());
        serve(facts, "policies:\n  replace:\n    onChange: Keep\n");
    });
    assert_eq!(kept, []);
}

fn at(time: &'static str) -> impl FnOnce(&mut Facts) {
    move |facts| {
        facts.here = time.parse().unwrap();
        facts.there = Some(facts.here);
    }
}

#[test]
fn a_certificate_outside_its_validity_is_a_problem() {
    problem("certificate", "expired at 2027-01-01T00:00:00Z", at("2027-01-02T00:00:00Z"));
    problem("certificate", "expires in 3 days", at("2026-12-28T12:00:00Z"));
    problem("certificate", "is not valid before 2026-01-01T00:00:00Z", at("2025-12-31T00:00:00Z"));
    assert_eq!(spoiled(at("2026-12-10T00:00:00Z")), []);
}

#[test]
fn a_certificate_for_another_name_is_a_problem() {
    let found = one(|facts| {
        let (mut target, certificate) = facts.certificates.pop_first().unwrap();
        target.host = "other.rejob.svc".into();
        target.service = Some(("rejob".into(), "other".into()));
        facts.certificates.insert(target, certificate);
        let backend = facts.backends.pop_first().unwrap().1;
        facts.backends.insert(("rejob".into(), "other".into()), backend);
        entry(facts).client_config.service.as_mut().unwrap().name = "other".into();
    });
    assert_eq!((found.0, found.1), (Level::Problem, "certificate"));
    assert!(found.3.contains("not for other.rejob.svc: it is for rejob.rejob.svc"), "{}", found.3);
}
