//! What runs: the Deployment, and the Services that the entries point to.

use crate::doctor::facts::{Backend, Facts, Installation};
use crate::doctor::finding::{About, Finding};
use crate::words::plural;

pub fn deployments(facts: &Facts, findings: &mut Vec<Finding>) {
    for installation in &facts.installations {
        findings.push(deployment(installation));
        if let (Some(settings), Err(error)) = (installation.settings(), &installation.policies) {
            let subject = format!("{}/{}", installation.namespace, settings.deployment);
            findings.push(About::new("policies", subject).unchecked("its policies", error));
        }
    }
}

fn deployment(installation: &Installation) -> Finding {
    let namespace = &installation.namespace;
    let about = About::new("deployment", namespace);
    let deployment = match &installation.deployment {
        Ok(Some(deployment)) => deployment,
        Ok(None) => {
            return about.hint(
                "no Deployment here has the labels of the chart, so its rights and its policies \
                 could not be checked",
                "give --namespace where rejob runs: kubectl get deployments --all-namespaces \
                 --selector app.kubernetes.io/part-of=rejob",
            );
        }
        Err(error) => return about.unchecked("the Deployment", error),
    };
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let about = About::new("deployment", format!("{namespace}/{name}"));
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
    if wanted == 0 {
        return about.problem(
            "it is scaled to 0 replicas",
            format!("kubectl --namespace {namespace} scale deployment/{name} --replicas 2"),
        );
    }
    let logs = format!("kubectl --namespace {namespace} logs deployment/{name}");
    let pods = format!("kubectl --namespace {namespace} describe pods && {logs}");
    if available == 0 {
        let message = format!("none of its {} is available", plural(count(wanted), "replica"));
        about.problem(message, pods)
    } else if available < wanted {
        let message = format!("{available} of its {wanted} replicas are available");
        about.hint(message, pods)
    } else {
        let replicas = plural(count(available), "replica");
        about.ok(format!("{replicas} available"))
    }
}

fn count(replicas: i32) -> usize {
    usize::try_from(replicas).unwrap_or_default()
}

pub fn endpoints(facts: &Facts, findings: &mut Vec<Finding>) {
    for ((namespace, name), backend) in &facts.backends {
        findings.push(endpoint(facts, namespace, name, backend));
    }
}

fn endpoint(facts: &Facts, namespace: &str, name: &str, backend: &Backend) -> Finding {
    let about = About::new("endpoints", format!("{namespace}/{name}"));
    let service = match &backend.service {
        Ok(Some(service)) => service,
        Ok(None) => {
            let target = facts.entries().filter_map(|entry| entry.target()).find(|target| {
                target.service.as_ref().is_some_and(|(at, of)| at == namespace && of == name)
            });
            return about.problem(
                "the Service that the entries point to does not exist",
                facts.helm_upgrade(target.as_ref()),
            );
        }
        Err(error) => return about.unchecked("the Service", error),
    };
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let has = |wanted: u16| ports.into_iter().flatten().any(|port| port.port == i32::from(wanted));
    let is_here = |target: &crate::kubernetes::webhook::Target| {
        target.service.as_ref().is_some_and(|(at, of)| at == namespace && of == name)
    };
    let targets = facts.entries().filter_map(|entry| entry.target()).filter(is_here);
    if let Some(port) = targets.map(|target| target.port).find(|port| !has(*port)) {
        return about.problem(
            format!("the entries point to its port {port}, which the Service does not have"),
            format!("kubectl --namespace {namespace} edit service {name}"),
        );
    }
    match &backend.ready {
        Ok(0) => about.problem(
            "it has no ready endpoint, so no call reaches rejob",
            format!(
                "kubectl --namespace {namespace} get pods, and see the logs of those not ready"
            ),
        ),
        Ok(ready) => about.ok(format!("{} ready", plural(*ready, "endpoint"))),
        Err(error) => about.unchecked("its endpoints", error),
    }
}
