//! Laws of the template hash, for Jobs that nobody wrote.
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use rejob_core::job::{TemplateHash, changes, immutable_part};
use serde_json::{Map, Value, json};

/// The manifests of `tests/cases/hash` with their stored forms.
static CASES: LazyLock<Vec<(Value, Value)>> = LazyLock::new(|| {
    let folder = crate::root().join("tests/cases/hash");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let manifests = files.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    manifests
        .map(|path| {
            let stored = serde_json::from_str(&read(&path.with_extension("stored.json"))).unwrap();
            (serde_saphyr::from_str(&read(path)).unwrap(), stored)
        })
        .collect()
});

/// Something between a manifest and its stored form: at each place where they differ, `coin` says
/// which of them is followed.
fn between(manifest: &Value, stored: &Value, coin: &mut impl FnMut() -> bool) -> Value {
    match (manifest, stored) {
        (Value::Object(a), Value::Object(b)) => {
            let mut out = Map::new();
            for key in a.keys().chain(b.keys()) {
                let value = match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => Some(between(a, b, coin)),
                    (a, b) => if coin() { a } else { b }.cloned(),
                };
                if let Some(value) = value {
                    out.insert(key.clone(), value);
                }
            }
            Value::Object(out)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| between(a, b, coin)).collect()
        }
        (a, b) => if coin() { a } else { b }.clone(),
    }
}

/// JSON text with the keys of each object in an order that `coin` chooses.
fn shuffled(value: &Value, coin: &mut impl FnMut() -> bool) -> String {
    match value {
        Value::Object(fields) => {
            let mut parts: Vec<String> = Vec::new();
            for (key, inner) in fields {
                let part = format!("{} : {}", Value::from(key.as_str()), shuffled(inner, coin));
                if coin() { parts.push(part) } else { parts.insert(0, part) }
            }
            format!("{{ {} }}", parts.join(" , "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shuffled(item, coin)).collect();
            format!("[ {} ]", items.join(" , "))
        }
        _ => value.to_string(),
    }
}

fn coin_of(bits: Vec<bool>) -> impl FnMut() -> bool {
    let mut bits = bits.into_iter().cycle();
    move || bits.next().unwrap_or_default()
}

fn bits() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 1..199)
}

/// JSON whose keys are often the schema's, so that it often has the schema's shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "", "a", "1", "1000m", "1Ki", "TCP", "a:latest", "Always", "True"
        ])
        .prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "template",
        "metadata",
        "labels",
        "annotations",
        "spec",
        "containers",
        "name",
        "image",
        "imagePullPolicy",
        "env",
        "value",
        "valueFrom",
        "fieldRef",
        "ports",
        "containerPort",
        "protocol",
        "resources",
        "limits",
        "cpu",
        "volumes",
        "emptyDir",
        "secret",
        "items",
        "path",
        "livenessProbe",
        "httpGet",
        "port",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "selector",
        "matchLabels",
        "job-name",
        "completions",
        "parallelism",
        "manualSelector",
        "podFailurePolicy",
        "rules",
        "onPodConditions",
        "status",
        "tolerations",
    ]);
    leaf.prop_recursive(8, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A Job with any fields at all in the places that are looked at.
fn any_job() -> impl Strategy<Value = Value> {
    let container = (any_json(), any_json(), any_json(), any_json()).prop_map(|(a, b, c, d)| {
        json!({ "name": "app", "image": a, "env": [{ "name": "A", "value": b }], "ports": c, "resources": d })
    });
    (any_json(), any_json(), any_json(), container, any::<bool>()).prop_map(
        |(spec, metadata, volumes, container, manual)| {
            let mut job = json!({ "spec": {
                "manualSelector": manual,
                "template": { "metadata": metadata, "spec": {
                    "containers": [container], "volumes": volumes
                }}
            }});
            if let (Some(fields), Value::Object(more)) = (job["spec"].as_object_mut(), spec) {
                fields.extend(more);
            }
            job
        },
    )
}

proptest! {
    #[test]
    fn any_part_of_the_defaults_may_be_written_out(
        case in any::<prop::sample::Index>(), bits in bits()
    ) {
        let (manifest, stored) = case.get(&CASES);
        let mut job = between(manifest, stored, &mut coin_of(bits));
        // Parallelism alone would be another Job, a work queue.
        for field in ["completions", "parallelism"] {
            if manifest["spec"].get(field).is_none_or(Value::is_null) {
                job["spec"].as_object_mut().unwrap().remove(field);
            }
        }
        prop_assert_eq!(immutable_part(&job), immutable_part(manifest));
        prop_assert_eq!(TemplateHash::of(&job), TemplateHash::of(manifest));
        prop_assert_eq!(changes(&job, stored), vec![]);
    }

    #[test]
    fn the_order_of_keys_does_not_matter(case in any::<prop::sample::Index>(), bits in bits()) {
        let (manifest, _) = case.get(&CASES);
        let text = shuffled(manifest, &mut coin_of(bits));
        let job = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(TemplateHash::of(&job), TemplateHash::of(manifest));
    }

    #[test]
    fn another_image_argument_or_variable_is_another_hash(
        case in any::<prop::sample::Index>(), text in "[a-z]{1,9}", which in 0..3_usize
    ) {
        let (_, stored) = case.get(&CASES);
        let mut job = stored.clone();
        let app = &mut job["spec"]["template"]["spec"]["containers"][0];
        match which {
            0 => app["image"] = Value::from(format!("{}-{text}", app["image"].as_str().unwrap())),
            1 => {
                let mut args = app["args"].as_array().cloned().unwrap_or_default();
                args.push(Value::from(text));
                app["args"] = Value::from(args);
            }
            _ => {
                let mut env = app["env"].as_array().cloned().unwrap_or_default();
                env.push(json!({ "name": format!("NEW_{text}"), "value": "" }));
                app["env"] = Value::from(env);
            }
        }
        prop_assert_ne!(TemplateHash::of(&job), TemplateHash::of(stored));
        prop_assert!(!changes(stored, &job).is_empty());
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form(job in any_job()) {
        let part = immutable_part(&job);
        let mut again = json!({ "spec": part });
        for field in ["manualSelector", "parallelism"] {
            again["spec"][field] = job["spec"][field].clone();
        }
        prop_assert_eq!(immutable_part(&again), part);
    }

    #[test]
    fn two_jobs_hash_alike_exactly_where_nothing_changed(a in any_job(), b in any_job()) {
        let mut b = b;
        b["spec"]["manualSelector"] = a["spec"]["manualSelector"].clone();
        let same = TemplateHash::of(&a) == TemplateHash::of(&b);
        let told = changes(&a, &b);
        prop_assert_eq!(same, told.is_empty(), "{:?}", told);
        prop_assert_eq!(changes(&a, &a), vec![]);
        for change in told {
            prop_assert_ne!(&change.old, &change.new);
            prop_assert!(!change.describe().chars().any(char::is_control));
        }
    }
}
