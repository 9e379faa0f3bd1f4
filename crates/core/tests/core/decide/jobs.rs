//! Plausible Jobs, changes of them and requests about them, for the laws.

use proptest::prelude::*;
use proptest::sample::select;
use rejob_core::job::keys;
use rejob_core::policy::{Naming, OnChange, Policy, Ttl, WhileRunning};
use rejob_core::review::{Operation, Request, UserInfo};
use serde_json::{Map, Value, json};

/// Any JSON value, small.
pub fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z.\u{7}\u{e9}-]{0,8}".prop_map(Value::from),
        select(vec!["true", "Replace", "Apply", "0", "is immutable"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A field name that Jobs have, or another.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "metadata",
            "spec",
            "status",
            "name",
            "labels",
            "annotations",
            "template",
            "containers",
            "selector",
            "managedFields",
            "fieldsV1",
            "f:spec",
            "finalizers",
            "completions",
            "parallelism",
            "completionMode",
            "conditions",
            "env",
            "image",
            "volumes",
            "suspend",
            keys::DORMANT,
            keys::TEMPLATE_HASH,
            keys::SKIP,
            keys::RERUN,
            keys::BASE_NAME,
            "rejob.dev/on-change",
            "rejob.dev/wait-seconds",
        ])
        .prop_map(str::to_owned),
        "[a-z/~]{1,5}",
    ]
}

/// An object that has the outline of a Job and anything in it.
pub fn odd_job() -> impl Strategy<Value = Value> {
    (prop::option::of(anything()), prop::option::of(anything()), anything(), plain_job(), 0..4)
        .prop_map(|(metadata, spec, more, job, kind)| match kind {
            0 => json!({ "metadata": metadata, "spec": spec, "status": more }),
            1 => merged(&job, &json!({ "metadata": metadata })),
            2 => merged(&job, &json!({ "spec": { "template": more, "selector": spec } })),
            _ => merged(&job, &json!({ "spec": spec, "metadata": { "annotations": more } })),
        })
}

/// A created Job, defaulted as the API server does before admission.
pub fn plain_job() -> impl Strategy<Value = Value> {
    (
        "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        metadata(),
        template(),
        (1..6_i64, 1..200_000_i64, any::<bool>(), any::<bool>()),
        prop::option::of(0..9_i64),
    )
        .prop_map(|(name, metadata, template, (parallelism, completions, indexed, suspend), ttl)| {
            let mode = if indexed { "Indexed" } else { "NonIndexed" };
            let mut job = json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": { "name": name, "namespace": "team" },
                "spec": {
                    "parallelism": parallelism, "completions": completions, "completionMode": mode,
                    "suspend": suspend, "manualSelector": false, "template": template,
                },
            });
            if let Some(ttl) = ttl {
                job["spec"]["ttlSecondsAfterFinished"] = json!(ttl);
            }
            merged(&job, &json!({ "metadata": metadata }))
        })
}

fn metadata() -> impl Strategy<Value = Value> {
    let label = select(vec![
        json!({ "app": "a" }),
        json!({ "app.kubernetes.io/instance": "a" }),
        json!({ "kustomize.toolkit.fluxcd.io/name": "a" }),
        json!({ keys::DORMANT: "true" }),
    ]);
    let annotation = select(vec![
        json!({ "note": "a" }),
        json!({ "meta.helm.sh/release-name": "a" }),
        json!({ keys::SKIP: "true" }),
        json!({ keys::SKIP: "perhaps" }),
        json!({ "rejob.dev/on-change": "Keep" }),
        json!({ "rejob.dev/wait-seconds": "is immutable\n" }),
        json!({ keys::TEMPLATE_HASH: "bcdfghjklm" }),
        json!({ keys::REPLACING: "x" }),
        json!({ keys::BASE_NAME: "other" }),
        json!({ keys::DORMANT: "{}" }),
        json!({ keys::RERUN: "1" }),
        json!({ "helm.sh/hook": "pre-install" }),
    ]);
    let rest = select(vec![
        json!({}),
        json!({}),
        json!({}),
        json!({ "finalizers": ["a/b"] }),
        json!({ "deletionTimestamp": "2026-11-24T05:00:00Z" }),
        json!({ "ownerReferences": [{ "kind": "CronJob", "controller": true }] }),
        json!({ "managedFields": [{ "manager": "kubectl", "operation": "Apply", "time": "t",
            "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:restartPolicy": {} } } } } }] }),
    ]);
    (prop::option::of(label), prop::option::of(annotation), rest).prop_map(
        |(labels, annotations, rest)| {
            let mut metadata = rest;
            if let Some(labels) = labels {
                metadata["labels"] = labels;
            }
            if let Some(annotations) = annotations {
                metadata["annotations"] = annotations;
            }
            metadata
        },
    )
}

fn template() -> impl Strategy<Value = Value> {
    (
        select(vec!["a:1", "a:2", "a", "a@sha256:0"]),
        prop::collection::vec("[a-z =-]{0,6}", 0..3),
        prop::collection::btree_map("[A-Z]{1,3}", "[a-z]{0,3}", 0..3),
        select(vec!["Never", "OnFailure"]),
        prop::collection::btree_map("[a-z]{1,3}", "[a-z]{0,3}", 0..3),
    )
        .prop_map(|(image, args, env, restart, labels)| {
            let env: Vec<Value> = env
                .into_iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            let labels: Map<String, Value> =
                labels.into_iter().map(|(key, value)| (key, json!(value))).collect();
            json!({
                "metadata": { "labels": labels },
                "spec": {
                    "containers": [{ "name": "app", "image": image, "args": args, "env": env }],
                    "restartPolicy": restart, "dnsPolicy": "ClusterFirst",
                },
            })
        })
}

/// The Job as stored: with uid, revision, selector, generated labels and a status.
pub fn stored(job: &Value, uid: &str, revision: &str) -> Value {
    let mut job = merged(
        job,
        &json!({
            "metadata": { "uid": uid, "resourceVersion": revision },
            "spec": { "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": uid } } },
        }),
    );
    if !job["spec"]["template"]["metadata"]["labels"].is_object() {
        job = merged(&job, &json!({ "spec": { "template": { "metadata": { "labels": {} } } } }));
    }
    for (label, value) in [
        ("controller-uid", uid),
        ("job-name", "nightly"),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", "nightly"),
    ] {
        job["spec"]["template"]["metadata"]["labels"][label] = json!(value);
    }
    job
}

fn status() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({ "startTime": "t", "active": 1, "ready": 1 }),
        json!({ "startTime": "t", "active": 1, "ready": 0 }),
        json!({ "startTime": "t", "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }] }),
        json!({ "startTime": "t", "conditions": [{ "type": "Suspended", "status": "True" }] }),
    ])
}

/// What a client changes, as a merge patch.
fn change() -> impl Strategy<Value = Value> {
    let labels = json!({ "controller-uid": null, "job-name": null,
        "batch.kubernetes.io/controller-uid": null, "batch.kubernetes.io/job-name": null });
    select(vec![
        json!({}),
        json!({ "metadata": { "labels": { "more": "1" } } }),
        json!({ "metadata": { "annotations": { keys::RERUN: "now" } } }),
        json!({ "metadata": { "annotations": null, "resourceVersion": null, "uid": null },
            "spec": { "selector": null, "template": { "metadata": { "labels": labels } } } }),
        json!({ "metadata": { "annotations": { keys::TEMPLATE_HASH: "bcdfghjklm" } } }),
        json!({ "spec": { "template": { "spec": { "restartPolicy": "Always" } } } }),
        json!({ "spec": { "template": { "spec": { "nodeSelector": { "a": "b" } } } } }),
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "image": "b:1" }] } } } }),
        json!({ "spec": { "template": { "metadata": { "labels": { "is immutable\n": "immutable field" } } } } }),
        json!({ "spec": { "completions": 3, "parallelism": 3 } }),
        json!({ "spec": { "completions": null, "parallelism": 2, "completionMode": "NonIndexed" } }),
        json!({ "spec": { "managedBy": "example.com/other" } }),
        json!({ "spec": { "podFailurePolicy": { "rules": [] }, "backoffLimitPerIndex": 1 } }),
        json!({ "metadata": { "resourceVersion": "1" } }),
        json!({ "metadata": { "annotations": { "rejob.dev/on-change": "Deny" } } }),
    ])
}

pub fn policy() -> impl Strategy<Value = Policy> {
    (
        select(vec![
            OnChange::Replace,
            OnChange::Replace,
            OnChange::Keep,
            OnChange::Deny,
            OnChange::Ignore,
            OnChange::Report,
        ]),
        select(vec![WhileRunning::Wait, WhileRunning::Replace, WhileRunning::Deny]),
        select(vec![Naming::Stable, Naming::TemplateHash]),
        prop::option::of(0..9_u32),
    )
        .prop_map(|(on_change, while_running, naming, ttl)| Policy {
            on_change,
            while_running,
            naming,
            ttl_seconds_after_finished: ttl.map(|ttl| Ttl::try_from(ttl).unwrap()),
            ..Policy::default()
        })
}

pub fn request(object: Value, old: Option<Value>, user: &str, manager: Option<&str>) -> Request {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Request {
        uid: "review".to_owned(),
        is_job: true,
        subresource: None,
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        namespace: "team".to_owned(),
        name,
        user: UserInfo { username: user.to_owned(), ..UserInfo::default() },
        object: Some(object),
        old_object: old,
        dry_run: false,
        field_manager: manager.map(str::to_owned),
    }
}

/// A CREATE.
pub fn create() -> impl Strategy<Value = Request> {
    plain_job().prop_map(|job| request(job, None, "alice", Some("kubectl-create")))
}

/// An UPDATE: of a stored Job, often one that a client or another hook changed, sometimes of a
/// dormant one.
pub fn update() -> impl Strategy<Value = Request> {
    let record =
        r#"{"parallelism":4,"uid":"u0","resourceVersion":"1","user":"alice","manager":"kubectl"}"#;
    let dormant = json!({
        "metadata": { "labels": { keys::DORMANT: "true" }, "annotations": { keys::DORMANT: record } },
        "spec": { "parallelism": 0 }, "status": null,
    });
    (
        plain_job(),
        status(),
        prop::collection::vec(change(), 0..3),
        (0..4, any::<bool>(), any::<bool>()),
        (select(vec!["alice", "bob"]), select(vec![None, Some("kubectl"), Some("helm")])),
    )
        .prop_map(move |(job, status, changes, (kind, dry_run, hashed), (user, manager))| {
            let mut old = merged(&stored(&job, "u1", "2"), &json!({ "status": status }));
            if kind == 0 {
                old = merged(&old, &dormant);
            }
            let mut new = old.clone();
            for change in &changes {
                new = merged(&new, change);
            }
            if hashed {
                let hash = rejob_core::job::TemplateHash::of(&new);
                let patch = json!({ "metadata": { "annotations": { keys::TEMPLATE_HASH: hash.as_str() } } });
                old = merged(&old, &patch);
            }
            let mut request = request(new, Some(old), user, manager);
            request.dry_run = dry_run;
            request
        })
}

/// Any request: created, updated, odd.
pub fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        create(),
        update(),
        update(),
        (odd_job(), prop::option::of(odd_job())).prop_map(|(job, old)| request(
            job,
            old,
            "alice",
            Some("kubectl")
        )),
    ]
}

pub fn merged(base: &Value, patch: &Value) -> Value {
    let mut result = base.clone();
    json_patch::merge(&mut result, patch);
    result
}
