//! What is to be seen of a replacement: a warning, an Event, the audit log, metrics; and nothing
//! on the Job but its template hash.

use serde_json::{Value, json};

use support::manifest::{annotated, annotation, job};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::wait;

use super::deploy::{Client, JOB, Place};

const CHANGED: &str = "spec.template.spec.containers[app].image";

#[test]
fn kubectl_prints_what_changed_and_what_to_do_should_it_fail() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for apply in [&["apply", "-f", "-"][..], &["apply", "--server-side", "-f", "-"]] {
        let place = Place::new(rejob.namespace("replace"));
        let run = |image| place.namespace.kubectl_with(&job(JOB, image).to_string(), apply).ok();
        assert_eq!(run("app:1").stderr, "");
        place.namespace.started_pods(JOB);
        let told = [
            format!("Warning: job {JOB}: old run deleted; if this fails, send it again\n"),
            format!("Warning: job {JOB} replaced: {CHANGED} changed\n"),
        ];
        assert_eq!(run("app:2").stderr, told.concat());
        assert_eq!(run("app:2").stderr, "");
    }
}

#[test]
fn kubectl_describe_shows_the_event_with_what_changed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in Client::ALL {
        let place = Place::new(rejob.namespace("replace"));
        place.deploy(client, "app:1");
        place.namespace.started_pods(JOB);
        let old = place.uid();
        place.deploy(client, "app:2");
        let event = wait::until("kubectl describe shows the Event", || {
            let text = place.namespace.kubectl(&["describe", "job", JOB]).ok().stdout;
            text.lines().find(|line| line.contains("Replaced")).map(str::to_owned)
        });
        let change = format!("{CHANGED}: app:1 -> app:2");
        for part in [&old, "rejob", &change] {
            assert!(event.contains(part), "{client:?}: {part:?} is not in {event}");
        }
    }
}

/// Whoever reads Events, logs or audit records may not be let to read Jobs.
#[test]
fn values_of_environment_arguments_and_commands_are_shown_nowhere() {
    let plane = ControlPlane::start(&Options { audit: true, ..Options::default() });
    let rejob = Rejob::builtin(&plane);
    for client in [Client::Apply, Client::ServerSideApply] {
        let place = Place::new(rejob.namespace("replace"));
        let run = |password: &str, flags: &[&str]| {
            let mut job = job(JOB, "app:1");
            let app = &mut job["spec"]["template"]["spec"]["containers"][0];
            let connection = format!("Server=db;Password={password}");
            app["env"] = json!([{ "name": "ConnectionStrings__Default", "value": connection }]);
            app["args"] = json!([format!("-p{password}")]);
            app["command"] = json!(["curl", "-u", format!("user:{password}")]);
            let apply = match client {
                Client::Apply => &["apply", "-f", "-"][..],
                _ => &["apply", "--server-side", "-f", "-"],
            };
            place.namespace.kubectl_with(&job.to_string(), &[apply, flags].concat()).ok()
        };
        run("hunter1", &[]);
        place.namespace.started_pods(JOB);
        let shown = run("hunter2", &["--dry-run=server", "-o", "json"]);
        let shown_job: Value = serde_json::from_str(&shown.stdout).unwrap();
        let marker = annotation(&shown_job, "rejob.dev/replacing").unwrap();
        let said = run("hunter2", &[]).stderr;
        let event = wait::until("the Event is there", || {
            let events = place.namespace.kubectl(&["get", "events", "-o", "json"]).ok().stdout;
            events.contains("\"Replaced\"").then_some(events)
        });
        for text in [marker, &shown.stderr, &said, &event, &rejob.log()] {
            assert!(!text.contains("hunter"), "{client:?}: {text}");
        }
        for path in
            ["args changed", "command changed", "env[ConnectionStrings__Default].value changed"]
        {
            assert!(marker.contains(path) && event.contains(path), "{client:?}: {marker}");
        }
        let namespace = place.namespace.name();
        let annotations = wait::until("the audit log has it", || {
            plane.audit_log().lines().find_map(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                let is_ours = event["objectRef"]["namespace"] == namespace
                    && event["annotations"]["replace.rejob.dev/reason"] == "replaced";
                is_ours.then(|| event["annotations"].clone())
            })
        });
        // The API server's own annotations hold the patch where it also keeps the request itself.
        for (key, value) in annotations.as_object().unwrap() {
            let ours = key.starts_with("replace.rejob.dev/");
            assert!(!ours || !value.to_string().contains("hunter"), "{client:?}: {key}: {value}");
        }
    }
}

#[test]
fn nothing_of_rejob_is_on_the_job_but_its_template_hash() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    for client in Client::ALL {
        let place = Place::new(rejob.namespace("replace"));
        for image in ["app:1", "app:2", "app:3"] {
            place.deploy(client, image);
            place.assert_runs(image);
        }
        let shown = ["get", "job", JOB, "-o", "yaml", "--show-managed-fields"];
        let yaml = place.namespace.kubectl(&shown).ok().stdout;
        let own: Vec<_> = yaml.lines().filter(|line| line.contains("rejob.dev/")).collect();
        assert!(!own.is_empty(), "{client:?}: {yaml}");
        for line in own {
            assert!(line.contains("rejob.dev/template-hash"), "{client:?}: {line} in {yaml}");
        }
        // Nobody else's: rejob is no field manager of what the client asked for.
        for entry in place.job()["metadata"]["managedFields"].as_array().unwrap() {
            let manager = entry["manager"].as_str().unwrap();
            assert!(!manager.contains("rejob"), "{client:?}: {entry}");
        }
    }
}

#[test]
fn the_template_hash_is_the_one_that_rejob_hash_prints() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    for client in [Client::Apply, Client::ServerSideApply] {
        place.deploy(client, "app:1");
        place.deploy(client, "app:2");
        let manifest = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(manifest.path(), job(JOB, "app:2").to_string()).unwrap();
        let printed = assert_cmd::Command::new(env!("CARGO_BIN_EXE_rejob"))
            .arg("hash")
            .arg(manifest.path())
            .assert()
            .success();
        let printed = String::from_utf8(printed.get_output().stdout.clone()).unwrap();
        let job = place.job();
        let hash = annotation(&job, "rejob.dev/template-hash").unwrap();
        assert_eq!(printed.split_whitespace().next(), Some(hash), "{client:?}");
        place.namespace.kubectl(&["delete", "job", JOB]).ok();
    }
}

#[test]
fn the_audit_log_tells_why() {
    let plane = ControlPlane::start(&Options { audit: true, ..Options::default() });
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    for client in [Client::Apply, Client::ServerSideApply] {
        place.deploy(client, "app:1");
        let old = place.uid();
        place.deploy(client, "app:2");
        let namespace = place.namespace.name();
        let annotations = wait::until("the audit log has it", || {
            plane.audit_log().lines().find_map(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                let is_ours = event["verb"] == "patch"
                    && event["objectRef"]["namespace"] == namespace
                    && event["annotations"]["replace.rejob.dev/replaced-uid"] == old.as_str();
                is_ours.then(|| event["annotations"].clone())
            })
        });
        assert_eq!(annotations["replace.rejob.dev/reason"], "replaced", "{client:?}");
        let changed = annotations["replace.rejob.dev/changed"].as_str().unwrap();
        assert!(changed.contains(CHANGED), "{changed}");
        place.namespace.kubectl(&["delete", "job", JOB]).ok();
    }
}

#[test]
fn metrics_count_reviews_and_replacements() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let count = |name: &str, labels: &[&str]| -> f64 {
        let metrics = rejob.metrics();
        let lines = metrics.lines().filter(|line| {
            line.starts_with(name) && labels.iter().all(|label| line.contains(label))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let replacements = |client: &str| {
        let client = format!("client=\"{client}\"");
        count("rejob_replacements_total", &[&client, "result=\"replaced\""])
    };
    let place = Place::new(rejob.namespace("replace"));
    let update = "operation=\"UPDATE\"";
    place.deploy(Client::Apply, "app:1");
    place.deploy(Client::Apply, "app:2");
    assert!((replacements("kubectl-apply") - 1.0).abs() < 0.5, "{}", rejob.metrics());
    let replaced = count("rejob_reviews_total", &[update, "reason=\"replaced\""]);
    let released = count("rejob_reviews_total", &[update, "reason=\"released\""]);
    // The release may take more than one turn: the Job controller writes as well.
    assert!((replaced - 1.0).abs() < 0.5 && released > 0.5, "{}", rejob.metrics());
    let calls = [("create", "jobs"), ("delete", "jobs"), ("create", "subjectaccessreviews")];
    for (verb, resource) in calls {
        let labels = [format!("verb=\"{verb}\""), format!("resource=\"{resource}\"")];
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        assert!(count("rejob_api_requests_total", &labels) > 0.5, "{}", rejob.metrics());
    }
}

/// The old Job is gone; what became of its run must not be.
#[test]
fn event_audit_log_and_log_tell_how_the_old_run_went_and_who_replaced_it() {
    let plane = ControlPlane::start(&Options { audit: true, ..Options::default() });
    let rejob = Rejob::builtin(&plane);
    let end = |place: &Place, state: &str| match state {
        "Complete, began " => place.namespace.finish_pods(JOB),
        "working, began " => place.namespace.ready_pods(JOB),
        _ => place.namespace.fail_pods(JOB),
    };
    let states = ["Complete, began ", "Failed (BackoffLimitExceeded), began ", "working, began "];
    for (client, manager) in
        [(Client::Apply, "kubectl-client-side-apply"), (Client::ServerSideApply, "kubectl")]
    {
        for state in states {
            let place = Place::new(rejob.namespace("replace"));
            let with = |image| {
                let mut job = annotated(job(JOB, image), "rejob.dev/while-running", "Replace");
                job["spec"]["backoffLimit"] = json!(0);
                job
            };
            place.send(client, &with("app:1"));
            place.namespace.started_pods(JOB);
            end(&place, state);
            let old = place.job();
            place.send(client, &with("app:2"));
            let hashes = [old.clone(), place.job()]
                .map(|job| annotation(&job, "rejob.dev/template-hash").unwrap().to_owned())
                .join(" -> ");
            let uid = old["metadata"]["uid"].as_str().unwrap();
            let began = format!("{state}{}", old["status"]["startTime"].as_str().unwrap());
            let requester = format!("admin with {manager}");

            let event = wait::until("the Event is there", || {
                let events = place.namespace.kubectl(&["get", "events", "-o", "json"]).ok().stdout;
                let events: Value = serde_json::from_str(&events).unwrap();
                let events = events["items"].as_array().unwrap();
                let event = events.iter().find(|event| event["reason"] == "Replaced")?;
                Some(event["message"].as_str().unwrap().to_owned())
            });
            let namespace = place.namespace.name();
            let audited = wait::until("the audit log has it", || {
                plane.audit_log().lines().find_map(|line| {
                    let event: Value = serde_json::from_str(line).ok()?;
                    let is_ours = event["objectRef"]["namespace"] == namespace
                        && event["annotations"]["replace.rejob.dev/replaced-uid"] == uid;
                    is_ours.then(|| event["annotations"].clone())
                })
            });
            let told = |key: &str| audited[format!("replace.rejob.dev/{key}")].as_str().unwrap();
            let logged = wait::until("the log has it", || {
                rejob.log().lines().find(|line| line.contains(uid)).map(str::to_owned)
            });
            for (part, audit) in
                [(&began, "replaced-run"), (&hashes, "template-hash"), (&requester, "requester")]
            {
                assert!(event.contains(part.as_str()), "{part} is not in {event}");
                assert!(told(audit).contains(part.as_str()), "{part} is not in {audited}");
            }
            assert!(event.contains(uid), "{event}");
            assert!(logged.contains(&began) && logged.contains(&hashes), "{logged}");
            assert!(logged.contains("user=\"admin\""), "{logged}");
            assert!(logged.contains(&format!("manager=\"{manager}\"")), "{logged}");
            let ended = !state.starts_with("working");
            assert_eq!(event.contains(", took "), ended, "{event}");
        }
    }
}
