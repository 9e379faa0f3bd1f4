//! What clients do to a Job, and what must have become of it.

use serde_json::{Value, json};

use support::helm::Helm;
use support::manifest::{self, annotation, image, job};
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::site::team_chart;
use support::wait;

/// The Job's uid.
pub fn uid(team: &Namespace, name: &str) -> String {
    let job = team.job(name).unwrap_or_else(|| panic!("no Job {name}"));
    job["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

/// The Event about the replacement by which the Job of that uid came to be.
pub fn event(plane: &ControlPlane, team: &Namespace, uid: &str) -> Option<Value> {
    let path = format!("/api/v1/namespaces/{}/events", team.name());
    let events = plane.admin().get(&path).ok();
    let ours = |event: &&Value| {
        event["involvedObject"]["uid"] == uid && event["source"]["component"] == "rejob"
    };
    events["items"].as_array().expect("a list").iter().find(ours).cloned()
}

/// Each client changes a Job of its own: it is replaced in the request, and an Event tells it.
pub fn all_replace(plane: &ControlPlane, team: &Namespace, helm: Helm) {
    for (name, flag) in [("applied", "--server-side=false"), ("server-side", "--server-side")] {
        let apply = |image: &str| {
            let manifest = job(name, image).to_string();
            team.kubectl_with(&manifest, &["apply", flag, "--filename=-"]).ok()
        };
        apply("app:1");
        let old = uid(team, name);
        apply("app:2").warns(&format!("job {name} replaced"));
        replaced(plane, team, name, &old);
    }

    let chart = team_chart(plane);
    team.helm(helm, &["install", "nightly", &chart]).ok();
    let old = uid(team, "nightly");
    team.helm(helm, &["upgrade", "nightly", &chart, "--set", "image=app:2"]).ok();
    replaced(plane, team, "nightly", &old);

    team.create_job(&job("patched", "app:1")).ok();
    let old = uid(team, "patched");
    // Its Pod hangs, since there is no kubelet: rejob looks at it.
    wait::until("its Pod is counted", || {
        (team.job("patched")?["status"]["active"] == 1).then_some(())
    });
    let containers = json!([{ "name": "app", "image": "app:2" }]);
    let change = json!({ "spec": { "template": { "spec": { "containers": containers }}}});
    team.user().patch("strategic-merge", &team.job_path("patched"), &change).ok();
    replaced(plane, team, "patched", &old);
}

fn replaced(plane: &ControlPlane, team: &Namespace, name: &str, old: &str) {
    let new = uid(team, name);
    assert_ne!(new, old, "{name}");
    let stored = team.job(name).expect("it exists");
    assert_eq!(image(&stored), "app:2", "{name}");
    assert_eq!(stored["spec"]["parallelism"], 1, "{name}");
    assert!(annotation(&stored, "rejob.dev/template-hash").is_some(), "{name}: {stored}");
    let event = wait::until(&format!("an Event on {name}"), || event(plane, team, &new));
    assert_eq!(event["reason"], "Replaced");
    assert!(event["message"].as_str().unwrap().contains(old), "{event}");
    team.started_pods(name);
}

/// A Job as a replacement leaves it behind that was cut off: dormant, with the record.
pub fn left_dormant(plane: &ControlPlane) -> Namespace {
    // Made before the namespace opts in: rejob would remove the mark again.
    let team = plane.namespace("team", &[]);
    team.create_job(&manifest::left_dormant("cut-off")).ok();
    let label = json!({ "metadata": { "labels": { "rejob.dev/policy": "replace" } } });
    plane.admin().patch("merge", &format!("/api/v1/namespaces/{}", team.name()), &label).ok();
    team
}
