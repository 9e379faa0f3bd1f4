//! `kubectl rejob report`: from the Events, and from the audit log of the same requests.

use std::fs;

use serde_json::{Value, json};

use super::run::{json as document, kubectl, rejob};
use crate::replace::deploy::{Client, JOB, Place};
use support::manifest::job;
use support::output::Output;
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::wait;

const POLICIES: &str = "policies: { report: { onChange: Report } }";
const CHANGE: &str = "spec.template.spec.containers[app].image: app:1 -> app:2";

/// What a report says of one namespace: outcome, manager, requests, dry runs.
fn rows(report: &Value, namespace: &str) -> Vec<Value> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["namespace"] == namespace)
        .map(|row| json!([row["outcome"], row["manager"], row["requests"], row["dryRuns"]]))
        .collect()
}

#[test]
fn events_and_the_audit_log_are_summed_up() {
    let plane = ControlPlane::start(&Options { audit: true, ..Options::default() });
    let server = Rejob::with_policies(&plane, POLICIES);
    let place = |client| {
        let place = Place::new(server.namespace("report"));
        place.deploy(client, "app:1");
        place.namespace.started_pods(JOB);
        place
    };

    let applied = place(Client::Apply);
    applied.namespace.ready_pods(JOB);
    applied.try_deploy(Client::Apply, "app:2").unwrap_err();
    applied.namespace.finish_pods(JOB);
    let change = job(JOB, "app:2").to_string();
    let verbs: &[&str] = &["get", "patch", "create"];
    let patcher = applied.namespace.seen_with_rights(&plane, &[("batch", "jobs", verbs)]);
    let dry: &[&str] = &["apply", "--dry-run=server", "-f", "-"];
    for (user, args) in [
        (&applied.namespace, &["apply", "-f", "-"][..]),
        (&applied.namespace, &["apply", "-f", "-"]),
        (&applied.namespace, dry),
        (&patcher, &["apply", "-f", "-"]),
    ] {
        user.kubectl_with(&change, args).exited(1);
    }
    let helm = place(Client::Helm4);
    helm.namespace.finish_pods(JOB);
    helm.try_deploy(Client::Helm4, "app:2").unwrap_err();

    // An Event tells a change once, and once more that it would be refused; none tells a dry run.
    let manager = "kubectl-client-side-apply";
    let name = applied.namespace.name();
    let expected = |waits, replaced, dry| {
        vec![
            json!(["refused", manager, 1, 0]),
            json!(["waits", manager, waits, 0]),
            json!(["replaced", manager, replaced, dry]),
        ]
    };
    let report = wait::until("the Events are there", || {
        let report = document(&rejob(&plane, &applied.namespace, &["report", "-o", "json"]).ok());
        (rows(&report, name).len() == 2).then_some(report)
    });
    assert_eq!(report["source"], "events");
    assert_eq!(rows(&report, name), expected(1, 0, 0)[..2], "{report}");
    assert_eq!(report["rows"].as_array().unwrap().len(), 2, "only that namespace: {report}");
    let row = &report["rows"][0];
    assert_eq!((&row["job"], &row["whyNot"]), (&json!(JOB), &json!("rights_denied")));
    assert_eq!(row["user"], patcher.user().name());
    let refusal = row["refusal"].as_str().unwrap();
    assert!(refusal.contains("may not delete jobs"), "{refusal}");
    assert_eq!(report["rows"][1]["changed"], CHANGE);

    // The audit log has each request; no cluster is asked.
    let log = plane.dir().join("audit.log");
    let from_log = |files: &[&str], stdin: &str, more: &[&str]| {
        let mut command = kubectl(&plane, &plane.admin());
        command.env("KUBECONFIG", "/nowhere").arg("report").args(files).args(more);
        Output::of(&mut command, stdin)
    };
    let file = log.display().to_string();
    let whole = wait::until("the audit log has all", || {
        let report = document(&from_log(&[&file], "", &["-o", "json"]).ok());
        (report["summary"]["jobs"] == 2 && rows(&report, name).len() == 3).then_some(report)
    });
    assert_eq!(whole["source"], "audit");
    assert_eq!(rows(&whole, name), expected(1, 2, 1), "{whole}");
    let by_helm = rows(&whole, helm.namespace.name());
    assert_eq!((&by_helm[0][0], &by_helm[0][1]), (&json!("replaced"), &json!("helm")), "{whole}");
    assert_eq!(whole["rows"][0]["refusal"], refusal);

    // A log that was cut, on the standard input, and the whole one again: each request counts once.
    let text = fs::read_to_string(&log).unwrap();
    let cut = &text[20..text.len() - 20];
    let table = from_log(&["-", &file], cut, &["--namespace", name]).ok().stdout;
    assert!(table.contains("not known: 2 lines of stdin, line 1 first"), "{table}");
    let first = table.lines().nth(1).unwrap();
    assert!(first.starts_with("refused ") && first.contains("may not delete jobs"), "{table}");
    let sum = "1 Job, 4 requests and 1 dry run: 1 would have been refused, 1 would have waited, \
               3 would have replaced a Job";
    assert!(table.contains(sum), "{table}");

    from_log(&["-"], "no log\n", &[]).exited(1).warns("rejob: stdin is not an audit log");
    from_log(&["/nowhere"], "", &[]).exited(1).warns("rejob: cannot read /nowhere");
    let empty = from_log(&["-"], "", &[]).ok().stdout;
    assert!(empty.contains("nothing was reported in this audit log"), "{empty}");
}

#[test]
fn where_no_event_tells_anything_the_next_step_is_named() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("plain", &[]);
    let text = rejob(&plane, &namespace, &["report"]).ok().stdout;
    assert!(text.starts_with("nothing was found"), "{text}");
    let none = namespace.seen_with_rights(&plane, &[]);
    rejob(&plane, &none, &["report"]).exited(1).warns("cannot list resource \"events\"");
    let mut command = kubectl(&plane, none.user());
    Output::of(command.arg("report"), "").exited(1).warns("choose one namespace with --namespace");
}
