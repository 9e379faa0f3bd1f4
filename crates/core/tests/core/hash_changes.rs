//! What changed, in words.
use rejob_core::job::{Change, changes};
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
        harmless: true,
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
        ["env[B].value changed"]
    );
    // One more in front is not a change of those behind.
    assert_eq!(told(env(&[("A", "1")]), env(&[("N", "0"), ("A", "1")])), ["env[N] added"]);
    assert_eq!(told(env(&[("A", "1"), ("B", "2")]), env(&[("B", "2")])), ["env[A] removed"]);
    assert_eq!(
        told(env(&[("A", "1"), ("B", "2")]), env(&[("B", "2"), ("A", "1")])),
        ["env (order) changed"]
    );
    // A name that is there twice tells nothing apart.
    assert_eq!(
        told(env(&[("A", "1"), ("A", "2")]), env(&[("A", "1"), ("A", "3")])),
        ["env[1].value changed"]
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
        ["tolerations[1].key changed"]
    );
}

#[test]
fn maps_change_key_by_key_and_arguments_as_a_whole() {
    assert_eq!(
        told_of_pod(
            json!({ "nodeSelector": { "a": "1", "x/y": "2" } }),
            json!({ "nodeSelector": { "x/y": "3" } })
        ),
        ["nodeSelector[a] removed", "nodeSelector[x/y] changed"]
    );
    assert_eq!(
        told(
            json!({ "resources": { "limits": { "cpu": "1000m" } } }),
            json!({ "resources": { "limits": { "cpu": "1.5" } } })
        ),
        ["resources.limits[cpu]: 1 -> 1500m"]
    );
    assert_eq!(told(json!({ "args": ["a"] }), json!({ "args": ["a", "b"] })), ["args changed"]);
}

#[test]
fn the_order_of_the_changes_does_not_depend_on_the_jobs() {
    let told = told(
        json!({ "workingDir": "/a", "args": ["a"], "env": [{ "name": "Z", "value": "1" }] }),
        json!({ "workingDir": "/b", "args": ["b"], "env": [{ "name": "Z", "value": "2" }], "image": "a:2" }),
    );
    assert_eq!(
        told,
        ["args changed", "env[Z].value changed", "image: a:1 -> a:2", "workingDir changed"]
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
        ["spec.completionMode added"]
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

/// A fragment of a container, of a pod, or of a template, each with a secret in a field of its own.
const SECRETS: [(&str, &str); 14] = [
    ("containers[app].env[DB_PASS].value", r#"{"env": [{"name": "DB_PASS", "value": "V"}]}"#),
    (
        "containers[app].env[ConnectionStrings__Default].value",
        r#"{"env": [{"name": "ConnectionStrings__Default", "value": "Server=db;Password=V"}]}"#,
    ),
    (
        "containers[app].env[JDBC_URL].value",
        r#"{"env": [{"name": "JDBC_URL", "value": "jdbc:mysql://db/x?password=V"}]}"#,
    ),
    ("containers[app].env[0].value", r#"{"env": [{"name": "A", "value": "V"}, {"name": "A"}]}"#),
    ("containers[app].env[PIN].value", r#"{"env": [{"name": "PIN", "value": "42V"}]}"#),
    ("containers[app].env[x].image].value", r#"{"env": [{"name": "x].image", "value": "V"}]}"#),
    ("containers[app].args", r#"{"args": ["-pV"]}"#),
    ("containers[app].command", r#"{"command": ["curl", "-u", "user:V"]}"#),
    (
        "containers[app].lifecycle.preStop.exec.command",
        r#"{"lifecycle": {"preStop": {"exec": {"command": ["V"]}}}}"#,
    ),
    (
        "containers[app].livenessProbe.httpGet.httpHeaders[Authorization].value",
        r#"{"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "Authorization", "value": "V"}]}}}"#,
    ),
    (
        "containers[app].livenessProbe.httpGet.path",
        r#"{"livenessProbe": {"httpGet": {"port": 1, "path": "/?token=V"}}}"#,
    ),
    ("containers[app].image", r#"{"image": "user:V@registry.example.com/app:1"}"#),
    ("containers[app].workingDir", r#"{"workingDir": "/V"}"#),
    ("containers[app].name2", r#"{"name2": {"image": "V"}}"#),
];

#[test]
fn values_of_other_fields_are_not_told() {
    for (path, container) in SECRETS {
        let with = |value: &str| -> Value {
            serde_json::from_str(&container.replace('V', value)).unwrap()
        };
        let pod = |containers: Value| json!({ "spec": { "template": { "spec": containers } } });
        let job = |value: &str| {
            let mut app = json!({ "name": "app" });
            app.as_object_mut().unwrap().extend(with(value).as_object().unwrap().clone());
            pod(json!({ "containers": [app] }))
        };
        let tell = |old: &Value, new: &Value| -> String {
            let told: Vec<_> = changes(old, new).iter().map(Change::describe).collect();
            told.join(", ").replace("spec.template.spec.", "")
        };
        let (one, two) = (job("hunter1"), job("hunter2"));
        let changed = tell(&one, &two);
        assert!(changed.starts_with(path) && changed.ends_with(" changed"), "{path}: {changed}");
        let bare = pod(json!({ "containers": [{ "name": "app" }] }));
        let none = pod(json!({ "initContainers": [{ "name": "init" }] }));
        for told in
            [changed, tell(&bare, &two), tell(&two, &bare), tell(&none, &two), tell(&two, &none)]
        {
            assert!(!told.contains("hunter"), "{told}");
        }
    }
}

#[test]
fn values_of_a_templates_labels_and_annotations_are_not_told() {
    for map in ["annotations", "labels"] {
        let with = |value: &str| json!({ "spec": { "template": { "metadata": { map: { "example.com/image": value } } } } });
        assert_eq!(
            changes(&with("hunter1"), &with("hunter2"))[0].describe(),
            format!("spec.template.metadata.{map}[example.com/image] changed")
        );
    }
}

#[test]
fn a_struct_that_comes_or_goes_is_told_by_its_path() {
    let with = |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let app = json!({ "name": "app", "image": "a:1" });
    let proxy = json!({ "name": "proxy", "image": "p:1", "args": ["--token=hunter2"] });
    let (one, two) = (with(json!([app])), with(json!([app, proxy])));
    assert_eq!(changes(&one, &two)[0].describe(), "spec.template.spec.containers[proxy] added");
    assert_eq!(changes(&two, &one)[0].describe(), "spec.template.spec.containers[proxy] removed");
}

#[test]
fn images_numbers_quantities_and_names_are_told() {
    let digest = |c: &str| format!("registry.example.com:5000/a@sha256:{}", c.repeat(64));
    assert_eq!(
        told(json!({}), json!({ "image": digest("0") })),
        [format!("image: a:1 -> {}…", &digest("0")[..60])]
    );
    assert_eq!(
        told(json!({ "imagePullPolicy": "Never" }), json!({ "imagePullPolicy": "Always" })),
        ["imagePullPolicy: Never -> Always"]
    );
    assert_eq!(
        told(
            json!({ "livenessProbe": { "tcpSocket": { "port": "web" } } }),
            json!({ "livenessProbe": { "tcpSocket": { "port": 80 }, "periodSeconds": 3 } })
        ),
        ["livenessProbe.periodSeconds added: 3", "livenessProbe.tcpSocket.port: web -> 80"]
    );
    assert_eq!(
        told(
            json!({ "securityContext": { "privileged": true } }),
            json!({ "securityContext": { "privileged": false } })
        ),
        ["securityContext.privileged: true -> false"]
    );
    assert_eq!(
        told_of_pod(
            json!({ "restartPolicy": "Never", "serviceAccountName": "a" }),
            json!({ "restartPolicy": "OnFailure", "serviceAccountName": "b" })
        ),
        ["restartPolicy: Never -> OnFailure", "serviceAccountName: a -> b"]
    );
    let reference = |name: &str| json!({ "env": [{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": name, "key": "k" } } }] });
    assert_eq!(
        told(reference("a"), reference("b")),
        ["env[TOKEN].valueFrom.secretKeyRef.name: a -> b"]
    );
    let volume =
        |name: &str| json!({ "volumes": [{ "name": "v", "secret": { "secretName": name } }] });
    assert_eq!(told_of_pod(volume("a"), volume("b")), ["volumes[v].secret.secretName: a -> b"]);
}

#[test]
fn what_is_told_is_cut_and_has_no_control_characters() {
    let image = |text: &str| json!({ "image": text });
    let long = "x".repeat(500);
    assert_eq!(told(json!({}), image(&long)), [format!("image: a:1 -> {}…", "x".repeat(60))]);
    let [a, b] = ["a", "b"].map(|end| image(&format!("{}{end}", "x".repeat(100))));
    assert_eq!(told(a, b), ["image changed"]);
    assert_eq!(told(json!({}), image("a\nb\u{1b}[31m")), ["image changed"]);
    let env = |name: &str| json!({ "env": [{ "name": name, "value": "1" }] });
    assert_eq!(told(json!({}), env("a\nb")), [r"env[a\nb] added"]);
}
