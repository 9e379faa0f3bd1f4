//! Jobs that rejob created to be released in the same request, and that were not.
//!
//! Their age is told by the API server's clock alone: its `Date` header against the
//! `creationTimestamp` that it wrote itself.

use serde_json::Value;

use crate::admission::reaper;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::job::Job;
use crate::kubernetes::webhook::opted_in;
use crate::replacement::Record;
use crate::words::span;

const CHECK: &str = "dormant-jobs";

/// Until then, in seconds, it is under way.
const REQUEST: i64 = crate::decide::LONGEST_REQUEST.as_secs().cast_signed();
/// When the reaper has surely deleted it, in seconds.
const REAPED: i64 = reaper::REAPED.as_secs().cast_signed();

pub fn dormant(facts: &Facts, findings: &mut Vec<Finding>) {
    let about = About::new(CHECK, "");
    let jobs = match &facts.dormant {
        Ok(jobs) => jobs,
        Err(error) => {
            findings.push(about.unchecked("dormant Jobs", error));
            return;
        }
    };
    for job in jobs {
        findings.push(judge(facts, job));
    }
    if jobs.is_empty() {
        findings.push(about.ok("no dormant Job is left"));
    }
}

fn judge(facts: &Facts, value: &Value) -> Finding {
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let about = About::new(CHECK, format!("{namespace}/{name}"));
    let job = Job::new(value);
    let age = job.created().map_or(0, |created| facts.now().as_second() - created.as_second());
    if Record::of(job).is_none() {
        return about.hint(
            "it carries the label rejob.dev/dormant, and rejob did not make it dormant",
            format!("kubectl --namespace {namespace} label job {name} rejob.dev/dormant-"),
        );
    }
    let delete = format!("kubectl --namespace {namespace} delete job {name}, then deploy it again");
    let old = span(age);
    let here = facts.namespaces().iter().find(|n| n.metadata.name.as_deref() == Some(namespace));
    if here.is_some_and(|namespace| opted_in(namespace).is_none()) {
        let message = format!(
            "it is dormant for {old}, and its namespace does not opt in any more, so rejob does not \
             delete it"
        );
        return about.problem(message, delete);
    }
    if age <= REQUEST {
        about.ok(format!("it is dormant for {old}: a replacement is under way"))
    } else if age <= REAPED {
        let message = format!("it is dormant for {old}: rejob deletes it within two minutes");
        about.hint(message, "deploy it again")
    } else {
        let message = format!(
            "it is dormant for {old}: its replacement was cut off, and no rejob deletes it"
        );
        about.problem(message, delete)
    }
}
