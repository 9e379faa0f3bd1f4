//! A changed Job is replaced inside the client's own request, by real clients on a real cluster.

#![allow(clippy::unwrap_used, reason = "a helper of tests panics where a test would")]

mod support;

use support::manifest;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

fn uid(job: &serde_json::Value) -> String {
    job["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn a_client_side_apply_replaces() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let first = manifest::job("nightly", "busybox:1").to_string();
    namespace.kubectl_with(&first, &["apply", "-f", "-"]).ok();
    let old = uid(&namespace.job("nightly").unwrap());
    let second = manifest::job("nightly", "busybox:2").to_string();
    let output = namespace.kubectl_with(&second, &["apply", "-f", "-"]);
    println!("{output:?}\n{}", rejob.log());
    let output = output.ok();
    assert!(output.stdout.contains("configured"));
    let job = namespace.job("nightly").unwrap();
    println!("{job:#}");
    assert_ne!(uid(&job), old);
    namespace.started_pods("nightly");
}

#[test]
fn a_server_side_apply_replaces() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let mut old = String::new();
    for image in ["a:1", "a:2", "a:3"] {
        let text = manifest::job("nightly", image).to_string();
        let output = namespace.kubectl_with(&text, &["apply", "--server-side", "-f", "-"]);
        println!("{output:?}\n{}", rejob.log());
        output.ok();
        let job = namespace.job("nightly").unwrap();
        assert_ne!(uid(&job), old);
        old = uid(&job);
        println!("{job:#}");
    }
    wait::until("an event", || {
        let d = namespace.kubectl(&["describe", "job", "nightly"]).ok().stdout;
        println!("{d}");
        d.contains("Replaced").then_some(())
    });
}
