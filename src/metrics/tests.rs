use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::metrics::MetricType;

use super::*;

/// Metrics in which every series exists.
fn all_used() -> Metrics {
    let metrics = Metrics::new();
    let policy = metrics.policy("ttl");
    policy.reviewed(Operation::Create, Reason::Created, Duration::from_millis(2));
    policy.reviewed(Operation::Update, Reason::Unchanged, Duration::from_millis(2));
    policy.reviewed(Operation::Other, Reason::OtherOperation, Duration::from_millis(2));
    metrics.shed();
    metrics.http_error(404);
    metrics.tls_handshake_failure();
    metrics.replacement(Client::Helm, ReplacementResult::Replaced, Duration::from_millis(20));
    metrics.would_replace("replace", Some(Reason::RunningWait));
    metrics.api_request(ApiVerb::Delete, ApiResource::Jobs, Some(200), Duration::from_millis(3));
    metrics.api_request(ApiVerb::Create, ApiResource::Jobs, None, Duration::from_millis(3));
    metrics.dormant_job_reaped();
    metrics.certificate_expiry(1_800_000_000);
    metrics
}

/// Name -> (kind, label names), read back from the Prometheus text format.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|name| families.contains_key(*name))
                .unwrap_or(name);
            let (_, labels) = families.get_mut(family).unwrap_or_else(|| panic!("no TYPE: {line}"));
            if let Some((inside, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            {
                let names = inside.split(',').map(|label| label.split_once('=').unwrap().0);
                labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
            }
        }
    }
    families
}

#[test]
fn the_exposition_has_exactly_what_the_catalogue_says() {
    let exported = families(&all_used().exposition(Format::Prometheus));
    let described: BTreeMap<_, _> = catalogue::ALL
        .iter()
        .map(|d| {
            let labels = d.labels.iter().map(|label| label.name.to_owned()).collect();
            (d.name.to_owned(), (d.kind.as_str().to_owned(), labels))
        })
        .collect();
    assert_eq!(exported, described);
}

#[test]
fn each_exported_value_is_one_that_the_page_lists() {
    let metrics = all_used();
    for client in Client::ALL {
        for result in ReplacementResult::ALL {
            metrics.replacement(*client, *result, Duration::ZERO);
        }
    }
    for verb in ApiVerb::ALL {
        for resource in ApiResource::ALL {
            metrics.api_request(*verb, *resource, Some(200), Duration::ZERO);
        }
    }
    let text = metrics.exposition(Format::Prometheus);
    for metric in catalogue::ALL {
        for label in metric.labels {
            let catalogue::LabelValues::OneOf(values) = label.values else { continue };
            let begins = format!("{}=\"", label.name);
            let exported: BTreeSet<&str> = text
                .lines()
                .filter(|line| line.starts_with(metric.name))
                .filter_map(|line| line.split_once(&begins)?.1.split('"').next())
                .collect();
            assert_eq!(exported, values().into_iter().collect(), "{} {}", metric.name, label.name);
        }
    }
}

#[test]
fn open_metrics_is_for_those_who_ask() {
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    assert_eq!(Format::accepted(accept), Format::OpenMetrics);
    assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    let metrics = all_used();
    let open = metrics.exposition(Format::OpenMetrics);
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE rejob_shed counter\n"), "{open}");
    let plain = metrics.exposition(Format::Prometheus);
    assert!(!plain.contains("# EOF") && plain.contains("# TYPE rejob_shed_total counter\n"));
    assert!(plain.contains("rejob_shed_total 1\n"), "{plain}");
}

#[test]
fn guards_hold_their_gauge() {
    let metrics = Metrics::new();
    let value = |metrics: &Metrics| {
        let text = metrics.exposition(Format::Prometheus);
        let line = text.lines().find(|line| line.starts_with("rejob_in_flight ")).unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    };
    let held = metrics.review_in_flight();
    assert_eq!(value(&metrics), "1");
    drop(held);
    assert_eq!(value(&metrics), "0");
}

#[test]
fn names_follow_the_conventions() {
    for description in catalogue::ALL {
        let name = description.name;
        assert!(name.starts_with("rejob_") || name.starts_with("process_"), "{name}");
        let is_counter = matches!(description.kind, MetricType::Counter);
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        assert!(!description.help.ends_with('.'), "{name}: the library adds the full stop");
    }
}

#[test]
fn the_page_of_the_docs_is_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = catalogue::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == page, "docs/metrics.md is stale: run UPDATE_DOCS=1 cargo test --lib metrics");
}
