//! What the API server would refuse, and offline nobody else does: mistakes that make rejob overlook
//! what the manifest asks for.

use serde_json::Value;

use crate::commands::job_name;
use crate::job::Job;
use crate::kubernetes::names::{MAX_SUBDOMAIN, is_subdomain};
use crate::policy::knobs::shown;
use crate::policy::{Naming, Policy};
use crate::reason::Reason;

/// The prefix of rejob's own annotations.
const OWN: &str = "rejob.dev/";

/// Refuses an annotation of rejob that is not a string: `rejob.dev/wait-seconds: 30`.
///
/// # Errors
/// When there is one, with what to write.
pub(super) fn annotations(job: &Value) -> Result<(), String> {
    let view = Job::new(job);
    match view.annotations().find(|(key, value)| key.starts_with(OWN) && !value.is_string()) {
        Some((key, value)) => Err(format!(
            "job {}: annotation {key} is {}, not a string: quote it",
            job_name(job),
            shown(value)
        )),
        None => Ok(()),
    }
}

/// Refuses a name that is to get a hash and is none that Kubernetes takes.
///
/// # Errors
/// When it is not a string, or not a DNS-1123 subdomain.
pub(super) fn name(job: &Value, policy: &Policy, reason: Reason) -> Result<(), String> {
    let (policy, _) = policy.for_job(Job::new(job));
    let name = job.pointer("/metadata/name").filter(|name| !name.is_null());
    if policy.naming != Naming::TemplateHash || reason.is_left_alone() {
        return Ok(());
    }
    match name {
        Some(Value::String(name)) if name.is_empty() || is_subdomain(name) => Ok(()),
        None => Ok(()),
        Some(Value::String(name)) => Err(format!(
            "metadata.name of job {name:?} is not a DNS-1123 subdomain: use a-z, 0-9, - and ., \
             beginning and ending with a letter or digit, at most {MAX_SUBDOMAIN} characters"
        )),
        Some(other) => {
            Err(format!("metadata.name of a job is {}, not a string: quote it", shown(other)))
        }
    }
}
