//! The names that the Jobs of a stream end with. Two that come to share one are one Job to
//! whoever applies the stream: the second overwrites the first, which never runs or is replaced.

use std::collections::HashMap;

use serde_json::Value;

use crate::commands::text_at;

/// The Jobs so far, by namespace and the name that they end with; with each the name it had.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(String, String), String>);

impl Names {
    /// Takes a Job as it was and as it comes out; what to warn of, when its name is taken. Jobs
    /// that have one name in the manifests and keep it are not rejob's doing.
    pub(super) fn take(&mut self, before: &Value, after: &Value) -> Option<String> {
        let name = |job| text_at(job, "/metadata/name").unwrap_or_default();
        let (was, is) = (name(before), name(after));
        if is.is_empty() {
            return None;
        }
        let namespace = text_at(after, "/metadata/namespace").unwrap_or_default().to_owned();
        let other = self.0.insert((namespace, is.to_owned()), was.to_owned())?;
        (was != is || other != is).then(|| {
            let jobs = if other == was {
                format!("two jobs {was}")
            } else {
                format!("jobs {other} and {was}")
            };
            format!(
                "{jobs} both become {is}, so that the second overwrites the first; give them \
                 different names or templates"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(namespace: Option<&str>, name: &str) -> Value {
        json!({ "metadata": { "namespace": namespace, "name": name } })
    }

    #[test]
    fn only_a_name_that_is_taken_by_renaming_is_told() {
        let mut names = Names::default();
        let mut take = |namespace, was, is| names.take(&job(namespace, was), &job(namespace, is));
        assert_eq!(take(None, "a", "a-1"), None);
        assert_eq!(take(Some("other"), "a", "a-1"), None);
        assert_eq!(take(None, "a", "a-2"), None);
        assert!(take(None, "a", "a-1").unwrap().starts_with("two jobs a both become a-1, "));
        assert!(take(None, "a-2", "a-2").unwrap().starts_with("jobs a and a-2 both become a-2, "));
        assert_eq!(take(None, "same", "same"), None);
        assert_eq!(take(None, "same", "same"), None);
        assert_eq!(names.take(&json!({}), &json!({})), None);
        assert_eq!(names.take(&json!({}), &json!({})), None);
    }
}
