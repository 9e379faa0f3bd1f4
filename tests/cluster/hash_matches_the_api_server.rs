//! A manifest and what a real API server makes of it have one hash, and what counts as a change
//! here is what the API server refuses to change.
//!
//! With `REJOB_UPDATE_STORED=1` the stored forms are written beside the manifests, where
//! `hash_of_stored_forms` reads them without a cluster.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rejob::job::{Change, TemplateHash, changes};
use serde_json::{Value, json};
use support::plane::ControlPlane;

/// Manifests whose numbers only kubectl's reading of YAML makes acceptable: `3.0` is sent as `3`.
const FOR_KUBECTL: [&str; 1] = ["whole-numbers-with-a-fraction"];

/// What the API server generates, and what holds it.
const GENERATED: [&str; 9] = [
    "/spec/selector",
    "/spec/selector/matchLabels",
    "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid",
    "/template/metadata",
    "/template/metadata/labels",
    "/template/metadata/labels/controller-uid",
    "/template/metadata/labels/job-name",
    "/template/metadata/labels/batch.kubernetes.io~1controller-uid",
    "/template/metadata/labels/batch.kubernetes.io~1job-name",
];

/// Manifests that server-side apply refuses: a list that it takes for a map has an item twice.
const NOT_APPLICABLE: [&str; 1] = ["env-names-twice"];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/hash");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    cases.sort();
    assert!(cases.len() >= 60, "only {} manifests", cases.len());
    cases
}

fn manifest(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn compare(what: &str, manifest: &Value, stored: &Value, wrong: &mut Vec<String>) {
    if TemplateHash::of(manifest) != TemplateHash::of(stored) {
        let differences: Vec<_> = changes(manifest, stored).iter().map(Change::describe).collect();
        wrong.push(format!("{what}: {differences:#?}"));
    }
}

#[test]
fn a_manifest_hashes_like_its_stored_form() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("hash", &[]);
    let mut wrong = Vec::new();
    for path in cases() {
        let mut job = manifest(&path);
        let name = job["metadata"]["name"].as_str().unwrap().to_owned();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(name.as_str()));
        if FOR_KUBECTL.contains(&name.as_str()) {
            let text = std::fs::read_to_string(&path).unwrap();
            namespace.kubectl_with(&text, &["create", "-f", "-"]).ok();
        } else {
            let answer = namespace.create_job(&job);
            if answer.status != 201 {
                wrong.push(format!("{name}: {} {}", answer.status, answer.message()));
                continue;
            }
            compare(&format!("{name} created"), &job, &answer.body, &mut wrong);
        }
        let got = namespace.job(&name).unwrap();
        compare(&format!("{name} read"), &job, &got, &mut wrong);
        if std::env::var_os("REJOB_UPDATE_STORED").is_some() {
            write_stored(&path, &got);
        }
        if NOT_APPLICABLE.contains(&name.as_str()) || FOR_KUBECTL.contains(&name.as_str()) {
            continue;
        }
        let other = format!("{name}-ssa");
        job["metadata"]["name"] = Value::from(other.as_str());
        let path = format!("{}?fieldManager=test", namespace.job_path(&other));
        let answer = namespace.user().apply(&path, &job);
        if answer.status != 201 {
            wrong.push(format!("{name} applied: {} {}", answer.status, answer.message()));
            continue;
        }
        compare(&format!("{name} applied"), &job, &answer.body, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes a stored form without what differs from run to run.
fn write_stored(path: &Path, job: &Value) {
    let uid = job["metadata"]["uid"].as_str().unwrap();
    let stored = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": job["metadata"]["name"], "labels": job["metadata"]["labels"] },
        "spec": job["spec"],
    });
    let text = serde_json::to_string_pretty(&stored).unwrap();
    let text = text.replace(uid, "00000000-0000-4000-8000-000000000000");
    std::fs::write(path.with_extension("stored.json"), text + "\n").unwrap();
}

/// A Job with something of everything that the edits below touch.
fn subject() -> Value {
    let yaml = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: subject}
spec:
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}
  template:
    metadata: {labels: {app: x}, annotations: {a: "1"}}
    spec:
      restartPolicy: Never
      serviceAccountName: robot
      tolerations: [{key: a, value: b}]
      nodeSelector: {disk: ssd}
      affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: z, labelSelector: {matchLabels: {a: b}}}]}}
      volumes: [{name: v}, {name: s, secret: {secretName: s}}, {name: h, hostPath: {path: /x}}]
      containers:
        - name: app
          image: app:1
          args: [a, b]
          env: [{name: A, value: "1"}, {name: B}, {name: F, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]
          ports: [{name: web, containerPort: 80}]
          resources: {limits: {cpu: "1", memory: 1Gi}}
          livenessProbe: {httpGet: {port: web}}
          readinessProbe: {grpc: {port: 80}}
          volumeMounts: [{name: v, mountPath: /v}]
        - {name: two, image: two, securityContext: {}}
"#;
    serde_saphyr::from_str(yaml).unwrap()
}

/// Edits of the stored subject: a pointer, and the new value (`null` removes the field).
fn edits() -> Vec<(&'static str, Value)> {
    let app =
        |rest: &str| -> &'static str { format!("/spec/template/spec/containers/0/{rest}").leak() };
    let two =
        |rest: &str| -> &'static str { format!("/spec/template/spec/containers/1/{rest}").leak() };
    let pod = |rest: &str| -> &'static str { format!("/spec/template/spec/{rest}").leak() };
    vec![
        // Spelled another way.
        (pod("dnsPolicy"), Value::Null),
        (pod("dnsPolicy"), json!("")),
        (pod("schedulerName"), Value::Null),
        (pod("securityContext"), Value::Null),
        (pod("terminationGracePeriodSeconds"), Value::Null),
        (pod("serviceAccount"), Value::Null),
        (pod("serviceAccount"), json!("ignored")),
        (pod("serviceAccountName"), Value::Null),
        (pod("hostNetwork"), json!(false)),
        (pod("initContainers"), json!([])),
        (pod("volumes/0/emptyDir"), Value::Null),
        (pod("volumes/0/emptyDir"), json!({ "medium": "" })),
        (pod("volumes/1/secret/defaultMode"), Value::Null),
        (pod("volumes/2/hostPath/type"), Value::Null),
        (app("imagePullPolicy"), Value::Null),
        (app("terminationMessagePath"), json!("")),
        (app("resources/limits/cpu"), json!("1000m")),
        (app("resources/limits/cpu"), json!(1)),
        (app("resources/limits/cpu"), json!(0.9999)),
        (app("resources/limits/memory"), json!("1024Mi")),
        (app("resources/limits/memory"), json!(1_073_741_824)),
        (app("resources/requests"), json!({})),
        (app("env/1/value"), json!("")),
        (app("env/2/valueFrom/fieldRef/apiVersion"), Value::Null),
        (app("env/3/valueFrom/resourceFieldRef/divisor"), Value::Null),
        (app("livenessProbe/httpGet/scheme"), Value::Null),
        (app("livenessProbe/httpGet/path"), json!("")),
        (app("livenessProbe/periodSeconds"), json!(0)),
        (app("readinessProbe/grpc/service"), Value::Null),
        (app("ports/0/protocol"), Value::Null),
        (app("ports/0/hostPort"), json!(0)),
        (two("resources"), Value::Null),
        ("/spec/podFailurePolicy/rules/0/onPodConditions/0/status", json!("")),
        ("/spec/completionMode", Value::Null),
        ("/spec/template/metadata/annotations", json!({ "a": "1" })),
        ("/spec/template/metadata/name", json!("")),
        // Another Job, though some of these behave alike.
        (pod("enableServiceLinks"), json!(true)),
        (pod("hostNetwork"), json!(true)),
        (pod("automountServiceAccountToken"), json!(true)),
        (pod("shareProcessNamespace"), json!(false)),
        (pod("preemptionPolicy"), json!("PreemptLowerPriority")),
        (pod("affinity"), Value::Null),
        (pod("affinity"), json!({})),
        (pod("affinity/nodeAffinity"), json!({})),
        (
            pod(
                "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector",
            ),
            json!({}),
        ),
        (
            pod(
                "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/namespaceSelector",
            ),
            json!({}),
        ),
        (pod("dnsConfig"), json!({})),
        (pod("nodeSelector"), json!({ "disk": "hdd" })),
        (pod("tolerations/0/operator"), json!("Equal")),
        (pod("tolerations"), json!([])),
        (pod("volumes/0/emptyDir/medium"), json!("Memory")),
        (pod("volumes/1/secret/optional"), json!(false)),
        (pod("resources"), json!({})),
        (pod("serviceAccountName"), json!("other")),
        (app("image"), json!("app:2")),
        (app("imagePullPolicy"), json!("Always")),
        (app("args"), json!(["b", "a"])),
        (app("args"), json!(["a", "b", ""])),
        (app("env/0/value"), json!("2")),
        (app("env/1/name"), json!("D")),
        (app("env/3/valueFrom/resourceFieldRef/divisor"), json!("1")),
        (app("resources/limits/cpu"), json!("1001m")),
        (app("resources/requests"), json!({ "cpu": "1" })),
        (app("securityContext"), json!({})),
        (two("securityContext"), Value::Null),
        (two("securityContext/capabilities"), json!({})),
        (two("securityContext/runAsNonRoot"), json!(false)),
        (app("lifecycle"), json!({})),
        (app("livenessProbe/httpGet/port"), json!("web2")),
        (app("volumeMounts/0/mountPropagation"), json!("None")),
        (app("restartPolicy"), json!("Never")),
        ("/spec/template/metadata/labels/app", json!("y")),
        ("/spec/template/metadata/annotations/a", json!("")),
        ("/spec/completions", json!(2)),
        ("/spec/podFailurePolicy", Value::Null),
        ("/spec/managedBy", json!("kubernetes.io/job-controller")),
    ]
}

fn edit(job: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = job.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
    let parent = parent.as_object_mut().unwrap_or_else(|| panic!("no {pointer}"));
    if value.is_null() {
        parent.remove(last).unwrap_or_else(|| panic!("no {pointer}"));
    } else {
        parent.insert(last.to_owned(), value);
    }
}

#[test]
fn a_change_is_what_the_api_server_refuses_to_change() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("hash", &[]);
    let stored = namespace.create_job(&subject()).ok();
    let (mut refused, mut accepted, mut wrong) = (0, 0, Vec::new());
    for (pointer, value) in edits() {
        let old = namespace.job("subject").unwrap();
        let mut new = old.clone();
        // The Job controller writes too: an update without a revision takes the newest.
        new["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        edit(&mut new, pointer, value.clone());
        let path = format!("{}?dryRun=All", namespace.job_path("subject"));
        let answer = namespace.user().put(&path, &new);
        let changes = changes(&old, &new);
        match answer.status {
            200 if changes.is_empty() => accepted += 1,
            422 if !changes.is_empty() && answer.message().contains("field is immutable") => {
                refused += 1;
            }
            status => {
                let message = answer.message();
                wrong.push(format!("{pointer} = {value}: {status} {message}, {changes:?}"));
            }
        }
        let same = TemplateHash::of(&stored) == TemplateHash::of(&new);
        assert_eq!(same, changes.is_empty(), "{pointer} = {value}: {changes:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted >= 30 && refused >= 30, "{accepted} accepted, {refused} refused");
}

/// The pointers of everything in a value, itself apart.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut visit = |key: &str, inner: &Value| {
        let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(inner, &pointer, out);
        out.push(pointer);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, inner)| visit(key, inner)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| visit(&index.to_string(), inner));
        }
        _ => {}
    }
}

/// The value at the pointer removed, and emptied.
fn variants(job: &Value, pointer: &str) -> Vec<Value> {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    let mut removed = job.clone();
    match removed.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.remove(&last)),
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        _ => unreachable!("a pointer's parent holds something"),
    }
    let mut emptied = job.clone();
    let value = emptied.pointer_mut(pointer).unwrap();
    *value = match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(_) => json!(0),
        Value::String(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    };
    vec![removed, emptied]
}

/// What one edit of the sweep is about, however many manifests have it: the fields on the way and
/// the value.
fn kind_of(pointer: &str, value: &Value) -> String {
    let is_field = |part: &&str| part.parse::<usize>().is_err();
    format!("{} {value}", pointer.split('/').filter(is_field).collect::<Vec<_>>().join("/"))
}

/// Takes each part of each stored form away, and empties it: thousands of edits of which the API
/// server says whether they are changes.
#[test]
fn whatever_is_taken_away_is_a_change_where_the_api_server_says_so() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("hash", &[]);
    let (mut seen, mut agreed, mut wrong) = (BTreeSet::new(), [0, 0], Vec::new());
    for path in cases() {
        let job = manifest(&path);
        let name = job["metadata"]["name"].as_str().unwrap();
        // Scheduling directives of a suspended Job may change, which is not the hash's business.
        if FOR_KUBECTL.contains(&name) || job["spec"]["suspend"] == true {
            continue;
        }
        let mut old = namespace.create_job(&job).ok();
        // The Job controller writes too: an update without a revision takes the newest.
        old["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        let url = format!("{}?dryRun=All", namespace.job_path(name));
        let mut parts = Vec::new();
        pointers(&old["spec"], "/spec", &mut parts);
        // What the server generated is put back by whoever sends the update.
        parts.retain(|part| !GENERATED.iter().any(|end| part.ends_with(end)));
        for part in parts {
            if !seen.insert(kind_of(&part, old.pointer(&part).unwrap())) {
                continue;
            }
            for new in variants(&old, &part) {
                // An Indexed Job without completions makes kube-apiserver 1.37 panic: no answer.
                let sent = namespace.user().send("PUT", &url, "application/json", new.to_string());
                let Some(answer) = sent else { continue };
                let changes = changes(&old, &new);
                let immutable = answer.message().contains("immutable");
                match answer.status {
                    200 if changes.is_empty() => agreed[0] += 1,
                    422 if immutable && !changes.is_empty() => agreed[1] += 1,
                    // Invalid for another reason: the server does not say.
                    400 | 422 if !immutable => {}
                    status => wrong.push(format!("{name} {part}: {status} {changes:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {agreed:?}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed[0] > 200 && agreed[1] > 500, "{agreed:?}");
}
