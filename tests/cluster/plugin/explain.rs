//! `kubectl rejob explain`.

use serde_json::{Value, json};

use super::run::{json as document, kubectl, rejob_with};
use support::manifest::{annotated, job};
use support::namespace::Namespace;
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;

/// The outcome and the rule of each Job, and the exit code.
fn explained(plane: &ControlPlane, namespace: &Namespace, manifest: &str) -> (Value, i32) {
    let output = rejob_with(plane, namespace, &["explain", "-f", "-", "-o", "json"], manifest);
    let all = document(&output);
    let jobs = all["jobs"].as_array().unwrap().iter();
    (jobs.map(|job| json!([job["name"], job["outcome"], job["rule"]])).collect(), output.code)
}

fn list(jobs: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": jobs }).to_string()
}

#[test]
fn each_job_is_explained_by_the_cluster_and_its_rule() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    for name in ["changed", "same", "relabeled", "skipped"] {
        let manifest = job(name, "app:1").to_string();
        namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    }
    // The job controller may still write statuses.
    let stored = || -> Vec<_> {
        let written = |job: Value| [job["metadata"]["uid"].clone(), job["spec"].clone()];
        namespace.jobs().into_iter().map(written).collect()
    };
    let before = stored();
    let manifest = list(&[
        job("changed", "app:2"),
        job("same", "app:1"),
        annotated(job("relabeled", "app:1"), "team", "a"),
        annotated(job("skipped", "app:2"), "rejob.dev/skip", "true"),
        job("new", "app:1"),
        annotated(job("wrong", "app:1"), "rejob.dev/on-change", "Perhaps"),
        job("invalid", ""),
    ]);
    let (jobs, code) = explained(&plane, &namespace, &manifest);
    let expected = json!([
        ["changed", "replaced", "would_replace"],
        ["same", "unchanged", "unchanged"],
        ["relabeled", "updated", "unchanged"],
        ["skipped", "refused", "skipped"],
        ["new", "created", "created"],
        ["wrong", "refused", "invalid_annotation"],
        ["invalid", "refused", null],
    ]);
    assert_eq!((jobs, code), (expected, 3));
    assert_eq!(stored(), before, "nothing is done");

    let text = rejob_with(&plane, &namespace, &["explain", "-f", "-"], &manifest).exited(3).stdout;
    assert!(text.contains("spec.template.spec.containers[app].image: app:1 -> app:2"), "{text}");
    assert!(text.contains("field is immutable"), "{text}");
    assert!(text.contains("warning: job changed would be replaced"), "{text}");
    let fine = list(&[job("changed", "app:2"), job("same", "app:1")]);
    assert_eq!(explained(&plane, &namespace, &fine).1, 0);
}

#[test]
fn what_others_set_in_a_stored_job_is_no_change() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("ttl");
    let names = ["finished", "scaled", "queued"];
    let manifest = list(&names.map(|name| job(name, "app:1")));
    namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    for (name, spec) in
        [("scaled", json!({ "parallelism": 3 })), ("queued", json!({ "suspend": true }))]
    {
        let patch = json!({ "spec": spec });
        namespace.user().patch("merge", &namespace.job_path(name), &patch).ok();
    }
    let expected = names.map(|name| json!([name, "unchanged", "unchanged"]));
    assert_eq!(explained(&plane, &namespace, &manifest), (json!(expected), 0));
}

#[test]
fn a_namespace_that_does_not_opt_in_gets_what_the_api_server_says() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("plain", &[]);
    for name in ["nightly", "same"] {
        namespace.create_job(&job(name, "app:1")).ok();
    }
    let changed = list(&[job("nightly", "app:2"), job("same", "app:1"), job("new", "app:1")]);
    let (jobs, code) = explained(&plane, &namespace, &changed);
    let expected = json!([
        ["nightly", "refused", "not_opted_in"],
        ["same", "unchanged", "not_opted_in"],
        ["new", "created", "not_opted_in"],
    ]);
    assert_eq!((jobs, code), (expected, 3));
}

#[test]
fn the_api_server_has_the_last_word() {
    let plane = ControlPlane::shared();
    // The built-in policies are assumed, and this one is called as one of them.
    let server =
        Rejob::with_policies(&plane, "policies:\n  replace: { onChange: Deny }\n  own: {}\n");
    let namespace = server.namespace("replace");
    namespace.create_job(&job("nightly", "app:1")).ok();
    let changed = job("nightly", "app:2").to_string();
    let (jobs, code) = explained(&plane, &namespace, &changed);
    assert_eq!((jobs, code), (json!([["nightly", "refused", null]]), 3));
    let text = rejob_with(&plane, &namespace, &["explain", "-f", "-"], &changed).exited(3).stdout;
    assert!(text.contains("while onChange is Deny"), "{text}");
    assert!(text.contains("not known: the policies of rejob"), "{text}");
    // One that nobody knows here still shows what happens.
    let own = server.namespace("own");
    own.create_job(&job("nightly", "app:1")).ok();
    let (jobs, code) = explained(&plane, &own, &changed);
    assert_eq!((jobs, code), (json!([["nightly", "replaced", null]]), 0));
    // With their file it is known.
    let file = plane.dir().join("policies.yaml");
    std::fs::write(&file, "policies:\n  own: {}\n").unwrap();
    let file = file.display().to_string();
    let args = ["explain", "-f", "-", "--policies", &file];
    let text = rejob_with(&plane, &own, &args, &changed).ok().stdout;
    assert!(text.contains("would_replace"), "{text}");
}

#[test]
fn under_report_the_api_server_refuses_and_the_warning_tells() {
    let plane = ControlPlane::shared();
    let policies = "policies: { report: { onChange: Report } }\n";
    let server = Rejob::with_policies(&plane, policies);
    let namespace = server.namespace("report");
    let file = plane.dir().join("report.yaml");
    std::fs::write(&file, policies).unwrap();
    let file = file.display().to_string();
    let args = ["explain", "-f", "-", "--policies", &file];
    for name in ["changed", "again", "same"] {
        let manifest = job(name, "app:1").to_string();
        namespace.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    }
    let again = annotated(job("again", "app:1"), "rejob.dev/rerun", "2");
    let manifest = list(&[job("changed", "app:2"), again, job("same", "app:1")]);
    let json = [&args[..], &["-o", "json"]].concat();
    let all = document(&rejob_with(&plane, &namespace, &json, &manifest).exited(3));
    let told = |index: usize, field: &str| all["jobs"][index][field].clone();
    for (index, outcome, rule) in
        [(0, "refused", "reported"), (1, "updated", "reported"), (2, "unchanged", "unchanged")]
    {
        assert_eq!((told(index, "outcome"), told(index, "rule")), (json!(outcome), json!(rule)));
    }
    let change = "spec.template.spec.containers[app].image: app:1 -> app:2";
    let warning = format!("job changed would be replaced (onChange is Report): {change}");
    assert_eq!(told(0, "warnings"), json!([warning]));
    let text = rejob_with(&plane, &namespace, &args, &manifest).exited(3).stdout;
    assert!(text.contains("field is immutable") && text.contains(&warning), "{text}");
}

#[test]
fn rights_are_part_of_the_answer() {
    let plane = ControlPlane::shared();
    let server = Rejob::builtin(&plane);
    let namespace = server.namespace("replace");
    namespace.create_job(&job("nightly", "app:1")).ok();
    let changed = job("nightly", "app:2").to_string();
    let deployer = namespace.seen_with_rights(&plane, &[("batch", "jobs", &["get", "update"])]);
    let output = rejob_with(&plane, &deployer, &["explain", "-f", "-"], &changed).exited(3);
    assert!(output.stdout.contains("may not delete"), "{output:?}");
    assert!(output.stdout.contains("not known: the policy of the namespace"), "{output:?}");
    let none = namespace.seen_with_rights(&plane, &[]);
    let output = rejob_with(&plane, &none, &["explain", "-f", "-"], &changed).exited(1);
    output.warns("cannot get resource \"jobs\"");
}

#[test]
fn without_a_cluster_it_says_what_it_does_not_know() {
    let plane = ControlPlane::shared();
    let manifest = list(&[
        job("new", "app:1"),
        annotated(job("wrong", "app:1"), "rejob.dev/on-change", "Perhaps"),
    ]);
    let offline: [(&str, &[&str]); 2] = [("/nowhere", &[]), ("", &["--offline"])];
    for (kubeconfig, flags) in offline {
        let mut command = kubectl(&plane, &plane.admin());
        if !kubeconfig.is_empty() {
            command.env("KUBECONFIG", kubeconfig);
        }
        let output = Output::of(command.args(["explain", "-f", "-"]).args(flags), &manifest);
        let text = output.exited(3).stdout;
        assert!(text.contains("invalid_annotation"), "{text}");
        assert!(text.contains("not known: whether the Jobs exist"), "{text}");
        assert!(text.contains("replace is assumed"), "{text}");
    }
    let mut system = job("system", "app:1");
    system["metadata"]["namespace"] = json!("kube-system");
    let mut command = kubectl(&plane, &plane.admin());
    let args = ["explain", "-f", "-", "--offline", "-n", "batch", "-o", "json"];
    let both = Output::of(command.args(args), &list(&[system, job("new", "app:1")])).ok();
    let jobs = &document(&both)["jobs"];
    assert_eq!(jobs[0]["namespace"], "kube-system");
    assert_eq!(jobs[0]["rule"], "protected_namespace");
    assert_eq!(jobs[1]["namespace"], "batch");
    let mut command = kubectl(&plane, &plane.admin());
    let hashed = Output::of(
        command.args(["explain", "-f", "-", "--offline", "--policy", "hash-name"]),
        &job("new", "app:1").to_string(),
    );
    assert!(hashed.ok().stdout.contains("renamed"));
}
