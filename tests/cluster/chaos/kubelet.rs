//! Lets Pods run and end, as kubelets would.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;

use super::random::Random;
use super::writers::Target;

/// Goes on until it is over. Most Pods stay as they are for a while; those that become
/// ready succeed at the next look.
pub fn run(targets: &[Target], mut random: Random, over: &AtomicBool) {
    while !over.load(SeqCst) {
        for target in targets {
            let namespace = &target.seen[0];
            let path = format!("/api/v1/namespaces/{}/pods", namespace.name());
            let pods = namespace.user().get(&path).body;
            for pod in pods["items"].as_array().into_iter().flatten() {
                let status = match (pod["status"]["phase"].as_str(), random.below(6)) {
                    (Some("Running"), _) | (Some("Pending"), 1) => json!({ "phase": "Succeeded" }),
                    (Some("Pending"), 0) => json!({
                        "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
                    }),
                    _ => continue,
                };
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}/status");
                // The Pod may have gone, and etcd may stand still.
                namespace.user().patch("merge", &path, &json!({ "status": status }));
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
