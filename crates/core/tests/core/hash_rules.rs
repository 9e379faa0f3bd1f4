//! The rules of the normal form, one by one.
use rejob_core::job::{TemplateHash, immutable_part};
use serde_json::{Value, json};

/// A Job with that container; its name and image are filled in.
fn with_container(mut container: Value) -> Value {
    for (field, value) in [("name", "app"), ("image", "app:1")] {
        container.as_object_mut().unwrap().entry(field).or_insert(json!(value));
    }
    json!({ "spec": { "template": { "spec": {
        "restartPolicy": "Never", "containers": [container]
    }}}})
}

/// A Job with those fields in its `spec`.
fn with_spec(fields: Value) -> Value {
    let mut job = with_container(json!({}));
    job["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    job
}

/// A Job with those fields in its Pod's spec.
fn with_pod(fields: Value) -> Value {
    let mut job = with_container(json!({}));
    let pod = job["spec"]["template"]["spec"].as_object_mut().unwrap();
    pod.extend(fields.as_object().unwrap().clone());
    job
}

#[track_caller]
fn same(a: &Value, b: &Value) {
    assert_eq!(immutable_part(a), immutable_part(b));
    assert_eq!(TemplateHash::of(a), TemplateHash::of(b));
}

#[track_caller]
fn differ(a: &Value, b: &Value) {
    assert_ne!(TemplateHash::of(a), TemplateHash::of(b), "{a} and {b}");
}

fn cpu(value: Value) -> Value {
    with_container(json!({ "resources": { "limits": { "cpu": value } } }))
}

fn size(value: Value) -> Value {
    with_pod(json!({ "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": value } }] }))
}

#[test]
fn a_hash_is_ten_characters_that_may_end_a_name() {
    let hash = TemplateHash::of(&with_container(json!({})));
    assert_eq!(hash.as_str().len(), 10);
    assert!(hash.as_str().bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b)), "{hash}");
    assert_eq!(TemplateHash::parse(hash.as_str()), Some(hash));
    for not_one in ["", "bcdfghjklm2", "bcdfghjkl", "aaaaaaaaaa", "BCDFGHJKLM", "bcdfghjkl-"] {
        assert_eq!(TemplateHash::parse(not_one), None, "{not_one:?}");
    }
}

#[test]
fn the_hash_of_a_job_stays_the_same_from_release_to_release() {
    // A different value here re-runs the Jobs of everyone who upgrades: never for a refactoring.
    assert_eq!(TemplateHash::of(&with_container(json!({}))).as_str(), "rddzm4mblh");
    assert_eq!(TemplateHash::of(&json!({})).as_str(), "zb4f62sm8m");
}

#[test]
fn an_object_that_is_no_job_has_a_hash_too() {
    for odd in
        [json!(null), json!([]), json!({ "spec": null }), json!({ "spec": { "template": 1 } })]
    {
        assert_eq!(TemplateHash::of(&odd).as_str().len(), TemplateHash::LEN);
    }
    same(&json!({}), &json!({ "spec": null }));
}

#[test]
fn equal_amounts_hash_alike() {
    let amounts: &[&[Value]] = &[
        &[
            json!("1"),
            json!(1),
            json!(1.0),
            json!("1000m"),
            json!("+1"),
            json!("001.00"),
            json!("1e0"),
        ],
        &[json!("0.5"), json!(0.5), json!("500m"), json!(".5"), json!("5e-1"), json!("500000u")],
        &[json!("0"), json!(0), json!("0m"), json!("0Ki"), json!("-0")],
        &[json!("1Gi"), json!("1024Mi"), json!(1_073_741_824), json!("1048576Ki")],
        &[json!("1G"), json!("1e9"), json!("1E9"), json!(1e9), json!("1000M"), json!("1000000k")],
        &[json!("1E"), json!("1000P"), json!("1e18")],
        &[json!("1.5Gi"), json!("1536Mi")],
        &[json!("-1"), json!(-1), json!("-1000m")],
    ];
    for (index, spellings) in amounts.iter().enumerate() {
        for spelling in *spellings {
            same(&cpu(spellings[0].clone()), &cpu(spelling.clone()));
            same(&size(spellings[0].clone()), &size(spelling.clone()));
        }
        for other in amounts.iter().skip(index + 1) {
            differ(&cpu(spellings[0].clone()), &cpu(other[0].clone()));
        }
    }
}

#[test]
fn amounts_of_resources_are_rounded_up_to_the_milli_and_others_to_the_nano() {
    same(&cpu(json!("100u")), &cpu(json!("1m")));
    same(&cpu(json!("1001u")), &cpu(json!("2m")));
    same(&cpu(json!("-1001u")), &cpu(json!("-2m")));
    differ(&size(json!("100u")), &size(json!("1m")));
    same(&size(json!("0.0000000001")), &size(json!("1n")));
    same(&size(json!("1e-30")), &size(json!("1n")));
}

#[test]
fn binary_amounts_are_capped_and_decimal_ones_are_not() {
    same(&cpu(json!("8Ei")), &cpu(json!("9223372036854775807")));
    same(&cpu(json!("16Ei")), &cpu(json!("8Ei")));
    differ(&cpu(json!("10E")), &cpu(json!("11E")));
}

#[test]
fn what_is_no_amount_is_kept() {
    let odd = [
        "",
        "x",
        "1e3k",
        "1 Gi",
        "1ki",
        "--1",
        "1e",
        "e5",
        ".",
        "0x10",
        "1e99999999999",
        "99999999999999999999999999999999999999999",
    ];
    for (index, text) in odd.iter().enumerate() {
        let part = immutable_part(&cpu(json!(text)));
        let pointer = "/template/spec/containers/0/resources/limits/cpu";
        assert_eq!(part.pointer(pointer), Some(&json!(text)));
        for other in odd.iter().skip(index + 1) {
            differ(&cpu(json!(text)), &cpu(json!(other)));
        }
    }
}

#[test]
fn the_pull_policy_counts_where_it_is_not_the_default_of_the_image() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let always = [
        "busybox",
        "busybox:latest",
        "a/b/c",
        "localhost:5000/app",
        "localhost/app",
        "Host/app",
        "[::1]:5000/app:latest",
        "a__b/c--d.e_f",
        "a.b.c/d",
        "docker.io/a",
        &format!("busybox:latest@{digest}"),
        &"x".repeat(247),
        &format!("h.io/{}", "x".repeat(255)),
    ];
    let if_not_present = [
        "busybox:1",
        "busybox:Latest",
        "busybox:latest2",
        "localhost:5000",
        "h:5000/app:v1",
        &format!("busybox@{digest}"),
        &format!("busybox:1@{digest}"),
        // What does not parse has no tag.
        "",
        "Busybox",
        "Busybox:latest",
        "a b",
        "a___b",
        "-a",
        "a-",
        "a//b",
        "/a",
        "a/",
        "a:",
        "h:x/app",
        "busybox@sha256:abc",
        &"0123456789abcdef".repeat(4),
        "[::1/app",
        "-h.io/app",
        "a/B",
        // `library/` is part of the length.
        &"x".repeat(248),
        &format!("h.io/{}", "x".repeat(256)),
    ];
    let job = |image: &str, policy: Option<&str>| {
        with_container(json!({ "image": image, "imagePullPolicy": policy }))
    };
    for (images, default, other) in
        [(&always[..], "Always", "IfNotPresent"), (&if_not_present[..], "IfNotPresent", "Always")]
    {
        for image in images {
            same(&job(image, None), &job(image, Some(default)));
            differ(&job(image, None), &job(image, Some(other)));
            differ(&job(image, None), &job(image, Some("Never")));
        }
    }
}

#[test]
fn completions_default_to_one_only_where_parallelism_is_absent_too() {
    same(&with_spec(json!({})), &with_spec(json!({ "completions": 1 })));
    same(&with_spec(json!({})), &with_spec(json!({ "completions": 1, "parallelism": 1 })));
    same(&with_spec(json!({})), &with_spec(json!({ "completions": null, "parallelism": null })));
    // A work queue.
    differ(&with_spec(json!({})), &with_spec(json!({ "parallelism": 1 })));
    same(&with_spec(json!({ "parallelism": 1 })), &with_spec(json!({ "parallelism": 5 })));
    differ(&with_spec(json!({})), &with_spec(json!({ "completions": 0 })));
}

#[test]
fn what_may_change_does_not_count() {
    let mutable = json!({
        "parallelism": 3, "completions": 1, "backoffLimit": 2, "activeDeadlineSeconds": 5,
        "ttlSecondsAfterFinished": 5, "suspend": true, "podReplacementPolicy": "Failed",
        "maxFailedIndexes": 1, "manualSelector": false,
    });
    same(&with_spec(json!({})), &with_spec(mutable));
    let mut named = with_spec(json!({}));
    named["metadata"] = json!({ "name": "x", "labels": { "a": "b" } });
    named["status"] = json!({ "active": 1 });
    same(&with_spec(json!({})), &named);
}

#[test]
fn every_immutable_field_counts() {
    for field in [
        json!({ "completions": 2 }),
        json!({ "completionMode": "Indexed" }),
        json!({ "podFailurePolicy": { "rules": [] } }),
        json!({ "successPolicy": { "rules": [] } }),
        json!({ "backoffLimitPerIndex": 0 }),
        json!({ "managedBy": "kubernetes.io/job-controller" }),
        json!({ "scheduling": { "schedulingPolicy": { "basic": {} } } }),
        json!({ "selector": { "matchLabels": { "a": "b" } } }),
    ] {
        differ(&with_spec(json!({})), &with_spec(field));
    }
}

#[test]
fn generated_labels_and_the_selector_by_them_do_not_count() {
    let mut stored = with_spec(json!({
        "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": "u" } }
    }));
    let labels = json!({
        "controller-uid": "u", "job-name": "n",
        "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "n",
    });
    stored["spec"]["template"]["metadata"] = json!({ "labels": labels });
    same(&with_spec(json!({})), &stored);
    // In annotations they are the user's own.
    stored["spec"]["template"]["metadata"]["annotations"] = json!({ "job-name": "n" });
    differ(&with_spec(json!({})), &stored);
}

#[test]
fn with_a_manual_selector_everything_counts() {
    let manual = |selector: &str, label: &str| {
        let mut job = with_spec(json!({
            "manualSelector": true, "selector": { "matchLabels": { "job-name": selector } }
        }));
        job["spec"]["template"]["metadata"] = json!({ "labels": { "job-name": label } });
        job
    };
    differ(&manual("a", "a"), &manual("b", "a"));
    differ(&manual("a", "a"), &manual("a", "b"));
}

#[test]
fn a_pointer_to_nothing_is_not_the_same_as_no_pointer() {
    for (name, empty) in [
        ("affinity", json!({})),
        ("dnsConfig", json!({})),
        ("resources", json!({})),
        ("enableServiceLinks", json!(true)),
        ("automountServiceAccountToken", json!(false)),
        ("shareProcessNamespace", json!(false)),
        ("hostUsers", json!(true)),
        ("priority", json!(0)),
        ("runtimeClassName", json!("")),
    ] {
        let mut fields = serde_json::Map::new();
        fields.insert(name.to_owned(), empty);
        differ(&with_pod(json!({})), &with_pod(Value::Object(fields)));
    }
    differ(&with_container(json!({})), &with_container(json!({ "securityContext": {} })));
    differ(&with_container(json!({})), &with_container(json!({ "lifecycle": {} })));
}

#[test]
fn an_empty_selector_matches_everything_and_none_matches_nothing() {
    let term = |term: Value| {
        with_pod(json!({ "affinity": { "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [term]
        }}}))
    };
    let none = term(json!({ "topologyKey": "z" }));
    differ(&none, &term(json!({ "topologyKey": "z", "labelSelector": {} })));
    differ(&none, &term(json!({ "topologyKey": "z", "namespaceSelector": {} })));
    same(&none, &term(json!({ "topologyKey": "z", "labelSelector": null, "namespaces": [] })));
    same(
        &term(json!({ "topologyKey": "z", "labelSelector": {} })),
        &term(json!({ "topologyKey": "z", "labelSelector": { "matchLabels": {} } })),
    );
}

#[test]
fn a_port_by_number_is_not_a_port_by_name() {
    let probe =
        |port: Value| with_container(json!({ "livenessProbe": { "tcpSocket": { "port": port } } }));
    differ(&probe(json!(80)), &probe(json!("80")));
    same(&probe(json!(80)), &probe(json!(80.0)));
    differ(&probe(json!("")), &probe(json!(0)));
}

#[test]
fn what_users_named_is_never_looked_into() {
    for value in ["", "TCP", "1000m", "ClusterFirst", "IfNotPresent"] {
        let env = with_container(json!({ "env": [{ "name": "protocol", "value": value }] }));
        let mut labels = with_container(json!({}));
        labels["spec"]["template"]["metadata"] = json!({ "labels": { "protocol": value } });
        let select = with_pod(json!({ "nodeSelector": { "dnsPolicy": value } }));
        let csi = with_pod(json!({ "volumes": [{ "name": "v", "csi": {
            "driver": "d", "volumeAttributes": { "fsType": value }
        }}]}));
        for job in [env, labels, select, csi] {
            let text = immutable_part(&job).to_string();
            let kept = text.contains(&format!(":{}", json!(value)));
            // An empty `value` of a variable is the one thing here that is the schema's own.
            assert_eq!(kept, !(value.is_empty() && text.contains("\"env\"")), "{text}");
        }
    }
}

#[test]
fn fields_that_no_table_knows_count() {
    differ(&with_pod(json!({})), &with_pod(json!({ "futureField": {} })));
    differ(&with_container(json!({})), &with_container(json!({ "futureField": false })));
    same(&with_pod(json!({})), &with_pod(json!({ "futureField": null })));
    let volume = |source: Value| with_pod(json!({ "volumes": [source] }));
    differ(&volume(json!({ "name": "v" })), &volume(json!({ "name": "v", "futureDisk": {} })));
}

#[test]
fn fields_behind_feature_gates_are_modeled_too() {
    let hook = |signal| with_container(json!({ "lifecycle": { "stopSignal": signal } }));
    differ(&hook("SIGUSR1"), &hook("SIGTERM"));
    let projected = |source: Value| {
        with_pod(json!({ "volumes": [{ "name": "v", "projected": { "sources": [source] } }] }))
    };
    same(
        &projected(json!({ "clusterTrustBundle": { "path": "p", "name": "n", "optional": null } })),
        &projected(json!({ "clusterTrustBundle": { "path": "p", "name": "n" } })),
    );
}

#[test]
fn the_order_of_items_counts_and_that_of_keys_does_not() {
    let args = |args: Value| with_container(json!({ "args": args }));
    differ(&args(json!(["a", "b"])), &args(json!(["b", "a"])));
    let a: Value = serde_json::from_str(r#"{"spec":{"template":{"spec":{"a":1,"b":2}}}}"#).unwrap();
    let b: Value = serde_json::from_str(r#"{"spec":{"template":{"spec":{"b":2,"a":1}}}}"#).unwrap();
    same(&a, &b);
}

#[test]
fn a_number_that_is_written_and_read_again_is_the_same() {
    for number in ["316666666666666666666666666666666666666666666", "0.1", "1.7976931348623157e308"]
    {
        let text = format!("{{\"spec\": {{\"template\": {{\"unknown\": {number}}}}}}}");
        let read: Value = serde_json::from_str(&text).unwrap();
        let again: Value = serde_json::from_str(&read.to_string()).unwrap();
        assert_eq!(TemplateHash::of(&again), TemplateHash::of(&read), "{number}");
    }
}
