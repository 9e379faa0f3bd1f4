//! Lets Pods run and end, as kubelets would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;

use super::random::Random;
use super::writers::Target;

/// Goes on until it is over. Most Pods stay as they are for a while; those that become
/// ready succeed at the next look. What becomes of a Pod at which look follows from the seed and its
/// template: Pods have other names and uids in each run.
pub fn run(targets: &[Target], seed: u64, over: &AtomicBool) {
    let mut looks = BTreeMap::<String, u64>::new();
    while !over.load(SeqCst) {
        for target in targets {
            let namespace = &target.seen[0];
            let path = format!("/api/v1/namespaces/{}/pods", namespace.name());
            let pods = namespace.user().get(&path).body;
            for pod in pods["items"].as_array().into_iter().flatten() {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                let looks = looks.entry(name.to_owned()).or_default();
                *looks += 1;
                let image = &pod["spec"]["containers"][0]["image"];
                let choice = Random::part(seed, &format!("{image} {looks}")).below(6);
                let status = match (pod["status"]["phase"].as_str(), choice) {
                    (Some("Running"), _) | (Some("Pending"), 1) => json!({ "phase": "Succeeded" }),
                    (Some("Pending"), 0) => json!({
                        "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
                    }),
                    _ => continue,
                };
                let path = format!("{path}/{name}/status");
                // The Pod may have gone, and etcd may stand still.
                namespace.user().patch("merge", &path, &json!({ "status": status }));
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
