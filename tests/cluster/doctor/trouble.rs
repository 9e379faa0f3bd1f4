//! One thing is wrong at a time: exit code 1, and its sentence.

use serde_json::{Value, json};

use super::clinic::{Release, available, change_entries, installed, installed_with, turn};
use support::manifest::job;
use support::rejob::Options;
use support::wait;

#[test]
fn no_webhook_configuration() {
    let turn = turn();
    let seen = turn.doctor();
    seen.finds("webhook-configuration", "no MutatingWebhookConfiguration of rejob exists");
    assert_eq!(seen.problems(), ["webhook-configuration"]);
}

#[test]
fn namespaces_that_name_no_policy() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let one = turn.plane().namespace("typo", &[("rejob.dev/policy", "repalce")]);
    let two = turn.plane().namespace("typo", &[("rejob.dev/policy", "gone")]);
    let seen = turn.doctor();
    seen.finds("namespace", &format!("{}: it opts in to the policy \"repalce\"", one.name()));
    seen.finds("namespace", &format!("{}: it opts in to the policy \"gone\"", two.name()));
    seen.finds("namespace", "which no webhook has; there are hash-name, replace, ttl");
    assert_eq!(seen.problems(), ["namespace"]);
}

#[test]
fn the_namespace_of_rejob_opts_in() {
    let turn = turn();
    let (release, _rejob) = installed(&turn);
    let name = release.namespace.name();
    let args = ["label", "namespace", name, "rejob.dev/policy=replace"];
    release.namespace.user().kubectl(&args, "").ok();
    turn.doctor().finds("namespace", "rejob's own namespace opts in to replace");
}

#[test]
fn rejob_that_runs_as_the_user_who_deploys() {
    let turn = turn();
    let deployer = turn.plane().user("deployer", Some("system:masters"));
    let kubeconfig = deployer.kubeconfig().display().to_string();
    let env = vec![("REJOB_KUBECONFIG", kubeconfig.as_str())];
    let (_release, rejob) =
        installed_with(&turn, &Options { cluster: false, env, ..Options::default() });
    turn.doctor().is_well();
    let seen = super::clinic::doctor(&deployer, &[]);
    seen.finds("calls", "rejob runs as deployer, who asks here");
    assert_eq!(seen.problems(), ["calls"]);

    let namespace = rejob.namespace("replace").seen_by(deployer);
    let created = namespace.create_job(&job("nightly", "app:1"));
    assert!(created.warnings[0].starts_with("rejob runs as the user of this request"));
    let path = namespace.job_path("nightly");
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    let changed = namespace.user().patch("merge", &path, &label);
    assert_eq!((changed.status, changed.warnings), (200, created.warnings));
    let warned = |line: &str| line.contains("WARN") && line.contains("same_user");
    // A retry of the API server's own is warned of as well.
    wait::until("rejob warns of both", || {
        (rejob.log().lines().filter(|line| warned(line)).count() >= 2).then_some(())
    });
}

#[test]
fn a_deployment_that_is_not_available() {
    let turn = turn();
    let (release, _rejob) = installed(&turn);
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", release.namespace.name());
    available(&turn.plane().admin(), &format!("{deployments}/rejob"), 0);
    let seen = turn.doctor();
    seen.finds("deployment", "none of its 1 replica is available");
    assert_eq!(seen.problems(), ["deployment"]);
}

#[test]
fn a_webhook_that_is_down() {
    let turn = turn();
    let (_release, mut rejob) =
        installed_with(&turn, &Options { timeout_seconds: 5, ..Options::default() });
    rejob.kill();
    let seen = turn.doctor();
    seen.finds("calls", "failed calling webhook \"replace.rejob.dev\"");
    assert_eq!(seen.messages("problem", "calls").len(), 3);
    assert_eq!(seen.problems(), ["calls"]);
    let hidden = seen.messages("hint", "ca-bundle");
    assert!(hidden[0].contains("cannot be reached from here"), "{hidden:?}");

    // With Ignore nobody gets an error: only the missing mark tells.
    let admin = turn.plane().admin();
    change_entries(&admin, rejob.configuration(), |entry| {
        if !["dormant.rejob.dev", "rerun.rejob.dev"].map(Value::from).contains(&entry["name"]) {
            entry["failurePolicy"] = json!("Ignore");
        }
    });
    wait::until("the API server lets Jobs pass", || {
        let seen = turn.doctor();
        seen.finds("calls", "");
        let messages = seen.messages("problem", "calls");
        messages.iter().all(|m| m.contains("without rejob having seen it")).then_some(())
    });

    rejob.restart(&[]);
    wait::until("rejob is called again", || (turn.doctor().output.code == 0).then_some(()));
}

#[test]
fn an_entry_for_all_namespaces() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    change_entries(&turn.plane().admin(), rejob.configuration(), |entry| {
        entry["namespaceSelector"]["matchLabels"] = json!({ "rejob.dev/nobody": "yes" });
    });
    let seen = turn.doctor();
    seen.finds("entry", "its namespaceSelector does not ask for the label rejob.dev/policy");
}

#[test]
fn a_dormant_job_that_nobody_releases() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    // Where the namespace opts in, rejob itself would remove the label again.
    let namespace = rejob.unlabeled_namespace();
    let mut left = job("nightly", "app:1");
    let record = json!({
        "parallelism": 1, "uid": "old", "resourceVersion": "1", "user": "deployer", "manager": null,
    });
    left["metadata"]["labels"] = json!({ "rejob.dev/dormant": "true" });
    left["metadata"]["annotations"] = json!({ "rejob.dev/dormant": record.to_string() });
    left["spec"]["parallelism"] = json!(0);
    namespace.create_job(&left).ok();
    let seen = turn.doctor();
    seen.finds("dormant-jobs", &format!("{}/nightly: it is dormant for ", namespace.name()));
    assert_eq!(seen.problems(), ["dormant-jobs"]);
    // The age is told by one clock, so it is neither negative nor long.
    let said = seen.messages("problem", "dormant-jobs").remove(0);
    let age = said.split("dormant for ").nth(1).unwrap().split(' ').next().unwrap();
    assert!((0..600).contains(&age.parse::<i64>().unwrap()), "{said}");
}

#[test]
fn another_webhook_before_rejob_is_a_hint() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let admin = turn.plane().admin();
    let name = format!("00-digest-{}", support::plane::unique());
    let other: Value = json!({
        "metadata": { "name": name },
        "webhooks": [{
            "name": "digest.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 1,
            "clientConfig": { "url": "https://127.0.0.1:1/" },
            "rules": [{ "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                        "operations": ["CREATE"] }],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    admin.post(path, &other).ok();
    let seen = turn.doctor();
    admin.delete(&super::clinic::configuration(&name), &json!({})).ok();
    seen.is_well();
    let hints = seen.messages("hint", "order");
    assert!(hints[0].starts_with(&format!("{name}: its webhook digest.example.com")), "{hints:?}");
}

#[test]
fn what_judges_updates_of_jobs_after_rejob_is_a_hint() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let admin = turn.plane().admin();
    let name = format!("images-{}", support::plane::unique());
    let rules = json!([{ "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"],
                         "operations": ["CREATE", "UPDATE"] }]);
    let hook = json!({
        "metadata": { "name": name },
        "webhooks": [{
            "name": "images.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 1, "rules": rules,
            "clientConfig": { "url": "https://127.0.0.1:1/" },
        }],
    });
    let policy = json!({
        "metadata": { "name": name },
        "spec": { "matchConstraints": { "resourceRules": rules },
                  "validations": [{ "expression": "object.spec.completions != 77" }] },
    });
    let binding = json!({
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    let group = "/apis/admissionregistration.k8s.io/v1";
    let objects = [
        ("validatingwebhookconfigurations", hook),
        ("validatingadmissionpolicies", policy),
        ("validatingadmissionpolicybindings", binding),
    ];
    for (resource, object) in &objects {
        admin.post(&format!("{group}/{resource}"), object).ok();
    }
    let seen = turn.doctor();
    for (resource, _) in &objects {
        admin.delete(&format!("{group}/{resource}/{name}"), &json!({})).ok();
    }
    seen.is_well();
    let hints = seen.messages("hint", "later-admission");
    for kind in ["ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy"] {
        let begin = format!("{name}: this {kind} is called for updates of Jobs after rejob");
        assert!(hints.iter().any(|hint| hint.starts_with(&begin)), "{hints:?}");
    }
}

#[test]
fn a_namespace_for_the_installation_that_holds_none() {
    let turn = turn();
    let release = Release::create(&turn, "none");
    let elsewhere = turn.plane().namespace("elsewhere", &[]);
    let admin = turn.plane().admin();
    let seen = super::clinic::doctor(&admin, &["--namespace", elsewhere.name()]);
    assert_eq!(seen.messages("hint", "deployment").len(), 1, "{}", seen.output.stdout);
    let seen = super::clinic::doctor(&admin, &["--namespace", release.namespace.name()]);
    assert_eq!(seen.messages("ok", "deployment").len(), 1, "{}", seen.output.stdout);
}
