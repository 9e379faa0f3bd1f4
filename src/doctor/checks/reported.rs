//! Namespaces under `onChange: Report`, and what they saw, as long as Kubernetes keeps the Events.

use std::collections::BTreeMap;

use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::webhook::opted_in;
use crate::policy::OnChange;
use crate::reported::{Expected, Sum, events};
use crate::words::plural;

const CHECK: &str = "report";

pub fn reported(facts: &Facts, findings: &mut Vec<Finding>) {
    let under_report = facts.namespaces().iter().filter(|namespace| {
        opted_in(namespace).is_some_and(|policy| {
            let sets = facts.installations.iter().filter_map(|one| one.policies.as_ref().ok());
            sets.filter_map(|set| set.get(policy)).any(|one| one.on_change == OnChange::Report)
        })
    });
    let names = under_report.filter_map(|namespace| namespace.metadata.name.clone());
    let mut seen: BTreeMap<String, Sum> = names.map(|name| (name, Sum::default())).collect();
    match &facts.reported {
        // A Job can report by its annotation, wherever it is.
        Ok(told) => {
            for reported in told.iter().filter_map(events::read) {
                seen.entry(reported.key.namespace.clone()).or_default().add(reported);
            }
        }
        Err(error) if !seen.is_empty() => {
            findings.push(About::new(CHECK, "").unchecked("what Report namespaces saw", error));
            return;
        }
        Err(_) => {}
    }
    findings.extend(seen.iter().map(|(namespace, sum)| judge(namespace, sum)));
}

fn judge(namespace: &str, sum: &Sum) -> Finding {
    let about = About::new(CHECK, namespace);
    if sum.jobs() == 0 {
        let message = "it is under onChange: Report, and no Event reports a change";
        return about.ok(message);
    }
    let [refused, waits, replaced] =
        [Expected::Refused, Expected::Waits, Expected::Replaced].map(|one| sum.requests(one));
    let message = format!(
        "under onChange: Report, changes of {} were seen: {refused} would have been refused, {waits} \
         would have waited, {replaced} would have replaced the Job",
        plural(sum.jobs(), "Job")
    );
    if refused == 0 {
        about.ok(message)
    } else {
        about.hint(message, format!("rejob report --namespace {namespace}"))
    }
}
