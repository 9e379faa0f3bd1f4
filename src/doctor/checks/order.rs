//! Other mutating webhooks on Jobs that are called before rejob.
//!
//! The API server calls webhook configurations in the order of their names. One that rewrites
//! templates before rejob sees them hides what the client sent.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;

use crate::doctor::facts::Facts;
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::webhook::{self, covers_jobs};

const CHECK: &str = "order";

pub fn order(facts: &Facts, findings: &mut Vec<Finding>) {
    let Ok(configurations) = &facts.configurations else { return };
    let Some(first) = facts.ours().find_map(|one| one.metadata.name.as_deref()) else { return };
    let before = findings.len();
    for configuration in configurations.iter().filter(|one| !webhook::is_ours(one)) {
        let name = configuration.metadata.name.as_deref().unwrap_or_default();
        if name >= first {
            continue;
        }
        let meets = |webhook: &&MutatingWebhook| {
            covers_jobs(webhook.rules.iter().flatten(), &["CREATE", "UPDATE"])
                && facts.serves_some(&[webhook.namespace_selector.as_ref()])
        };
        if let Some(webhook) = webhook::webhooks(configuration).iter().find(meets) {
            findings.push(About::new(CHECK, name).hint(
                format!(
                    "its webhook {} sees Jobs before {first} does: what it changes in a template \
                     hides from rejob what the client sent, and may cause an extra run",
                    webhook.name
                ),
                format!("rename it to sort after {first}, or leave Jobs out of its rules"),
            ));
        }
    }
    if findings.len() == before {
        findings.push(About::new(CHECK, first).ok("no other webhook sees Jobs before it"));
    }
}
