//! The reviews that are sent: two captured ones, and the first of them made larger.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::load::Request;
use support::paths;

/// A review, and on how many connections it is sent at most.
pub struct Review {
    pub name: &'static str,
    pub most_connections: usize,
    value: Value,
}

impl Review {
    pub fn request(&self, path: &str) -> Request {
        Request::review(path, &self.value)
    }

    /// Panics unless the answer allows the review: a CREATE with a patch of the TTL and the hash, an
    /// UPDATE without one.
    pub fn check(&self, webhook: &str, answer: &Value) {
        let response = &answer["response"];
        let patch = patch(&response["patch"]);
        let is_right = response["allowed"] == true
            && match self.value["request"]["operation"].as_str() {
                Some("CREATE") => ["ttlSecondsAfterFinished", "template-hash"]
                    .iter()
                    .all(|part| patch.contains(part)),
                _ => patch.is_empty(),
            };
        assert!(is_right, "{webhook} answers {}: {answer}, patch: {patch}", self.name);
    }
}

pub fn all() -> [Review; 4] {
    let create = captured("01-csa-create-nightly.json");
    // An apply of what is applied already, the most usual one: a GitOps tool sends it again and again.
    let apply = captured("06-ssa-update-nightly.json");
    let (mut large, mut largest) = (create.clone(), apply.clone());
    large["request"]["object"]["spec"]["template"]["spec"]["containers"][0]["env"] = env(90, 1_000);
    for object in ["object", "oldObject"] {
        largest["request"][object]["spec"]["template"]["spec"]["containers"][0]["env"] =
            env(375, 4_000);
    }
    [
        ("CREATE, 3 kB", 64, create),
        ("apply, 5 kB", 64, apply),
        ("CREATE, 100 kB", 64, large),
        // rejob takes only so many bytes at once, and sends the rest away with 429.
        ("apply, 3 MB", 8, largest),
    ]
    .map(|(name, most_connections, value)| Review { name, most_connections, value })
}

fn captured(name: &str) -> Value {
    let folder = paths::sources().join("tests/cases/reviews/captured/1.37");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The patch of an answer, empty when there is none. kube writes its bytes as numbers, the others as
/// base64; the API server reads both.
fn patch(value: &Value) -> String {
    let bytes = match value {
        Value::Null => Vec::new(),
        Value::String(text) => STANDARD.decode(text).unwrap(),
        numbers => serde_json::from_value(numbers.clone()).unwrap(),
    };
    String::from_utf8(bytes).unwrap()
}

/// So many variables of so many bytes each.
fn env(count: usize, bytes: usize) -> Value {
    (0..count).map(|n| json!({ "name": format!("VAR_{n}"), "value": "x".repeat(bytes) })).collect()
}
