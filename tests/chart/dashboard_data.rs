//! The dashboard on the metrics of a real server under real requests: every panel has something to
//! show. promtool evaluates the panels' expressions, as Prometheus would for Grafana.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};

use serde_json::{Value, json};

use super::monitoring::dashboard;
use super::tools;
use support::namespace::Namespace;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

/// One round of what the panels show: reviews, a replacement, an HTTP error, a failed handshake.
fn round(rejob: &Rejob<'_>, namespace: &Namespace, number: usize) {
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "nightly" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "a", "image": format!("a:{number}") }],
        }}},
    });
    let path = namespace.job_path("nightly");
    namespace.user().apply(&format!("{path}?fieldManager=test&force=true"), &job).ok();
    namespace.user().get(&path).ok();
    assert_eq!(rejob.outsider().post("/nowhere", &json!({})).status, 404);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, rejob.port())).expect("connect");
    stream.write_all(b"not TLS\r\n\r\n").expect("write");
}

/// Series, as promtool writes them, to values.
fn samples(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    let target = "instance=\"a\",job=\"rejob\"";
    let named = |series: &str| match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{{target},{labels}"),
        None => format!("{series}{{{target}}}"),
    };
    pairs.map(|(series, value)| (named(series), value.to_owned())).collect()
}

fn failed_handshakes(text: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix("rejob_tls_handshake_failures_total "));
    line.and_then(|value| value.parse().ok()).expect("a count")
}

#[test]
#[ignore = "needs promtool on PATH (Debian: apt-get install prometheus)"]
fn every_panel_has_something_to_show() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let scrapes: Vec<_> = (0..3)
        .map(|number| {
            let before = failed_handshakes(&rejob.metrics());
            round(&rejob, &namespace, number);
            wait::until("the failed handshake is counted", || {
                let text = rejob.metrics();
                (failed_handshakes(&text) > before).then(|| samples(&text))
            })
        })
        .collect();
    let series = scrapes[2].keys().map(|series| {
        let value = |scrape: &BTreeMap<String, String>| scrape.get(series).cloned();
        let values: Vec<_> = scrapes.iter().map(|s| value(s).unwrap_or("_".to_owned())).collect();
        json!({ "series": series, "values": values.join(" ") })
    });

    let mut tests = Vec::new();
    let dashboard = dashboard();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            // As Grafana fills them in.
            let filled = [
                ("$cluster", ".*"),
                ("$namespace", ".*"),
                ("$policy", ".*"),
                ("$__rate_interval", "2m"),
                ("$__range", "2m"),
            ]
            .iter()
            .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
            assert!(!filled.contains('$'), "{filled}");
            // No sample and no number both count as nothing.
            tests.push(json!({
                "expr": format!("count(({filled}) >= 0) > bool 0"),
                "eval_time": "1m",
                "exp_samples": [{ "labels": "{}", "value": 1 }],
            }));
        }
    }
    assert!(tests.len() > 20, "{}", tests.len());
    let file = json!({
        "evaluation_interval": "30s",
        "tests": [{ "interval": "30s", "input_series": series.collect::<Value>(), "promql_expr_test": tests }],
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dashboard.yaml");
    std::fs::write(&path, file.to_string()).expect("write");
    tools::run("promtool", &["test", "rules", path.to_str().unwrap()]).ok();
}
