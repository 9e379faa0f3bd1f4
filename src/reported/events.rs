//! The Events `WouldReplace`: each reports a change once, with what Replace would have done.

use serde_json::Value;

use super::{Expected, Key, Reported};
use crate::kubernetes::job_events_path;
use crate::review::requester;

/// The path of the list of these Events, in one namespace or in all.
pub fn path(namespace: Option<&str>) -> String {
    job_events_path(namespace, "WouldReplace")
}

/// The report in an Event; `None` for any other Event.
pub fn read(event: &Value) -> Option<Reported> {
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let annotation = |key| text_of(event, key);
    let (user, manager) = (annotation("rejob.dev/user")?, annotation("rejob.dev/manager")?);
    let why_not = annotation("rejob.dev/why-not")?;
    let why_not = Some(why_not).filter(|label| !label.is_empty());
    // `SENTENCE; asked for by USER with MANAGER: CHANGES`
    let message = text("/message");
    let who = format!("; asked for by {}: ", requester(user, Some(manager)));
    let (sentence, changed) = message.split_once(&who).unwrap_or((message, ""));
    let expected = Expected::of(why_not);
    let refusal = sentence.split_once("(onChange is Report): ").map(|(_, refusal)| refusal);
    Some(Reported {
        key: Key {
            expected,
            namespace: text("/involvedObject/namespace").to_owned(),
            job: text("/involvedObject/name").to_owned(),
            user: user.to_owned(),
            manager: manager.to_owned(),
            why_not: why_not.map(str::to_owned),
        },
        time: text("/lastTimestamp").parse().ok()?,
        dry_run: false,
        changed: changed.to_owned(),
        refusal: refusal.map(str::to_owned),
    })
}

fn text_of<'a>(event: &'a Value, annotation: &str) -> Option<&'a str> {
    event.get("metadata")?.get("annotations")?.get(annotation)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(why_not: &str, manager: &str, message: &str) -> Value {
        json!({
            "metadata": { "annotations": {
                "rejob.dev/user": "anna", "rejob.dev/manager": manager,
                "rejob.dev/policy": "report", "rejob.dev/why-not": why_not,
            }},
            "involvedObject": { "namespace": "batch", "name": "nightly" },
            "lastTimestamp": "2026-11-30T08:49:43Z",
            "message": message,
        })
    }

    #[test]
    fn an_event_tells_who_asked_for_what_and_why_not() {
        let sentence = "job nightly would be replaced (onChange is Report)";
        let told = format!("{sentence}; asked for by anna with helm: image: a:1 -> a:2");
        let reported = read(&event("", "helm", &told)).unwrap();
        assert_eq!(reported.key.expected, Expected::Replaced);
        assert_eq!((&*reported.key.namespace, &*reported.key.job), ("batch", "nightly"));
        assert_eq!((&*reported.key.user, &*reported.key.manager), ("anna", "helm"));
        assert_eq!((&*reported.changed, reported.refusal), ("image: a:1 -> a:2", None));

        let sentence =
            "job nightly would not be replaced (onChange is Report): user \"anna\" may not: no";
        let told = format!("{sentence}; asked for by anna: a: 1 -> 2");
        let reported = read(&event("rights_denied", "", &told)).unwrap();
        assert_eq!(reported.key.expected, Expected::Refused);
        assert_eq!(reported.refusal.as_deref(), Some("user \"anna\" may not: no"));
        assert_eq!(reported.changed, "a: 1 -> 2");
    }

    #[test]
    fn another_event_tells_nothing() {
        assert_eq!(read(&json!({ "reason": "Replaced", "message": "" })), None);
        assert_eq!(read(&json!(null)), None);
    }
}
