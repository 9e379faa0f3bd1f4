//! What comes of a call of the API server that fails.

/// The reason of [`ApiError::not_impersonated`], which the API server does not use.
const NOT_IMPERSONATED: &str = "NotImpersonated";

/// A call that the API server did not answer with success.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status; 0 where there was no answer (connection, timeout).
    pub code: u16,
    /// The API server's own word for it (`AlreadyExists`, `Conflict`, …); empty without an answer.
    pub reason: String,
    /// The API server's own message, or what failed.
    pub message: String,
}

impl ApiError {
    /// No answer.
    pub fn unanswered(message: impl Into<String>) -> Self {
        Self { code: 0, reason: String::new(), message: message.into() }
    }

    /// The user cannot be named in a request header.
    pub fn not_impersonated(message: impl Into<String>) -> Self {
        Self { code: 403, reason: NOT_IMPERSONATED.to_owned(), message: message.into() }
    }

    /// The name is taken. Not every 409 says so: quota and webhooks answer with 409 as well.
    pub fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists" && !self.is_by_a_webhook()
    }

    /// A deletion found another Job than its preconditions name, or none.
    pub fn is_stale(&self) -> bool {
        matches!(self.code, 404 | 409) && !self.is_by_a_webhook()
    }

    /// Some admission webhook refused, with whatever code and reason it chose
    /// (`ToStatusErr` in `k8s.io/apiserver/pkg/admission/plugin/webhook/errors`).
    pub fn is_by_a_webhook(&self) -> bool {
        self.message.starts_with("admission webhook ")
    }

    /// Whether a quota has no room: the deleted Job is not counted down yet, or another came first.
    pub fn is_exceeded_quota(&self) -> bool {
        self.code == 403 && self.message.contains("exceeded quota")
    }

    /// The verb that the API server's authorization denies: `… is forbidden: User "ada" cannot delete
    /// resource "jobs" …` (`ForbiddenStatusError` in `k8s.io/apiserver`). Admission refuses with 403
    /// as well, in other words.
    pub fn denied_verb(&self) -> Option<&str> {
        if self.code != 403 || self.is_by_a_webhook() {
            return None;
        }
        let (_, denial) = self.message.split_once(" is forbidden: User \"")?;
        // In a quoted name a quotation mark has a backslash in front.
        let (denial, _) = denial.split_once(" resource \"")?;
        denial.rsplit_once("\" cannot ").map(|(_, verb)| verb)
    }

    /// Whether rejob may not act in that user's name.
    pub fn is_denied_impersonation(&self) -> bool {
        self.reason == NOT_IMPERSONATED
            || self.denied_verb().is_some_and(|verb| verb.starts_with("impersonate"))
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code, 0 | 429 | 500..=599)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(message: &str) -> ApiError {
        ApiError { code: 403, reason: "Forbidden".into(), message: message.into() }
    }

    #[test]
    fn a_denied_right_is_told_from_what_admission_refuses() {
        for (message, verb) in [
            (
                r#"jobs.batch "nightly" is forbidden: User "ada" cannot delete resource "jobs" in API group "batch" in the namespace "team""#,
                Some("delete"),
            ),
            (
                r#"jobs.batch is forbidden: User "a\" cannot fly resource \"b" cannot create resource "jobs" in API group "batch": no"#,
                Some("create"),
            ),
            (r#"jobs.batch "nightly" is forbidden: exceeded quota: jobs"#, None),
            (
                r#"jobs.batch "nightly" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#,
                None,
            ),
            (
                r#"admission webhook "a" denied the request: x is forbidden: User "a" cannot delete resource "jobs""#,
                None,
            ),
        ] {
            assert_eq!(forbidden(message).denied_verb(), verb, "{message}");
        }
    }

    #[test]
    fn a_denied_impersonation_is_no_denied_right_of_the_user() {
        for message in [
            r#"jobs.batch is forbidden: User "rejob" cannot impersonate-on:user-info:create resource "jobs" in API group "batch" in the namespace "team""#,
            r#"users.authentication.k8s.io "ada" is forbidden: User "rejob" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope"#,
            r#"users "ada" is forbidden: User "rejob" cannot impersonate resource "users" in API group "" at the cluster scope"#,
        ] {
            assert!(forbidden(message).is_denied_impersonation(), "{message}");
        }
        assert!(ApiError::not_impersonated("odd").is_denied_impersonation());
        let users = r#"jobs.batch is forbidden: User "ada" cannot create resource "jobs""#;
        assert!(!forbidden(users).is_denied_impersonation());
    }
}
