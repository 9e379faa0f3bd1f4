//! A Job's annotations, which override its policy's knobs for that Job.
//!
//! An invalid value overrides nothing. Whether it is refused or only warned about is decided by
//! who brings it: see `decide`.

use super::knobs::KNOBS;
use super::{Policy, Ttl};
use crate::job::{Job, keys};

/// An annotation whose value is not one of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAnnotation {
    /// The annotation.
    pub key: &'static str,
    /// The value it has.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl std::fmt::Display for InvalidAnnotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value: String = self.value.chars().take(40).collect();
        write!(f, "annotation {} is {value:?}; allowed: {}", self.key, self.allowed)
    }
}

/// Whether an annotation overrides a knob.
pub fn overrides(key: &str) -> bool {
    KNOBS.iter().any(|knob| knob.annotation == key)
}

impl Policy {
    /// The policy as the Job's annotations override it, and the annotations that are invalid.
    pub fn for_job(&self, job: Job<'_>) -> (Self, Vec<InvalidAnnotation>) {
        let mut policy = self.clone();
        let mut invalid = Vec::new();
        let mut refuse = |key, value: &str, allowed| {
            invalid.push(InvalidAnnotation { key, value: value.to_owned(), allowed });
        };
        for knob in KNOBS {
            if let Some(text) = job.annotation(knob.annotation)
                && policy.set(knob, &knob.values.of_text(text)).is_none()
            {
                refuse(knob.annotation, text, knob.values.to_string());
            }
        }
        if let Some(text) = job.annotation(keys::SKIP)
            && !matches!(text, "true" | "false")
        {
            refuse(keys::SKIP, text, "true, false".to_owned());
        }
        (policy, invalid)
    }
}

/// The TTL that the Job's own annotation asks for.
pub fn ttl(job: Job<'_>) -> Option<Ttl> {
    Policy::default().for_job(job).0.ttl_seconds_after_finished
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::knobs::Values;

    fn overridden(annotations: serde_json::Value) -> (Policy, Vec<InvalidAnnotation>) {
        let job = json!({ "metadata": { "annotations": annotations } });
        Policy::default().for_job(Job::new(&job))
    }

    #[test]
    fn each_annotation_overrides_its_knob() {
        for knob in KNOBS {
            let value = match knob.values {
                Values::OneOf(names) => json!(names.last()),
                Values::Number { least, .. } => json!(least),
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let (policy, invalid) =
                overridden(json!({ knob.annotation: text, keys::SKIP: "false" }));
            assert_eq!(invalid, [], "{}", knob.name);
            let mut expected = serde_json::to_value(Policy::default()).unwrap();
            expected[knob.name] = value;
            assert_eq!(serde_json::to_value(policy).unwrap(), expected);
        }
    }

    #[test]
    fn an_invalid_value_overrides_nothing_and_names_the_allowed_ones() {
        for (key, value, allowed) in [
            ("rejob.dev/on-change", "keep", "Ignore"),
            ("rejob.dev/while-running", "", "Wait"),
            ("rejob.dev/wait-seconds", "0", "3600"),
            ("rejob.dev/wait-seconds", "+5", "3600"),
            ("rejob.dev/naming", "Hash", "TemplateHash"),
            ("rejob.dev/ttl-seconds-after-finished", "-1", "2147483647"),
            ("rejob.dev/ttl-seconds-after-finished", "", "2147483647"),
            ("rejob.dev/ttl-seconds-after-finished", "2147483648", "2147483647"),
            (keys::SKIP, "yes", "true"),
        ] {
            let (policy, invalid) = overridden(json!({ key: value }));
            assert_eq!(policy, Policy::default(), "{key}");
            assert_eq!(invalid.len(), 1, "{key}");
            assert!(invalid[0].to_string().contains(allowed), "{}", invalid[0]);
        }
    }
}
