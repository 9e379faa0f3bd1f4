//! The alerts on calls that fail read the API server's own metrics: a real one exports them, with
//! these labels and for the entries of the chart.

use std::collections::BTreeMap;

use serde_json::json;

use super::conditions::{Called, plain};
use super::monitoring::{FOREIGN, expressions};
use support::plane::ControlPlane;
use support::wait;

/// The series of that metric for that entry: their labels.
fn series(plane: &ControlPlane, metric: &str, entry: &str) -> Vec<BTreeMap<String, String>> {
    let answer = plane.admin().get("/metrics").ok();
    let text = answer.as_str().expect("metrics as text");
    let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    let labels = lines.map(|line| {
        let inside = line.split_once('}').expect("the end of the labels").0;
        let pairs = inside.split("\",").map(|pair| pair.trim_end_matches('"').split_once("=\""));
        pairs.flatten().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    });
    labels.filter(|labels: &BTreeMap<_, _>| labels["name"] == entry).collect()
}

#[test]
fn a_call_that_fails_is_counted_as_the_alerts_read_it() {
    let plane = ControlPlane::shared();
    for (failure_policy, (metric, labels)) in ["Ignore", "Fail"].into_iter().zip(FOREIGN) {
        let webhook = json!({ "url": "https://127.0.0.1:1", "acceptUnauthenticated": true, "failurePolicy": failure_policy });
        let called = Called::with(&plane, "{}", &json!({ "webhook": webhook }));
        let entry = format!("{}.rejob.dev", called.policy);
        let found = wait::until("the API server counts a call that failed", || {
            let refused = called.create(&plane.admin(), &plain());
            assert!(!refused || failure_policy == "Fail");
            series(&plane, metric, &entry).pop()
        });
        let mut expected = labels.to_vec();
        expected.sort_unstable();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{metric}");

        // What the alert asks for is what is there, and the name is one that its pattern takes.
        let expression = expressions().into_iter().find(|text| text.contains(metric));
        let expression = expression.expect("an alert on it");
        let matchers = expression.split_once(metric).unwrap().1;
        let matchers = matchers.trim_start_matches('{').split_once('}').unwrap().0;
        let mut exact = matchers.split(", ").filter_map(|matcher| matcher.split_once("=\""));
        assert!(
            exact.all(|(label, value)| found[label] == value.trim_end_matches('"')),
            "{found:?}"
        );
        assert!(matchers.contains("name=~\"[^.]+[.]rejob[.]dev\""), "{matchers}");
        assert_eq!(entry.matches('.').count(), 2, "{entry}");
    }
}
