//! `metadata.managedFields[].fieldsV1`, read only where a rule looks into it.
//!
//! It is half of what a stored Job is made of, and most requests change nothing that its owners
//! matter for. A creation, and an update that leaves `spec` and rejob's own marks as they are, are
//! decided by who the managers are. What is not read is left out, so that nothing takes the text for
//! fields.

use serde_json::Value;

use super::{InvalidReview, Request, wire};
use crate::job::{Job, is_of_subresource, keys};

/// Reads the fields of both objects, or leaves them out.
///
/// # Errors
/// When they are not JSON that can be read.
pub(super) fn read(request: &mut Request) -> Result<(), InvalidReview> {
    let needed = are_needed(request);
    for object in [&mut request.object, &mut request.old_object].into_iter().flatten() {
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            match entry.remove("fieldsV1") {
                Some(Value::String(text)) if needed => {
                    let fields = wire::read_value(&text).map_err(wire::malformed)?;
                    entry.insert("fieldsV1".to_owned(), fields);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn are_needed(request: &Request) -> bool {
    let object = request.object.as_ref().unwrap_or(&Value::Null);
    let Some(old) = &request.old_object else { return owns_a_mark(Job::new(object)) };
    let jobs = [Job::new(object), Job::new(old)];
    object.get("spec") != old.get("spec")
        || jobs.iter().any(|job| {
            job.annotation(keys::RERUN).is_some()
                || job.annotation(keys::DORMANT).is_some()
                || job.label(keys::DORMANT).is_some()
                || owns_a_mark(*job)
                || has_another_manager(*job, request.field_manager.as_deref())
        })
}

/// Whether somebody owns a field under rejob's own names.
fn owns_a_mark(job: Job<'_>) -> bool {
    let fields = |entry: &Value| {
        entry
            .get("fieldsV1")
            .and_then(Value::as_str)
            .is_some_and(|text| text.contains("rejob.dev/"))
    };
    job.managed_fields().iter().any(fields)
}

/// Whether somebody other than the requester has written the Job: a queue, perhaps.
fn has_another_manager(job: Job<'_>, requester: Option<&str>) -> bool {
    let manager = |entry: &Value| entry.get("manager").and_then(Value::as_str) != requester;
    job.managed_fields().iter().any(|entry| !is_of_subresource(entry) && manager(entry))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::{Context, decide_or_ask};
    use crate::policy::PolicySet;
    use crate::review::{API_VERSION, parse};

    /// A review with an object, and one that is stored already.
    fn review(object: Value, old: Value) -> Value {
        json!({
            "apiVersion": API_VERSION, "kind": "AdmissionReview",
            "request": {
                "uid": "u1", "kind": { "group": "batch", "version": "v1", "kind": "Job" },
                "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
                "options": { "fieldManager": "kubectl" }, "object": object, "oldObject": old
            }
        })
    }

    fn job(manager: &str, fields: &Value) -> Value {
        json!({
            "metadata": { "managedFields": [{ "manager": manager, "fieldsV1": fields }] },
            "spec": { "template": {} }
        })
    }

    /// The fields of both objects, as they are read.
    fn read(object: Value, old: Value) -> [Value; 2] {
        let request = parse(review(object, old).to_string().as_bytes()).unwrap();
        let fields = |object: Option<Value>| {
            let fields = object.unwrap_or_default();
            fields.pointer("/metadata/managedFields/0/fieldsV1").cloned().unwrap_or_default()
        };
        [fields(request.object), fields(request.old_object)]
    }

    #[test]
    fn fields_are_read_where_a_rule_looks_into_them() {
        let fields = json!({ "f:spec": { ".": {}, "f:a\u{2028}/~": { "k:{\"x\":1}": {} } } });
        let unchanged = job("kubectl", &fields);
        assert_eq!(read(unchanged.clone(), Value::Null), [Value::Null, Value::Null]);
        assert_eq!(read(unchanged.clone(), unchanged.clone()), [Value::Null, Value::Null]);

        let both = [fields.clone(), fields.clone()];
        let mut changed = unchanged.clone();
        changed["spec"]["template"] = json!({ "metadata": {} });
        let others = job("kueue", &fields);
        for (key, kind) in [
            (keys::RERUN, "annotations"),
            (keys::DORMANT, "annotations"),
            (keys::DORMANT, "labels"),
        ] {
            let mut marked = unchanged.clone();
            marked["metadata"][kind] = json!({ key: "1" });
            assert_eq!(read(unchanged.clone(), marked.clone()), both, "{key} is stored");
            assert_eq!(read(marked, unchanged.clone()), both, "{key} is asked for");
        }
        assert_eq!(read(changed, unchanged.clone()), both, "another spec");
        assert_eq!(read(unchanged.clone(), others), both, "another manager");
        let fields = json!({ "f:metadata": { "f:labels": { "f:rejob.dev/dormant": {} } } });
        let owned = job("kubectl", &fields);
        assert_eq!(read(owned.clone(), Value::Null), [fields, Value::Null], "an owned mark");
    }

    #[test]
    fn fields_that_are_no_json_that_can_be_read_are_told() {
        let deep = (0..200).fold(json!({}), |inner, _| json!({ "f:a": inner }));
        let mut changed = job("kubectl", &deep);
        changed["spec"]["template"] = json!({ "metadata": {} });
        let body = review(changed, job("kubectl", &deep)).to_string();
        let error = parse(body.as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidReview::Malformed(_)), "{error}");
    }

    #[test]
    fn what_is_not_read_decides_nothing() {
        let folder =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases/reviews/captured/1.37");
        let mut spared = 0;
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let review: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let request = parse(review.to_string().as_bytes()).unwrap();
            let object = |field: &str| {
                Some(&review["request"][field]).filter(|object| object.is_object()).cloned()
            };
            let whole = Request {
                object: object("object"),
                old_object: object("oldObject"),
                ..request.clone()
            };
            spared += usize::from(whole != request);
            for policy in PolicySet::builtin().iter().map(|(_, policy)| policy) {
                let decided =
                    |request: &Request| decide_or_ask(request, policy, &Context::default());
                assert_eq!(decided(&request), decided(&whole), "{}", file.display());
            }
        }
        assert!(spared > 10, "{spared} reviews without fields");
    }
}
