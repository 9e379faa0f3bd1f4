//! Values that nobody thought of: whatever the schema allows either is refused with a sentence, or
//! renders objects that a real API server takes and arguments that the server understands.
//!
//! [`only_the_cluster_knows`] names what neither schema nor chart can judge.

use std::cell::Cell;

use clap::Parser;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::render::{minor, objects, template_named, the};
use super::schema::{resolve, schema};
use support::helm::Helm;
use support::plane::ControlPlane;
use support::user::Answer;

/// An object of the user's.
const EXTRA: &str = r#"{
    "apiVersion": "v1", "kind": "ConfigMap",
    "metadata": { "name": "extra", "namespace": "{{ .Release.Namespace }}" }
}"#;

/// Values where Kubernetes asks for more than their form, or where the cluster decides.
fn only_the_cluster_knows(key: &str) -> Option<BoxedStrategy<Value>> {
    let choices = match key {
        // CEL is compiled by the API server.
        "expression" => vec![json!("true"), json!("object.metadata.name != 'a: b'")],
        // A block begins with its first address, and is without a part of itself: at random that is
        // so rarely that nearly every case would be refused. For IPv6 only the API server tells.
        "cidr" => [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "10.1.2.4/31",
            "10.1.2.3/24",
            "::/0",
            "FD00:1::2/128",
        ]
        .map(Value::from)
        .into(),
        "except" => vec![
            json!([]),
            json!(["10.1.2.4/32"]),
            json!(["fd00:1::/64"]),
            json!(["10.0.0.0/9", "10.128.0.0/9"]),
        ],
        // What Kubernetes defines, in two lists that belong together.
        "extraVolumes" => vec![json!([]), json!([{ "name": "scratch", "emptyDir": {} }])],
        "extraVolumeMounts" => vec![
            json!([]),
            json!([{ "name": "scratch", "mountPath": "/scratch", "subPath": "a/b" }]),
            json!([{ "name": "policies", "mountPath": "/policies" }]),
        ],
        // Whole manifests, with templates in them.
        "extraObjects" => {
            vec![json!([]), json!([EXTRA]), json!([serde_json::from_str::<Value>(EXTRA).unwrap()])]
        }
        // `RequireDualStack` takes a cluster that has it.
        "ipFamilyPolicy" => vec![json!(""), json!("SingleStack"), json!("PreferDualStack")],
        // The chart passes these on as they are.
        "nodeAffinity" => vec![json!({ "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }],
        } })],
        "podAffinity" | "podAntiAffinity" => {
            vec![json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "kubernetes.io/hostname", "labelSelector": {} },
            ] })]
        }
        // The arguments are the server's.
        "extraArgs" => vec![
            json!([]),
            json!(["--max-connections=5", "--idle-timeout=1m"]),
            json!(["--max-connections", "5"]),
            json!(["--log-level", "debug"]),
        ],
        _ => return None,
    };
    Some(prop::sample::select(choices).boxed())
}

/// Any value that the schema allows.
fn valid(root: &Value, node: &Value) -> BoxedStrategy<Value> {
    let node = resolve(root, node);
    if let Some(choices) = node["enum"].as_array() {
        return prop::sample::select(choices.clone()).boxed();
    }
    if let Some(forms) = node["anyOf"].as_array() {
        let forms: Vec<_> = forms.iter().map(|form| valid(root, form)).collect();
        return prop::sample::select(forms).prop_flat_map(|form| form).boxed();
    }
    match node["type"].as_str().unwrap_or("string") {
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => {
            let limit = |bound: &str, default| node[bound].as_i64().unwrap_or(default);
            (limit("minimum", 0)..=limit("maximum", 1000)).prop_map(Value::from).boxed()
        }
        "number" => (0.0..1e6).prop_map(Value::from).boxed(),
        "array" => valid_array(root, node),
        "object" => valid_object(root, node),
        _ => valid_text(node).prop_map(Value::from).boxed(),
    }
}

/// Texts that YAML reads as something else, where they are allowed.
const TRICKY: [&str; 8] = ["yes", "no", "null", "true", "123", "1e3", "0x1f", "1.0"];

fn valid_text(node: &Value) -> BoxedStrategy<String> {
    let Some(pattern) = node["pattern"].as_str() else {
        return prop_oneof![4 => "[ -~]{1,12}", 1 => prop::sample::select(&TRICKY[..]).prop_map(str::to_owned)].boxed();
    };
    let length = |bound: &str, default| {
        node[bound].as_u64().map_or(default, |limit| usize::try_from(limit).unwrap())
    };
    let range = length("minLength", 0)..=length("maxLength", usize::MAX);
    prop::string::string_regex(pattern.trim_start_matches('^').trim_end_matches('$'))
        .unwrap_or_else(|error| panic!("{pattern}: {error}"))
        .prop_filter("the length", move |text| range.contains(&text.len()))
        .boxed()
}

fn valid_array(root: &Value, node: &Value) -> BoxedStrategy<Value> {
    let least = usize::try_from(node["minItems"].as_u64().unwrap_or(0)).unwrap();
    let unique = node["uniqueItems"] == true;
    prop::collection::vec(valid(root, &node["items"]), least..3)
        .prop_map(move |mut items| {
            if unique && items.len() == 2 && items[0] == items[1] {
                items.pop();
            }
            Value::from(items)
        })
        .boxed()
}

fn valid_object(root: &Value, node: &Value) -> BoxedStrategy<Value> {
    let names = |key: &str| -> Vec<&str> {
        node[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let required = names("required");
    let mut object = Just(Map::new()).boxed();
    for (key, child) in node["properties"].as_object().into_iter().flatten() {
        let key = key.clone();
        let value = only_the_cluster_knows(&key).unwrap_or_else(|| valid(root, child));
        let value = if required.contains(&key.as_str()) {
            value.prop_map(Some).boxed()
        } else {
            prop::option::of(value).boxed()
        };
        object = (object, value)
            .prop_map(move |(mut object, value)| {
                object.extend(value.map(|value| (key.clone(), value)));
                object
            })
            .boxed();
    }
    if node["additionalProperties"].is_object() {
        let keys = valid_text(resolve(root, &node["propertyNames"]));
        let values = valid(root, &node["additionalProperties"]);
        return prop::collection::vec((keys, values), 0..3)
            .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>()))
            .boxed();
    }
    let count = |bound: &str, default| {
        node[bound].as_u64().map_or(default, |limit| usize::try_from(limit).unwrap())
    };
    let range = count("minProperties", 0)..=count("maxProperties", usize::MAX);
    object
        .prop_filter("the number of properties", move |object| range.contains(&object.len()))
        .prop_map(Value::from)
        .boxed()
}

/// Some of the chart's values, each at random as a whole; what is left out keeps its default.
fn some_values(root: &Value) -> BoxedStrategy<Value> {
    let keys: Vec<String> = root["properties"].as_object().unwrap().keys().cloned().collect();
    let all = valid(root, root);
    let most = keys.len();
    let few = prop::sample::subsequence(keys.clone(), 1..=4);
    let chosen = prop_oneof![9 => few, 1 => prop::sample::subsequence(keys, most)];
    (all, chosen)
        .prop_map(|(all, chosen)| {
            chosen.into_iter().map(|key| (key.clone(), all[key].clone())).collect()
        })
        .boxed()
}

/// Names as Helm allows them for a release.
fn release() -> BoxedStrategy<String> {
    let dotted = "[a-z][a-z0-9]{0,8}\\.[a-z0-9]{1,8}";
    prop_oneof![
        4 => Just("rejob".to_owned()), 4 => "[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", 1 => dotted
    ]
    .boxed()
}

fn collection(object: &Value) -> String {
    let api = object["apiVersion"].as_str().unwrap();
    let root = if api.contains('/') { "/apis" } else { "/api" };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = if kind.ends_with('y') {
        format!("{}ies", kind.trim_end_matches('y'))
    } else {
        format!("{kind}s")
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/{api}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{api}/{plural}"),
    }
}

/// Asks the API server whether it would take the object, as `kubectl apply --server-side` does.
pub fn dry_run(plane: &ControlPlane, object: &Value) -> Answer {
    let name = object["metadata"]["name"].as_str().unwrap();
    let query = "dryRun=All&fieldValidation=Strict&fieldManager=random&force=true";
    plane.admin().apply(&format!("{}/{name}?{query}", collection(object)), object)
}

/// The kinds of cert-manager and of the Prometheus operator need their own definitions.
pub fn is_foreign(object: &Value) -> bool {
    let api = object["apiVersion"].as_str().unwrap();
    api.starts_with("cert-manager.io/") || api.starts_with("monitoring.coreos.com/")
}

#[test]
fn values_that_the_schema_allows_are_taken_by_the_api_server_or_refused_with_a_sentence() {
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("random", &[]);
    let root = schema();
    let version = format!("1.{}.0", minor());
    let taken = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..ProptestConfig::default()
    });
    let case = (release(), some_values(&root));
    let outcome = runner.run(&case, |(release, values)| {
        let output = template_named(
            Helm::V4_3,
            &release,
            &["--kube-version", &version],
            &values.to_string(),
        );
        if output.code != 0 {
            let sentence = "execution error at (rejob/templates/webhook.yaml";
            prop_assert!(output.stderr.contains(sentence), "{}", output.stderr);
            return Ok(());
        }
        let objects = objects(&output.stdout);
        if values["enabled"] == false {
            prop_assert!(objects.is_empty(), "{}", output.stdout);
            return Ok(());
        }
        for object in objects.iter().filter(|object| !is_foreign(object)) {
            let mut object = object.clone();
            if object["metadata"]["namespace"].is_string() {
                // Into one that exists: a dry run makes none.
                object["metadata"]["namespace"] = json!(namespace.name());
            }
            let answer = dry_run(&plane, &object);
            prop_assert!(answer.status < 300, "{}\n{object}", answer.message());
        }
        let container = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let line = std::iter::once("rejob").chain(args);
        if let Err(error) = rejob::cli::Cli::try_parse_from(line) {
            prop_assert!(false, "{error}");
        }
        taken.set(taken.get() + 1);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // Most are refused for good reasons; were all of them, the test would say nothing.
    assert!(taken.get() >= 5, "only {} of 60 rendered", taken.get());
}
