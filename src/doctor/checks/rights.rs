//! The rights of rejob's own service account.

use crate::doctor::facts::{Facts, Installation, helm_upgrade};
use crate::doctor::finding::{Finding, plural};

const CHECK: &str = "rights";

pub fn rights(facts: &Facts, findings: &mut Vec<Finding>) {
    for installation in &facts.installations {
        of(installation, findings);
    }
    if facts.installations.is_empty() && facts.entries().next().is_some() {
        findings.push(Finding::hint(
            CHECK,
            "",
            "the rights of rejob could not be checked: the namespace it runs in is not known",
            "give --namespace",
        ));
    }
}

fn of(installation: &Installation, findings: &mut Vec<Finding>) {
    let Some(settings) = installation.settings() else { return };
    let (namespace, account) = (&installation.namespace, &settings.service_account);
    let subject = format!("{namespace}/{account}");
    let before = findings.len();
    let mut unknown = None;
    for (right, allowed) in &installation.rights {
        match allowed {
            Ok(true) => {}
            Ok(false) => findings.push(Finding::problem(
                CHECK,
                &subject,
                format!("the service account may not {}", right.in_words()),
                format!(
                    "{} && {}",
                    helm_upgrade(Some(installation)),
                    right.command(namespace, account)
                ),
            )),
            Err(error) => unknown = Some(error),
        }
    }
    if let Some(error) = unknown {
        findings.push(Finding::unchecked(CHECK, &subject, "its rights", error));
    }
    if findings.len() == before {
        let count = installation.rights.len();
        findings.push(Finding::ok(
            CHECK,
            &subject,
            match count {
                0 => {
                    "no policy replaces and the certificate is given: it needs no right".to_owned()
                }
                _ => format!("it has each of the {} it needs", plural(count, "right")),
            },
        ));
    }
}
