//! What changed, in words.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "the helpers of tests panic where a test would"
)]

use rejob::job::{Change, changes};
use serde_json::{Value, json};

fn job(container: Value, pod: Value) -> Value {
    let mut spec = json!({ "containers": [{ "name": "app", "image": "a:1" }] });
    spec["containers"][0].as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    spec.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
    json!({ "spec": { "template": { "spec": spec } } })
}

/// The changes from one container to another, without `spec.template.spec.containers[app].`.
fn told(old: Value, new: Value) -> Vec<String> {
    let told = changes(&job(old, json!({})), &job(new, json!({})));
    let short =
        |change: &Change| change.describe().replace("spec.template.spec.containers[app].", "");
    told.iter().map(short).collect()
}

fn told_of_pod(old: Value, new: Value) -> Vec<String> {
    let told = changes(&job(json!({}), old), &job(json!({}), new));
    told.iter().map(|change| change.describe().replace("spec.template.spec.", "")).collect()
}

#[test]
fn a_changed_image_is_one_change() {
    let changes = changes(&job(json!({}), json!({})), &job(json!({ "image": "a:2" }), json!({})));
    let expected = Change {
        path: "spec.template.spec.containers[app].image".to_owned(),
        old: Some(json!("a:1")),
        new: Some(json!("a:2")),
    };
    assert_eq!(changes, [expected]);
    assert_eq!(changes[0].describe(), "spec.template.spec.containers[app].image: a:1 -> a:2");
}

#[test]
fn equal_jobs_have_no_changes() {
    assert_eq!(changes(&job(json!({}), json!({})), &job(json!({ "env": [] }), json!({}))), []);
}

#[test]
fn items_are_matched_by_their_names() {
    let env = |pairs: &[(&str, &str)]| -> Value {
        let vars = pairs.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        json!({ "env": vars.collect::<Vec<_>>() })
    };
    assert_eq!(
        told(
            env(&[("A", "1"), ("B", "2"), ("C", "3")]),
            env(&[("A", "1"), ("B", "4"), ("C", "3")])
        ),
        ["env[B].value: 2 -> 4"]
    );
    // One more in front is not a change of those behind.
    assert_eq!(
        told(env(&[("A", "1")]), env(&[("N", "0"), ("A", "1")])),
        [r#"env[N] added: {"name":"N","value":"0"}"#]
    );
    assert_eq!(
        told(env(&[("A", "1"), ("B", "2")]), env(&[("B", "2")])),
        [r#"env[A] removed, was: {"name":"A","value":"1"}"#]
    );
    assert_eq!(
        told(env(&[("A", "1"), ("B", "2")]), env(&[("B", "2"), ("A", "1")])),
        [r#"env (order): ["A","B"] -> ["B","A"]"#]
    );
    // A name that is there twice tells nothing apart.
    assert_eq!(
        told(env(&[("A", "1"), ("A", "2")]), env(&[("A", "1"), ("A", "3")])),
        ["env[1].value: 2 -> 3"]
    );
}

#[test]
fn ports_and_mounts_and_volumes_go_by_their_keys() {
    assert_eq!(
        told(
            json!({ "ports": [{ "containerPort": 80 }, { "containerPort": 80, "protocol": "UDP" }] }),
            json!({ "ports": [{ "containerPort": 80, "name": "web" }, { "containerPort": 80, "protocol": "UDP" }] }),
        ),
        ["ports[80/TCP].name added: web"]
    );
    assert_eq!(
        told(
            json!({ "volumeMounts": [{ "name": "v", "mountPath": "/a" }] }),
            json!({ "volumeMounts": [{ "name": "w", "mountPath": "/a" }] }),
        ),
        ["volumeMounts[/a].name: v -> w"]
    );
    assert_eq!(
        told_of_pod(
            json!({ "volumes": [{ "name": "data", "configMap": { "name": "a" } }] }),
            json!({ "volumes": [{ "name": "data", "configMap": { "name": "b" } }] }),
        ),
        ["volumes[data].configMap.name: a -> b"]
    );
    assert_eq!(
        told_of_pod(
            json!({ "tolerations": [{ "operator": "Exists" }, { "key": "a" }] }),
            json!({ "tolerations": [{ "operator": "Exists" }, { "key": "b" }] }),
        ),
        ["tolerations[1].key: a -> b"]
    );
}

#[test]
fn maps_change_key_by_key_and_arguments_as_a_whole() {
    assert_eq!(
        told_of_pod(
            json!({ "nodeSelector": { "a": "1", "x/y": "2" } }),
            json!({ "nodeSelector": { "x/y": "3" } })
        ),
        ["nodeSelector[a] removed, was: 1", "nodeSelector[x/y]: 2 -> 3"]
    );
    assert_eq!(
        told(
            json!({ "resources": { "limits": { "cpu": "1000m" } } }),
            json!({ "resources": { "limits": { "cpu": "1.5" } } })
        ),
        ["resources.limits[cpu]: 1 -> 1500m"]
    );
    assert_eq!(
        told(json!({ "args": ["a"] }), json!({ "args": ["a", "b"] })),
        [r#"args: ["a"] -> ["a","b"]"#]
    );
}

#[test]
fn the_order_of_the_changes_does_not_depend_on_the_jobs() {
    let told = told(
        json!({ "workingDir": "/a", "args": ["a"], "env": [{ "name": "Z", "value": "1" }] }),
        json!({ "workingDir": "/b", "args": ["b"], "env": [{ "name": "Z", "value": "2" }], "image": "a:2" }),
    );
    assert_eq!(
        told,
        [
            r#"args: ["a"] -> ["b"]"#,
            "env[Z].value: 1 -> 2",
            "image: a:1 -> a:2",
            "workingDir: /a -> /b"
        ]
    );
}

#[test]
fn fields_of_the_spec_itself_are_told() {
    let with = |fields: Value| {
        let mut job = job(json!({}), json!({}));
        job["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        job
    };
    let tell = |old: Value, new: Value| -> Vec<String> {
        changes(&with(old), &with(new)).iter().map(Change::describe).collect()
    };
    assert_eq!(tell(json!({}), json!({ "completions": 3 })), ["spec.completions: 1 -> 3"]);
    assert_eq!(tell(json!({}), json!({ "parallelism": 3 })), ["spec.completions removed, was: 1"]);
    assert_eq!(
        tell(json!({}), json!({ "completionMode": "Indexed", "completions": 1 })),
        ["spec.completionMode added: Indexed"]
    );
}

#[test]
fn a_selector_of_the_jobs_own_is_compared_as_it_is() {
    let generated = json!({ "spec": {
        "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } },
        "template": { "metadata": { "labels": { "batch.kubernetes.io/controller-uid": "u" } } },
    }});
    let mut manual = generated.clone();
    manual["spec"]["manualSelector"] = json!(true);
    assert_eq!(changes(&generated, &manual), []);
    manual["spec"]["selector"]["matchLabels"] = json!({ "a": "b" });
    assert_eq!(changes(&generated, &manual).len(), 2);
    let bare = json!({ "spec": { "template": {} } });
    assert_eq!(changes(&generated, &bare), []);
}

#[test]
fn secrets_are_not_told() {
    let env = |name: &str, value: &str| json!({ "env": [{ "name": name, "value": value }] });
    for name in
        ["DB_PASSWORD", "apiToken", "AWS_SECRET_ACCESS_KEY", "PGPASSWD", "Credentials", "AUTH"]
    {
        assert_eq!(
            told(env(name, "hunter1"), env(name, "hunter2")),
            [format!("env[{name}].value: *** -> ***")]
        );
        let added = told(json!({}), env(name, "hunter2"));
        assert_eq!(added, [format!(r#"env[{name}] added: {{"name":"{name}","value":"***"}}"#)]);
    }
    let url = "postgres://me:hunter2@db/x";
    assert_eq!(told(env("DB", "x"), env("DB", url)), ["env[DB].value: x -> ***"]);
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2";
    assert_eq!(told(env("PEM", "x"), env("PEM", pem)), ["env[PEM].value: x -> ***"]);
    assert_eq!(
        told(
            json!({ "args": ["-v"] }),
            json!({ "args": ["-v", "--token=hunter2", "--password", "hunter2", "x"] })
        ),
        [r#"args: ["-v"] -> ["-v","***","***","***","x"]"#]
    );
    assert_eq!(
        told(json!({}), json!({ "command": ["sh", "-c", "PASSWORD=hunter2 run"] })),
        [r#"command added: ["sh","-c","***"]"#]
    );
    let header = |value: &str| json!({ "livenessProbe": { "httpGet": { "port": 1, "httpHeaders": [{ "name": "Authorization", "value": value }] } } });
    assert_eq!(
        told(header("a"), header("b")),
        ["livenessProbe.httpGet.httpHeaders[Authorization].value: *** -> ***"]
    );
    let annotated = |value: &str| json!({ "spec": { "template": { "metadata": { "annotations": { "example.com/api.key": value } } } } });
    assert_eq!(
        changes(&annotated("a"), &annotated("b"))[0].describe(),
        "spec.template.metadata.annotations[example.com/api.key]: *** -> ***"
    );
}

#[test]
fn references_to_secrets_are_told() {
    let reference = |name: &str| json!({ "env": [{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": name, "key": "k" } } }] });
    assert_eq!(
        told(reference("a"), reference("b")),
        ["env[TOKEN].valueFrom.secretKeyRef.name: a -> b"]
    );
    let volume =
        |name: &str| json!({ "volumes": [{ "name": "v", "secret": { "secretName": name } }] });
    assert_eq!(told_of_pod(volume("a"), volume("b")), ["volumes[v].secret.secretName: a -> b"]);
    assert_eq!(told(json!({}), json!({ "image": "keycloak:2" })), ["image: a:1 -> keycloak:2"]);
}

#[test]
fn values_are_cut_and_have_no_control_characters() {
    let env = |value: &str| json!({ "env": [{ "name": "A", "value": value }] });
    let long = "é".repeat(500);
    assert_eq!(
        told(env("a\nb\u{1b}[31m"), env(&long)),
        [format!(r"env[A].value: a\nb\u{{1b}}[31m -> {}…", "é".repeat(60))]
    );
    let [a, b] = ["a", "b"].map(|end| env(&format!("{}{end}", "x".repeat(100))));
    assert_eq!(told(a, b), ["env[A].value changed"]);
}
