//! Alerts and dashboard: every metric they name is one that the server exports, with those labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::render::{ci_objects, file, of_kind, the};
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

/// Every PromQL expression of alerts and dashboard.
pub fn expressions() -> Vec<String> {
    let alerts = serde_saphyr::from_str(&file("files/alerts.yaml")).expect("alerts are YAML");
    let mut found = expressions_of(&alerts);
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
                assert!(known.contains(&label), "{name} has no label {label}: {expression}");
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

#[test]
fn the_rendered_rule_and_dashboard_are_the_files() {
    let objects = ci_objects("full");
    let alerts: Value = serde_saphyr::from_str(&file("files/alerts.yaml")).unwrap();
    assert_eq!(the(&objects, "PrometheusRule")["spec"], alerts);
    let maps = of_kind(&objects, "ConfigMap");
    let dashboard_text =
        maps.iter().find_map(|map| map["data"]["rejob.json"].as_str()).expect("a dashboard");
    assert_eq!(serde_json::from_str::<Value>(dashboard_text).unwrap(), dashboard());
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
    let alerts = super::render::chart().join("files/alerts.yaml");
    tools::run("promtool", &["check", "rules", alerts.to_str().unwrap()]).ok();
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/alerts_test.yaml");
    tools::run("promtool", &["test", "rules", tests]).ok();
}
