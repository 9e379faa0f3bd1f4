//! An audit log of the API server: lines of `audit.k8s.io/v1` Events, each with the annotations
//! that rejob gave.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Expected, ReportKey, Reported};
use crate::reason::Reason;

/// What was in a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Events of an audit log, in lines of one or in lists.
    pub events: usize,
    /// Other lines of JSON.
    pub others: usize,
    /// Lines that are not JSON: the ends of a log that was cut.
    pub broken: usize,
    /// The number of the first one, from 1.
    pub first_broken: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// Of an `EventList`, which an audit webhook posts.
    #[serde(default)]
    items: Vec<Event>,
    #[serde(rename = "auditID", default)]
    audit_id: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    user: Option<User>,
    impersonated_user: Option<User>,
    #[serde(rename = "requestURI", default)]
    request_uri: String,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    request_received_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

/// Reads a log line by line, and gives `add` what was reported. `seen` holds the ids of the requests
/// that were counted: a log has a line for each stage, and files may overlap.
///
/// # Errors
/// When the input cannot be read.
pub fn read(
    mut input: impl BufRead,
    seen: &mut BTreeSet<String>,
    mut add: impl FnMut(Reported),
) -> io::Result<Lines> {
    let mut lines = Lines::default();
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        number += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice::<Event>(text) {
            Ok(event) if event.api_version.starts_with("audit.k8s.io/") => {
                let events = if event.kind == "EventList" { event.items } else { vec![event] };
                for event in events {
                    lines.events += 1;
                    if let Some(reported) = event.reported()
                        && seen.insert(event.audit_id)
                    {
                        add(reported);
                    }
                }
            }
            Err(error) if !error.is_data() || !text.starts_with(b"{") => {
                lines.broken += 1;
                lines.first_broken.get_or_insert(number);
            }
            _ => lines.others += 1,
        }
    }
}

impl Event {
    /// The report about this request; `None` if there is none.
    fn reported(&self) -> Option<Reported> {
        // The key begins with the name of the webhook's entry: a policy's, or the one of reruns.
        let entry = self.annotations.iter().find_map(|(key, value)| {
            let entry = key.strip_suffix("/reason").filter(|entry| entry.ends_with(".rejob.dev"));
            entry.filter(|_| value == Reason::Reported.label())
        })?;
        let told = |key: &str| self.annotations.get(&format!("{entry}/{key}")).cloned();
        let ObjectRef { namespace, name } = self.object_ref.as_ref()?;
        let why_not = told("why-not");
        let user = self.impersonated_user.as_ref().or(self.user.as_ref());
        Some(Reported {
            key: ReportKey {
                expected: Expected::of(why_not.as_deref()),
                namespace: namespace.clone(),
                job: name.clone(),
                user: user.map(|user| user.username.clone()).unwrap_or_default(),
                manager: self.manager(),
                why_not,
            },
            time: self.request_received_timestamp?,
            dry_run: self.parameter("dryRun").is_some(),
            changed: told("changed").unwrap_or_default(),
            refusal: told("refusal"),
        })
    }

    /// The field manager; where the client names none, the one that the API server makes of its
    /// user agent.
    fn manager(&self) -> String {
        let agent = || self.user_agent.split('/').next().unwrap_or_default().to_owned();
        self.parameter("fieldManager").unwrap_or_else(agent)
    }

    /// A parameter of the request that is not empty.
    fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.request_uri.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, value) = pairs.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(id: &str, annotations: Value) -> Value {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": id,
            "stage": "ResponseComplete", "verb": "patch",
            "requestURI": "/apis/batch/v1/namespaces/batch/jobs/nightly?fieldManager=kubectl%20x",
            "user": { "username": "anna", "groups": ["system:authenticated"] },
            "userAgent": "helm/v3.22.0",
            "objectRef": { "resource": "jobs", "namespace": "batch", "name": "nightly" },
            "requestReceivedTimestamp": "2026-11-30T08:49:43.412750Z",
            "annotations": annotations,
        })
    }

    fn reported(id: &str) -> Value {
        event(id, json!({ "report.rejob.dev/reason": "reported", "report.rejob.dev/changed": "a" }))
    }

    fn read_text(text: &str) -> (Vec<Reported>, Lines) {
        let mut all = Vec::new();
        let lines = read(text.as_bytes(), &mut BTreeSet::new(), |one| all.push(one)).unwrap();
        (all, lines)
    }

    #[track_caller]
    fn one(event: &Value) -> Reported {
        let (mut all, _) = read_text(&event.to_string());
        assert_eq!(all.len(), 1, "{event}");
        all.remove(0)
    }

    #[test]
    fn a_request_is_read_with_who_asked() {
        let found = one(&reported("1"));
        assert_eq!((&*found.key.namespace, &*found.key.job), ("batch", "nightly"));
        assert_eq!((&*found.key.user, &*found.key.manager), ("anna", "kubectl x"));
        assert_eq!((found.key.expected, found.dry_run), (Expected::Replaced, false));
        assert_eq!((&*found.changed, found.refusal), ("a", None));

        let mut other = reported("1");
        other["impersonatedUser"] = json!({ "username": "deployer" });
        other["requestURI"] = json!("/apis/batch/v1/namespaces/batch/jobs/nightly?dryRun=All");
        let found = one(&other);
        assert_eq!((&*found.key.user, &*found.key.manager), ("deployer", "helm"));
        assert!(found.dry_run);
        // The entry of reruns, and a refusal.
        let refused = event(
            "1",
            json!({
                "rerun.rejob.dev/reason": "reported", "rerun.rejob.dev/changed": "b",
                "rerun.rejob.dev/why-not": "rights_denied", "rerun.rejob.dev/refusal": "no",
                "authorization.k8s.io/decision": "allow",
            }),
        );
        let found = one(&refused);
        assert_eq!((found.key.expected, &*found.changed), (Expected::Refused, "b"));
        assert_eq!(found.refusal.as_deref(), Some("no"));
    }

    #[test]
    fn each_request_counts_once_and_other_lines_do_not() {
        let kept = event("4", json!({ "keep.rejob.dev/reason": "kept" }));
        let foreign = event("5", json!({ "example.com/reason": "reported" }));
        let log = json!({ "level": "INFO", "user": "anna", "reason": "reported" });
        let lines = [reported("1"), reported("1"), reported("2"), kept, foreign, log, json!({})];
        let text: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let (all, lines) = read_text(&text.join("\n"));
        assert_eq!(all.len(), 2);
        assert_eq!(lines, Lines { events: 5, others: 2, ..Lines::default() });
    }

    #[test]
    fn a_list_is_read_as_its_events() {
        let list = json!({
            "kind": "EventList", "apiVersion": "audit.k8s.io/v1",
            "items": [reported("1"), reported("2"), reported("1")],
        });
        let (all, lines) = read_text(&list.to_string());
        assert_eq!((all.len(), lines.events), (2, 3));
    }

    #[test]
    fn the_ends_of_a_log_that_was_cut_are_counted() {
        let whole = reported("1").to_string();
        let (end, begin) = (&whole[40..], &whole[..whole.len() - 40]);
        let (all, lines) = read_text(&format!("{end}\n\n{whole}\r\n1,2]\n{begin}"));
        assert_eq!(all.len(), 1);
        let expected = Lines { events: 1, others: 0, broken: 3, first_broken: Some(1) };
        assert_eq!(lines, expected);
    }
}
