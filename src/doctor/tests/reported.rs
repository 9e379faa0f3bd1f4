//! Namespaces under `onChange: Report`.

use serde_json::{Value, json};

use super::*;
use crate::policy::{OnChange, Policy};

fn reports(facts: &mut Facts) {
    let report = Policy { on_change: OnChange::Report, ..Policy::default() };
    let policies = BTreeMap::from([("replace".to_owned(), report)]);
    facts.installations[0].policies = Ok(PolicySet::from(policies));
}

fn event(job: &str, why_not: &str) -> Value {
    json!({
        "metadata": { "annotations": {
            "rejob.dev/user": "anna", "rejob.dev/manager": "", "rejob.dev/policy": "replace",
            "rejob.dev/why-not": why_not,
        }},
        "involvedObject": { "namespace": "shop", "name": job },
        "lastTimestamp": "2026-06-01T11:59:00Z",
        "message": "",
    })
}

fn found(change: impl FnOnce(&mut Facts)) -> Vec<(Level, String, String)> {
    let mut facts = healthy();
    change(&mut facts);
    let findings = examine(&facts).findings.into_iter();
    let found = findings.filter(|finding| finding.check == "report");
    found.map(|finding| (finding.level, finding.subject, finding.message)).collect()
}

#[test]
fn a_report_namespace_is_listed_with_what_it_saw() {
    assert_eq!(found(|_| {}), []);
    let (level, subject, message) = found(reports).remove(0);
    assert_eq!((level, &*subject), (Level::Ok, "shop"));
    assert!(message.ends_with("no Event reports a change"), "{message}");

    let saw = |events: Vec<Value>| {
        found(|facts| {
            reports(facts);
            facts.reported = Ok(events);
        })
        .remove(0)
    };
    let (level, _, message) = saw(vec![event("a", ""), event("a", "running_wait")]);
    assert_eq!(level, Level::Ok);
    assert!(
        message.contains("changes of 1 Job were seen") && message.contains("1 would have waited"),
        "{message}"
    );
    let (level, _, message) = saw(vec![event("a", ""), event("b", "rights_denied")]);
    assert_eq!(level, Level::Hint);
    assert!(
        message.contains("2 Jobs") && message.contains("1 would have been refused"),
        "{message}"
    );
}

#[test]
fn a_job_that_reports_by_its_annotation_is_listed_as_well() {
    let found = found(|facts| facts.reported = Ok(vec![event("a", "")]));
    assert_eq!(found.len(), 1);
}

#[test]
fn events_that_cannot_be_listed_matter_only_under_report() {
    let forbidden = || Err("events is forbidden: User \"eve\" cannot list".to_owned());
    assert_eq!(found(|facts| facts.reported = forbidden()), []);
    let (level, _, message) = found(|facts| {
        reports(facts);
        facts.reported = forbidden();
    })
    .remove(0);
    assert_eq!(level, Level::Hint);
    assert!(message.contains("what Report namespaces saw could not be checked"), "{message}");
}
