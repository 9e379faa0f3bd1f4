//! The rights of rejob's own service account.

use crate::doctor::facts::{Facts, Installation, helm_upgrade};
use crate::doctor::finding::{About, Finding};
use crate::kubernetes::ServerVersion;
use crate::words::plural;

const CHECK: &str = "rights";

pub fn rights(facts: &Facts, findings: &mut Vec<Finding>) {
    for installation in &facts.installations {
        of(installation, findings);
        as_user(installation, facts, findings);
    }
    if facts.installations.is_empty() && facts.entries().next().is_some() {
        findings.push(About::new(CHECK, "").hint(
            "the rights of rejob could not be checked: the namespace it runs in is not known",
            "give --namespace",
        ));
    }
}

/// Checks in the user's name take an API server that knows constrained impersonation.
fn as_user(installation: &Installation, facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(settings) = installation.settings().filter(|one| one.check_as_user) else { return };
    let Ok(version) = &facts.version else { return };
    if ServerVersion::parse(version).is_some_and(|server| !server.can_check_as_user()) {
        let account = format!("{}/{}", installation.namespace, settings.service_account);
        findings.push(About::new(CHECK, account).problem(
            format!(
                "checks are made in the user's name, which needs Kubernetes 1.36, and this is \
                 {version}: nothing is replaced"
            ),
            format!("{} --set checks.asUser=false", helm_upgrade(Some(installation))),
        ));
    }
}

fn of(installation: &Installation, findings: &mut Vec<Finding>) {
    let Some(settings) = installation.settings() else { return };
    let (namespace, account) = (&installation.namespace, &settings.service_account);
    let about = About::new(CHECK, format!("{namespace}/{account}"));
    let before = findings.len();
    let mut unknown = None;
    for (right, allowed) in &installation.rights {
        match allowed {
            Ok(true) => {}
            Ok(false) => findings.push(about.problem(
                format!("the service account may not {}", right.describe()),
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
        findings.push(about.unchecked("its rights", error));
    }
    if findings.len() == before {
        let count = installation.rights.len();
        findings.push(about.ok(match count {
            0 => "no policy replaces and the certificate is given: it needs no right".to_owned(),
            _ => format!("it has each of the {} it needs", plural(count, "right")),
        }));
    }
}
