//! Manifests of Jobs, as JSON: every client takes that for YAML.

use serde_json::{Value, json};

/// A Job with one container `app` of that image.
pub fn job(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "app", "image": image }],
        }}},
    })
}

/// The same with an annotation.
pub fn annotated(mut job: Value, key: &str, value: &str) -> Value {
    job["metadata"]["annotations"][key] = value.into();
    job
}

/// The same with a label.
pub fn labeled(mut job: Value, key: &str, value: &str) -> Value {
    job["metadata"]["labels"][key] = value.into();
    job
}

/// The image of the first container of a Job.
pub fn image(job: &Value) -> &str {
    job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image")
}

/// The annotation of an object, when it has it.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// A Job as a replacement that was cut off leaves it behind: dormant, with the record, in the order in
/// which rejob writes it, since the webhook's conditions look at its beginning.
pub fn left_dormant(name: &str) -> Value {
    let record =
        r#"{"parallelism":1,"uid":"old","resourceVersion":"1","user":"deployer","manager":null}"#;
    let mut left = job(name, "app:1");
    left["metadata"]["labels"] = json!({ "rejob.dev/dormant": "true" });
    left["metadata"]["annotations"] = json!({ "rejob.dev/dormant": record });
    left["spec"]["parallelism"] = json!(0);
    left
}
