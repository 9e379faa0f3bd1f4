//! The table of values in the chart's README is made from the comments of `values.yaml`, and the page
//! of alerts from the alerts.

use std::fmt::Write as _;

use serde_json::Value;

use super::render::{chart, file};

const BEGIN: &str =
    "<!-- values: begin (made from values.yaml by `UPDATE_DOCS=1 cargo test --test chart`) -->\n";
const END: &str = "<!-- values: end -->";

/// A key of `values.yaml` with its comment.
struct Entry {
    path: Vec<String>,
    comment: String,
}

/// Every key, with the comment above it if there is one.
fn entries(text: &str) -> Vec<Entry> {
    let mut stack: Vec<(usize, String)> = Vec::new();
    let mut comment: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim().to_owned());
        } else if line.is_empty() {
            comment.clear();
        } else if let Some((key, _)) = line.split_once(':').filter(|_| !line.starts_with('-')) {
            stack.retain(|(depth, _)| *depth < indent);
            stack.push((indent, key.to_owned()));
            let path = stack.iter().map(|(_, key)| key.clone()).collect();
            entries.push(Entry { path, comment: std::mem::take(&mut comment).join(" ") });
        }
    }
    entries
}

/// The default at that path.
fn default<'a>(values: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(values, |value, key| &value[key.as_str()])
}

fn table() -> String {
    let text = file("values.yaml");
    let values: Value = serde_saphyr::from_str(&text).expect("the values are YAML");
    let entries = entries(&text);
    let mut table = "| key | default | what it does |\n|---|---|---|\n".to_owned();
    for entry in entries.iter().filter(|entry| !entry.comment.is_empty()) {
        let Entry { path, comment } = entry;
        let documented_below = |other: &Entry| {
            other.path.len() > path.len()
                && other.path.starts_with(path)
                && !other.comment.is_empty()
        };
        let default = match default(&values, path) {
            _ if entries.iter().any(documented_below) => String::new(),
            Value::String(text) => format!("`{text:?}`"),
            value => format!("`{value}`"),
        };
        let comment = comment.replace('|', "\\|");
        let _ = writeln!(table, "| `{}` | {default} | {comment} |", path.join("."));
    }
    table
}

#[test]
fn the_table_of_values_is_the_one_that_values_yaml_makes() {
    let path = chart().join("README.md");
    let readme = file("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the begin mark");
    let (_, after) = rest.split_once(END).expect("the end mark");
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("write the README");
    } else {
        assert_eq!(readme, expected, "run UPDATE_DOCS=1 cargo test --test chart");
    }
}

/// A text of an alert without its templates: what Prometheus fills in stands there by its name.
fn plain(text: &str) -> String {
    let mut rest = text.trim();
    let mut plain = String::new();
    let mut label = "";
    while let Some((before, (inside, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        plain.push_str(before);
        match inside.trim().trim_start_matches("with ").strip_prefix("$labels.") {
            Some(of) if inside.contains("with ") => label = of,
            Some(of) => plain.extend(["`", of, "`"]),
            None if inside.trim() == "." => plain.extend(["`", label, "`"]),
            None if inside.trim().starts_with("$value") => plain.push_str("`value`"),
            None => assert_eq!(inside.trim(), "end", "{text}"),
        }
        rest = after;
    }
    plain + rest
}

/// The page of alerts, made from `files/alerts.yaml` and their values.
fn alerts() -> String {
    let alerts: Value = serde_saphyr::from_str(&file("files/alerts.yaml")).expect("alerts");
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).expect("the values are YAML");
    let values = &values["metrics"]["prometheusRule"]["alerts"];
    let mut page = "\
# Alerts

`metrics.prometheusRule.enabled: true` makes a PrometheusRule with these (it needs the Prometheus operator). Each can be
switched off and tuned alone; its `runbook_url` leads to its section of the [runbook](../operate/runbook.md), or to a page of
yours:

```yaml
metrics:
  prometheusRule:
    enabled: true
    runbookBaseURL: https://runbooks.example.com/rejob/
    alerts:
      RejobSheds:
        enabled: false
      RejobSlow:
        threshold: 2.5
        for: 1h
        severity: info
```

Their expressions and the metrics they read: [alerts.yaml](../../charts/rejob/files/alerts.yaml), [metrics.md](../metrics.md).
`RejobPassedOver` and `RejobBlocksJobs` read metrics of the API server, which count the calls that never reach rejob; they are
silent where Prometheus does not read those.

This page is made from the alerts: `UPDATE_DOCS=1 cargo test --test chart`.

| alert | it says | severity | must hold for | threshold |
|---|---|---|---|---|
"
    .to_owned();
    let rules = alerts["rules"].as_array().expect("rules");
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    for rule in rules {
        let name = text(&rule["alert"]);
        let of = &values[&name];
        let threshold = if of["threshold"].is_null() { "-" } else { &of["threshold"].to_string() };
        let (severity, wait) = (text(&of["severity"]), text(&of["for"]));
        let anchor = name.to_lowercase();
        let summary = plain(&text(&rule["annotations"]["summary"]));
        let link = format!("[{name}](../operate/runbook.md#{anchor})");
        let _ = writeln!(page, "| {link} | {summary} | {severity} | {wait} | {threshold} |");
    }
    page
}

#[test]
fn the_page_of_alerts_is_the_one_that_the_alerts_make() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/install/alerts.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, alerts()).expect("write the page");
    }
    let page = std::fs::read_to_string(path).expect("docs/install/alerts.md");
    assert!(!page.contains("{{") && !page.contains("}}") && !page.contains('$'), "{page}");
    assert_eq!(page, alerts(), "run UPDATE_DOCS=1 cargo test --test chart");
}

#[test]
fn every_key_of_values_yaml_is_documented() {
    let text = file("values.yaml");
    let entries = entries(&text);
    for entry in &entries {
        let covers =
            |other: &Entry| entry.path.starts_with(&other.path) && !other.comment.is_empty();
        let is_section = entries.iter().any(|other| {
            other.path.len() > entry.path.len()
                && other.path.starts_with(&entry.path)
                && !other.comment.is_empty()
        });
        assert!(
            is_section || entries.iter().any(covers),
            "{} has no comment",
            entry.path.join(".")
        );
    }
    assert!(entries.len() > 80, "{}", entries.len());
}
