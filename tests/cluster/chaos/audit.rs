//! What the audit log of both API servers tells of a namespace: also of what is long gone.

use serde_json::Value;

use super::history::Pod;

/// The entries about that namespace, in part of the log.
pub fn entries(log: &str, namespace: &str) -> Vec<Value> {
    log.lines()
        .filter(|line| line.contains(namespace))
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|entry: &Value| entry["objectRef"]["namespace"] == namespace)
        .collect()
}

/// The Pods that were made.
pub fn pods(entries: &[Value]) -> Vec<Pod> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let made = entries.iter().filter(|entry| is(entry, "create", "pods", None, 201));
    made.map(|entry| {
        let pod = &entry["requestObject"];
        Pod {
            owner: text(&pod["metadata"]["ownerReferences"][0]["uid"]),
            image: text(&pod["spec"]["containers"][0]["image"]),
        }
    })
    .collect()
}

/// The uids of the Jobs that were deleted while their status had a ready Pod.
pub fn deleted_while_ready(entries: &[Value]) -> Vec<String> {
    let deleted = entries.iter().filter_map(|entry| {
        let uid = &entry["requestObject"]["preconditions"]["uid"];
        is(entry, "delete", "jobs", None, 200).then_some((entry, uid.as_str()?))
    });
    let was_ready = deleted.filter(|(deletion, uid)| {
        let begun_before_its_end: Vec<_> = entries
            .iter()
            .filter(|entry| is(entry, "update", "jobs", Some("status"), 200))
            .filter(|status| status["requestObject"]["metadata"]["uid"] == *uid)
            .filter(|status| received(status) < ended(deletion))
            .collect();
        begun_before_its_end.iter().max_by_key(|status| received(status)).is_some_and(|last| {
            last["requestObject"]["status"]["ready"].as_i64() > Some(0)
                && ended(last) < received(deletion)
        })
    });
    was_ready.map(|(_, uid)| uid.to_owned()).collect()
}

/// RFC 3339 in UTC with microseconds, so that the order of texts is that of times.
fn received(entry: &Value) -> &str {
    entry["requestReceivedTimestamp"].as_str().unwrap_or_default()
}

fn ended(entry: &Value) -> &str {
    entry["stageTimestamp"].as_str().unwrap_or_default()
}

fn is(entry: &Value, verb: &str, resource: &str, subresource: Option<&str>, code: u16) -> bool {
    let about = &entry["objectRef"];
    entry["verb"] == verb
        && about["resource"] == resource
        && about["subresource"].as_str() == subresource
        && entry["responseStatus"]["code"] == code
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(verb: &str, subresource: Option<&str>, second: u32, request: &Value) -> Value {
        json!({
            "verb": verb,
            "objectRef": { "namespace": "ns", "resource": "jobs", "subresource": subresource },
            "requestReceivedTimestamp": format!("2026-11-30T10:00:{second:02}.000000Z"),
            "stageTimestamp": format!("2026-11-30T10:00:{second:02}.500000Z"),
            "responseStatus": { "code": 200 },
            "requestObject": request,
        })
    }

    fn status(second: u32, ready: u32) -> Value {
        let object = json!({ "metadata": { "uid": "1" }, "status": { "ready": ready } });
        entry("update", Some("status"), second, &object)
    }

    #[test]
    fn a_job_that_is_deleted_while_a_pod_is_ready_is_found() {
        let deletion =
            |second| entry("delete", None, second, &json!({ "preconditions": { "uid": "1" } }));
        let found = |second| {
            deleted_while_ready(&[status(1, 0), deletion(second), status(3, 1), status(5, 0)])
        };
        assert_eq!(found(2), [""; 0]);
        assert_eq!(found(4), ["1"]);
        assert_eq!(found(6), [""; 0]);
    }
}
