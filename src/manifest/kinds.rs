//! Finds the Jobs of a document: the document itself, or the items of a list.
//!
//! Jobs inside the template of a CronJob are not Jobs yet: the CronJob controller makes them.

use super::node::Node;

/// Calls `visit` for each Job of the document.
///
/// # Errors
/// The first error of `visit`.
pub fn for_each_job<E>(
    node: &mut Node,
    visit: &mut impl FnMut(&mut Node) -> Result<(), E>,
) -> Result<(), E> {
    let kind = node.get("kind").and_then(Node::as_str).unwrap_or_default();
    let version = node.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
    match (version, kind) {
        ("batch/v1", "Job") => visit(node),
        // The API server leaves out the kind of the items in a list of one kind.
        ("batch/v1", "JobList") => each_item(node, &mut |item| {
            let kind = item.get("kind").filter(|kind| **kind != Node::Null);
            if kind.is_none_or(|kind| kind.as_str() == Some("")) {
                visit(item)
            } else {
                for_each_job(item, visit)
            }
        }),
        // kubectl takes whatever has items for a list, a `List` of any group and version among them.
        _ => each_item(node, &mut |item| for_each_job(item, visit)),
    }
}

/// Refuses a document that is a bare list with Jobs in it: no client applies such a document, and
/// its Jobs would come out undecided.
///
/// # Errors
/// When there is such a Job, with what to write instead.
pub fn refuse_bare_list(root: &mut Node) -> Result<(), String> {
    if matches!(root, Node::Sequence(_)) && has_job(root) {
        return Err(
            "the document is a bare list with Jobs in it, which Kubernetes does not take: \
                    write a List or separate documents"
                .to_owned(),
        );
    }
    Ok(())
}

fn has_job(node: &mut Node) -> bool {
    match node {
        Node::Sequence(items) => items.iter_mut().any(has_job),
        node => for_each_job(node, &mut |_| Err(())).is_err(),
    }
}

/// Whether the document is what kustomize and kpt hand to a KRM function.
pub fn is_resource_list(node: &Node) -> bool {
    let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
    text("kind") == "ResourceList" && text("apiVersion").starts_with("config.kubernetes.io/")
}

fn each_item<E>(
    list: &mut Node,
    visit: &mut dyn FnMut(&mut Node) -> Result<(), E>,
) -> Result<(), E> {
    match list.get_mut("items") {
        Some(Node::Sequence(items)) => items.iter_mut().try_for_each(visit),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml;

    fn jobs(text: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut node = yaml::read(text).unwrap().unwrap();
        for_each_job(&mut node, &mut |job| {
            let name = job.get("metadata").and_then(|m| m.get("name")).and_then(Node::as_str);
            names.push(name.unwrap_or_default().to_owned());
            Ok::<(), ()>(())
        })
        .unwrap();
        names
    }

    #[test]
    fn jobs_are_found_alone_and_in_lists() {
        let job = |name| format!("{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}}}");
        let (a, b) = (job("a"), job("b"));
        for (text, wanted) in [
            (a.clone(), vec!["a"]),
            (
                format!("{{apiVersion: v1, kind: List, items: [{a}, {{kind: Pod}}, {b}]}}"),
                vec!["a", "b"],
            ),
            (
                "{apiVersion: batch/v1, kind: JobList, items: [{metadata: {name: c}}]}".to_owned(),
                vec!["c"],
            ),
            (
                format!(
                    "{{apiVersion: config.kubernetes.io/v1, kind: ResourceList, items: [{a}]}}"
                ),
                vec!["a"],
            ),
            (
                format!("{{apiVersion: batch/v1, kind: CronJob, spec: {{jobTemplate: {a}}}}}"),
                vec![],
            ),
            ("{apiVersion: example.org/v1, kind: Job, metadata: {name: x}}".to_owned(), vec![]),
            ("{apiVersion: v1, kind: List}".to_owned(), vec![]),
            (format!("{{apiVersion: batch/v1, kind: List, items: [{a}]}}"), vec!["a"]),
            (format!("{{apiVersion: v1, kind: PodList, items: [{a}]}}"), vec!["a"]),
            (
                "{apiVersion: batch/v1, kind: JobList, items: [{kind: '', metadata: {name: c}}, \
                 {kind: null, metadata: {name: d}}]}"
                    .to_owned(),
                vec!["c", "d"],
            ),
            ("[1]".to_owned(), vec![]),
        ] {
            assert_eq!(jobs(&text), wanted, "{text}");
        }
    }
}
