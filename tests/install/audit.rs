//! The API server's audit log against the chart's RBAC: each call is covered by a rule, and each
//! verb of each rule is used.

use std::collections::BTreeSet;

use serde_json::Value;

use support::site::{RELEASE, Site};

/// The rights that every user has; rejob asks who it is and how old the API server is.
const OF_EVERYBODY: [&str; 2] = ["get /version", "create selfsubjectreviews.authentication.k8s.io"];

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// One verb on one resource, in one place: `patch secrets rejob-tls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    /// `jobs.batch`, or a path.
    resource: String,
    /// The name that the right is limited to.
    name: Option<String>,
    /// The namespace that the right is limited to.
    namespace: Option<String>,
}

/// The rights that the chart's roles grant.
fn granted(site: &Site<'_>) -> BTreeSet<Right> {
    let own = site.namespace.name();
    let cluster = site.plane.admin().get(&format!("{RBAC}/clusterroles/{RELEASE}")).ok();
    let certificates = site.object(RBAC, "roles", &format!("{RELEASE}-certificates"));
    let mut rights = BTreeSet::new();
    for (role, namespace) in [(cluster, None), (certificates, Some(own.to_owned()))] {
        for rule in role["rules"].as_array().expect("rules") {
            for (group, resource, verb) in each(rule) {
                let names = rule["resourceNames"].as_array().cloned().unwrap_or_default();
                let names = names.iter().map(|name| Some(text(name)));
                let names: Vec<_> = if names.len() == 0 { vec![None] } else { names.collect() };
                for name in names {
                    let (verb, resource) = (verb.clone(), qualified(&resource, &group));
                    rights.insert(Right { verb, resource, name, namespace: namespace.clone() });
                }
            }
        }
    }
    rights
}

fn each(rule: &Value) -> Vec<(String, String, String)> {
    let list = |field: &str| rule[field].as_array().expect("a list").iter().map(text);
    let mut all = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            all.extend(list("verbs").map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    all
}

/// The calls of the server, from the audit log; each with its line.
fn calls(site: &Site<'_>) -> Vec<(Right, Value)> {
    let log = site.plane.audit_log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    let account = site.account();
    let ours = lines.filter(|line| {
        // The tests speak for the account as well, when they wait for a changed role.
        line["user"]["username"] == account.as_str()
            && line["objectRef"]["resource"] != "selfsubjectaccessreviews"
    });
    ours.map(|line| (call(&line), line)).collect()
}

fn call(line: &Value) -> Right {
    let at = &line["objectRef"];
    let field = |name: &str| at[name].as_str().map(str::to_owned);
    let resource = match field("resource") {
        None => text(&line["requestURI"]),
        Some(mut resource) => {
            if let Some(part) = field("subresource") {
                resource = format!("{resource}/{part}");
            }
            qualified(&resource, &field("apiGroup").unwrap_or_default())
        }
    };
    let verb = text(&line["verb"]);
    Right { verb, resource, name: field("name"), namespace: field("namespace") }
}

impl Right {
    fn covers(&self, call: &Self) -> bool {
        let name = self.name.is_none() || self.name == call.name;
        let place = self.namespace.is_none() || self.namespace == call.namespace;
        self.verb == call.verb && self.resource == call.resource && name && place
    }
}

/// Panics unless the server kept within its rights and has used each of them.
pub fn calls_and_rights_agree(site: &Site<'_>) {
    let (granted, calls) = (granted(site), calls(site));
    assert_eq!(granted.len(), 13, "{granted:#?}");
    for (call, line) in &calls {
        let everybodys =
            OF_EVERYBODY.contains(&format!("{} {}", call.verb, call.resource).as_str());
        let covered = everybodys || granted.iter().any(|right| right.covers(call));
        assert!(covered, "no right of the chart covers {line}");
        let refused = matches!(line["responseStatus"]["code"].as_i64(), Some(401 | 403));
        assert!(!refused, "{line}");
    }
    let unused: Vec<_> =
        granted.iter().filter(|right| !calls.iter().any(|(call, _)| right.covers(call))).collect();
    assert!(unused.is_empty(), "the server did without {unused:#?}");
    eprintln!("{} calls within {} rights, each used", calls.len(), granted.len());
}

fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
