//! Alerts and dashboard: every metric they name is one that the server exports, with those labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::render::{ci_objects, file, objects_with, of_kind, the};
use super::tools;

/// Name to labels of every metric in `docs/metrics.md`, which is made from the code.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md");
    let quoted =
        |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `rejob_") || line.starts_with("| `process_"));
    let metrics: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').collect();
            (quoted(cells[1])[0].clone(), quoted(cells[3]).into_iter().collect())
        })
        .collect();
    assert!(metrics.len() > 8, "{metrics:?}");
    metrics
}

/// Metrics that are not rejob's: name and labels. That the API server exports them is tested in
/// `apiserver_metrics.rs`.
pub const FOREIGN: [(&str, &[&str]); 2] = [
    ("apiserver_admission_webhook_fail_open_count", &["name", "type"]),
    (
        "apiserver_admission_webhook_rejection_count",
        &["name", "type", "operation", "error_type", "rejection_code"],
    ),
];

/// Labels that Prometheus gives to all metrics of a target.
const TARGET: [&str; 2] = ["cluster", "namespace"];

/// Name to labels of every metric that an expression may use.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let labels = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
    let foreign = FOREIGN.map(|(name, of)| (name.to_owned(), labels(of)));
    documented().into_iter().chain(foreign).collect()
}

/// Every PromQL expression in an object.
fn expressions_of(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == "expr" || key == "definition" => vec![text.clone()],
                value => expressions_of(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(expressions_of).collect(),
        _ => Vec::new(),
    }
}

/// The dashboard.
pub fn dashboard() -> Value {
    serde_json::from_str(&file("files/dashboard.json")).expect("the dashboard is JSON")
}

/// The alerts as they are rendered for values.
fn alerts(values: &str) -> Value {
    let values = format!("metrics: {{prometheusRule: {{enabled: true, {values}}}}}");
    the(&objects_with(&values), "PrometheusRule")["spec"].clone()
}

/// Every PromQL expression of alerts and dashboard.
pub fn expressions() -> Vec<String> {
    let mut found = expressions_of(&alerts(""));
    found.extend(expressions_of(&dashboard()));
    assert!(found.len() > 25, "{}", found.len());
    found
}

/// The metrics of an expression, each with the labels it is selected by.
fn metrics(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) =
        ["rejob_", "process_", "apiserver_"].iter().filter_map(|prefix| rest.find(prefix)).min()
    {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let selector = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map_or("", |(inside, _)| inside);
        let labels = selector.split("\",").filter_map(|matcher| matcher.split_once(['=', '!']));
        found.push((name, labels.map(|(label, _)| label.trim().to_owned()).collect()));
    }
    found
}

#[test]
fn every_metric_and_label_of_alerts_and_dashboard_is_exported() {
    let exported = exported();
    for expression in expressions() {
        let metrics = metrics(&expression);
        assert!(!metrics.is_empty(), "no metric in {expression}");
        for (name, labels) in metrics {
            let base = name.strip_suffix("_bucket").unwrap_or(&name);
            let known = exported
                .get(base)
                .unwrap_or_else(|| panic!("{name} is not exported: {expression}"));
            for label in labels {
                let known = known.contains(&label) || TARGET.contains(&label.as_str());
                assert!(known, "{name} has no label {label}: {expression}");
            }
        }
    }
}

#[test]
fn every_grouping_label_is_one_of_the_metrics_labels() {
    let exported = exported();
    for expression in expressions() {
        let known: BTreeSet<_> = metrics(&expression)
            .iter()
            .filter_map(|(name, _)| exported.get(name.strip_suffix("_bucket").unwrap_or(name)))
            .flatten()
            .cloned()
            .chain(["le", "instance", "job", ""].map(str::to_owned))
            .chain(TARGET.map(str::to_owned))
            .collect();
        for group in expression.split("by (").skip(1).chain(expression.split("on (").skip(1)) {
            for label in group.split(')').next().unwrap().split(',') {
                assert!(known.contains(label.trim()), "{label:?} in {expression}");
            }
        }
    }
}

#[test]
fn every_reason_of_an_alert_is_one_of_the_servers() {
    let mut seen = 0;
    for expression in expressions() {
        for matcher in expression.split("reason=").skip(1) {
            let value = matcher.trim_start_matches('~').split('"').nth(1).unwrap();
            for reason in value.split('|') {
                assert!(rejob::reason::Reason::from_label(reason).is_some(), "{reason}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 4);
}

/// The rules of a rendered PrometheusRule.
fn rules(spec: &Value) -> &Vec<Value> {
    spec["groups"][0]["rules"].as_array().expect("rules")
}

fn names(spec: &Value) -> Vec<&str> {
    rules(spec).iter().map(|rule| rule["alert"].as_str().unwrap()).collect()
}

#[test]
fn every_alert_has_values_of_its_own_and_every_value_an_alert() {
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let values = &values["metrics"]["prometheusRule"]["alerts"];
    let spec = alerts("");
    let mut tuned: Vec<_> = values.as_object().unwrap().keys().map(String::as_str).collect();
    let mut known = names(&spec);
    tuned.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, tuned);
    let page = include_str!("../../docs/operate/runbook.md");
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### Rejob")).collect();
    assert_eq!(sections.len(), known.len(), "a section for each alert, and no other: {sections:?}");
    for rule in rules(&spec) {
        let name = rule["alert"].as_str().unwrap();
        assert!(!rule["expr"].as_str().unwrap().contains("$threshold"), "{name}");
        assert_eq!(rule["for"], values[name]["for"], "{name}");
        assert_eq!(rule["labels"]["severity"], values[name]["severity"], "{name}");
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let (file, anchor) = runbook.rsplit_once('#').unwrap();
        assert!(file.ends_with("docs/operate/runbook.md"), "{file}");
        assert_eq!(anchor, name.to_lowercase());
        assert!(sections.contains(&name.trim_start_matches("Rejob")), "no section {name}");
    }
}

#[test]
fn each_alert_can_be_switched_off_and_tuned_alone() {
    let all = alerts("");
    for rule in rules(&all) {
        let name = rule["alert"].as_str().unwrap();
        let others: Vec<_> = names(&all).into_iter().filter(|other| *other != name).collect();
        let off = alerts(&format!("alerts: {{{name}: {{enabled: false}}}}"));
        assert_eq!(names(&off), others);
        let tuned = alerts(&format!("alerts: {{{name}: {{for: 3h, severity: page}}}}"));
        for (tuned, before) in rules(&tuned).iter().zip(rules(&all)) {
            let mut expected = before.clone();
            if before["alert"] == name {
                expected["for"] = "3h".into();
                expected["labels"]["severity"] = "page".into();
            }
            assert_eq!(*tuned, expected);
        }
        let has_threshold = super::schema::schema()
            .pointer("/properties/metrics/properties/prometheusRule/properties/alerts/properties")
            .unwrap()[name]["$ref"]
            == "#/definitions/alertWithThreshold";
        if has_threshold {
            let tuned = alerts(&format!("alerts: {{{name}: {{threshold: 12345}}}}"));
            let mut changed =
                rules(&tuned).iter().zip(rules(&all)).filter(|(tuned, before)| tuned != before);
            let (tuned, _) = changed.next().expect("a change");
            assert!(tuned["expr"].as_str().unwrap().contains(" 12345"), "{tuned}");
            assert!(changed.next().is_none());
        }
    }
    let bare = alerts("runbookBaseURL: ''");
    assert!(rules(&bare).iter().all(|rule| rule["annotations"].get("runbook_url").is_none()));
}

#[test]
fn the_dashboard_is_the_file_and_every_query_asks_for_cluster_and_namespace() {
    let objects = ci_objects("full");
    let maps = of_kind(&objects, "ConfigMap");
    let dashboard_text =
        maps.iter().find_map(|map| map["data"]["rejob.json"].as_str()).expect("a dashboard");
    assert_eq!(serde_json::from_str::<Value>(dashboard_text).unwrap(), dashboard());
    let variables = dashboard()["templating"]["list"].as_array().unwrap().clone();
    for name in TARGET {
        let variable = variables.iter().find(|variable| variable["name"] == name).expect(name);
        // A Prometheus of one cluster alone has no such label.
        assert_eq!(variable["allValue"], ".*", "{name}");
    }
    for expression in expressions_of(&dashboard()["panels"]) {
        for (name, labels) in metrics(&expression) {
            assert!(TARGET.iter().all(|label| labels.iter().any(|has| has == label)), "{name}");
        }
    }
}

#[test]
fn the_panels_do_not_overlap_and_have_ids_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24);
        // Grafana's schema has no default for it.
        let legend = &panel["options"]["legend"];
        assert!(
            panel["type"] != "timeseries" || legend["showLegend"] == true,
            "{}",
            panel["title"]
        );
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{} overlaps", panel["title"]);
            }
        }
    }
}

#[test]
#[ignore = "needs promtool on PATH (Debian: apt-get install prometheus)"]
fn promtool_accepts_the_alerts_and_they_fire_as_their_tests_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("write");
        path.display().to_string()
    };
    let rules = write("alerts.yaml", &alerts("runbookBaseURL: ''").to_string());
    let tests = write("alerts_test.yaml", include_str!("alerts_test.yaml"));
    tools::run("promtool", &["check", "rules", &rules]).ok();
    tools::run("promtool", &["test", "rules", &tests]).ok();
}
