//! The Events `WouldReplace`: each reports a change once, with what Replace would have done.

use serde_json::Value;

use super::{Expected, ReportKey, Reported};
use crate::kubernetes::events::{
    self, CHANGED, MANAGER, REFUSAL, USER, WHY_NOT, WOULD_REPLACE, annotation,
};

/// The path of the list of these Events, in one namespace or in all.
pub fn path(namespace: Option<&str>) -> String {
    events::path(namespace, WOULD_REPLACE)
}

/// The report in an Event; `None` for any other Event.
pub fn read(event: &Value) -> Option<Reported> {
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let given = |key| annotation(event, key).filter(|text| !text.is_empty()).map(str::to_owned);
    let (user, manager) = (annotation(event, USER)?, annotation(event, MANAGER)?);
    let why_not = given(WHY_NOT);
    Some(Reported {
        key: ReportKey {
            expected: Expected::of(why_not.as_deref()),
            namespace: text("/involvedObject/namespace").to_owned(),
            job: text("/involvedObject/name").to_owned(),
            user: user.to_owned(),
            manager: manager.to_owned(),
            why_not,
        },
        time: text("/lastTimestamp").parse().ok()?,
        dry_run: false,
        changed: given(CHANGED).unwrap_or_default(),
        refusal: given(REFUSAL),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(why_not: &str, refusal: &str) -> Value {
        json!({
            "metadata": { "annotations": {
                "rejob.dev/user": "anna", "rejob.dev/manager": "helm",
                "rejob.dev/policy": "report", "rejob.dev/why-not": why_not,
                "rejob.dev/changed": "image: a:1 -> a:2", "rejob.dev/refusal": refusal,
            }},
            "involvedObject": { "namespace": "batch", "name": "nightly" },
            "lastTimestamp": "2026-11-30T08:49:43Z",
        })
    }

    #[test]
    fn an_event_says_who_asked_for_what_and_why_not() {
        let reported = read(&event("", "")).unwrap();
        assert_eq!(reported.key.expected, Expected::Replaced);
        assert_eq!((&*reported.key.namespace, &*reported.key.job), ("batch", "nightly"));
        assert_eq!((&*reported.key.user, &*reported.key.manager), ("anna", "helm"));
        assert_eq!((&*reported.changed, reported.refusal), ("image: a:1 -> a:2", None));

        let reported = read(&event("rights_denied", "user \"anna\" may not: no")).unwrap();
        assert_eq!(reported.key.expected, Expected::Refused);
        assert_eq!(reported.refusal.as_deref(), Some("user \"anna\" may not: no"));
    }

    #[test]
    fn another_event_tells_nothing() {
        assert_eq!(read(&json!({ "reason": "Replaced", "message": "" })), None);
        assert_eq!(read(&json!(null)), None);
    }
}
