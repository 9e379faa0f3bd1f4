//! Which rights rejob's service account needs, exactly: what a replacement and the cleaning up after
//! one take, and what keeping its own certificate or path token takes. Pure.

use serde_json::{Value, json};

use super::installation::Settings;

/// One right, as a SubjectAccessReview asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededRight {
    /// The verb.
    pub verb: &'static str,
    /// The API group; empty is the core one.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The namespace; empty is the whole cluster.
    pub namespace: String,
    /// The object's name; empty is any.
    pub name: String,
}

impl NeededRight {
    /// `delete jobs.batch in the namespace shop`.
    pub fn describe(&self) -> String {
        let mut words = format!("{} {}", self.verb, self.resource);
        if !self.group.is_empty() {
            words = format!("{words}.{}", self.group);
        }
        if !self.name.is_empty() && self.name != self.namespace {
            words = format!("{words} named {}", self.name);
        }
        if self.namespace.is_empty() {
            words
        } else {
            format!("{words} in the namespace {}", self.namespace)
        }
    }

    /// The `spec` of the SubjectAccessReview for that user.
    pub fn review(&self, namespace: &str, account: &str) -> Value {
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:{account}"),
                "groups": [
                    "system:serviceaccounts",
                    format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ],
                "resourceAttributes": {
                    "verb": self.verb, "group": self.group, "resource": self.resource,
                    "namespace": self.namespace, "name": self.name,
                }
            }
        })
    }

    /// The command that shows the same.
    pub fn command(&self, namespace: &str, account: &str) -> String {
        let mut resource = self.resource.to_owned();
        if !self.group.is_empty() {
            resource = format!("{resource}.{}", self.group);
        }
        if !self.name.is_empty() {
            resource = format!("{resource}/{}", self.name);
        }
        let place = match self.namespace.as_str() {
            "" if matches!(self.resource, "jobs" | "pods" | "events") => " --all-namespaces".into(),
            "" => String::new(),
            namespace => format!(" --namespace {namespace}"),
        };
        let verb = self.verb;
        format!(
            "kubectl auth can-i {verb} {resource}{place} --as system:serviceaccount:{namespace}:{account}"
        )
    }
}

/// What checks in the user's name take on Jobs (constrained impersonation, KEP-5284).
const IMPERSONATE_ON: [&str; 4] = [
    "impersonate-on:user-info:create",
    "impersonate-on:user-info:delete",
    "impersonate-on:serviceaccount:create",
    "impersonate-on:serviceaccount:delete",
];

/// All rights that an installation in `namespace` needs; `checks` and `replaces`: whether some policy
/// asks the cluster for checks, and whether some policy replaces.
pub fn needed(
    namespace: &str,
    settings: &Settings,
    checks: bool,
    replaces: bool,
) -> Vec<NeededRight> {
    let right = |verb, group, resource, namespace: &str, name: &str| NeededRight {
        verb,
        group,
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let mut rights = Vec::new();
    if checks {
        if settings.check_as_user {
            let group = "authentication.k8s.io";
            for resource in ["users", "uids", "groups", "userextras"] {
                rights.push(right("impersonate:user-info", group, resource, "", ""));
            }
            rights.push(right("impersonate:serviceaccount", group, "serviceaccounts", "", ""));
        } else {
            let access = "subjectaccessreviews";
            rights.push(right("create", "authorization.k8s.io", access, "", ""));
        }
        let everywhere = [String::new()];
        let places: &[String] =
            if settings.namespaces.is_empty() { &everywhere } else { &settings.namespaces };
        for place in places {
            let more: &[&str] = if replaces { &["list", "delete"] } else { &[] };
            for verb in ["get", "create"].iter().chain(more).copied() {
                rights.push(right(verb, "batch", "jobs", place, ""));
            }
            for verb in IMPERSONATE_ON.into_iter().filter(|_| settings.check_as_user) {
                rights.push(right(verb, "batch", "jobs", place, ""));
            }
            rights.push(right("list", "", "pods", place, ""));
            // A Namespace is in the namespace of its own name.
            rights.push(right("get", "", "namespaces", place, place));
            rights.push(right("create", "", "events", place, ""));
        }
    }
    // The Secret that it writes itself.
    let own_secret = if settings.self_managed {
        settings.secret.as_deref()
    } else {
        settings.token_secret.as_deref()
    };
    if let Some(configuration) = &settings.configuration {
        let (group, resource) = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations");
        if replaces || own_secret.is_some() {
            rights.push(right("get", group, resource, "", configuration));
        }
        if own_secret.is_some() {
            rights.push(right("patch", group, resource, "", configuration));
        }
    }
    if let Some(secret) = own_secret {
        rights.push(right("create", "", "secrets", namespace, ""));
        for verb in ["get", "patch"] {
            rights.push(right(verb, "", "secrets", namespace, secret));
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(settings: &Settings, replaces: bool) -> Vec<String> {
        needed("sys", settings, replaces, replaces).iter().map(NeededRight::describe).collect()
    }

    #[test]
    fn replacing_takes_jobs_access_reviews_namespaces_events_and_a_look_at_the_configuration() {
        let expected = [
            "create subjectaccessreviews.authorization.k8s.io",
            "get jobs.batch",
            "create jobs.batch",
            "list jobs.batch",
            "delete jobs.batch",
            "list pods",
            "get namespaces",
            "create events",
            "get mutatingwebhookconfigurations.admissionregistration.k8s.io named 00-rejob",
        ];
        let settings = Settings { configuration: Some("00-rejob".into()), ..Settings::default() };
        assert_eq!(words(&settings, true), expected);
        assert_eq!(words(&settings, false), [""; 0]);
    }

    #[test]
    fn reporting_takes_dry_runs_and_no_deletion() {
        let settings = Settings { configuration: Some("00-rejob".into()), ..Settings::default() };
        let rights: Vec<_> =
            needed("sys", &settings, true, false).iter().map(NeededRight::describe).collect();
        let expected = [
            "create subjectaccessreviews.authorization.k8s.io",
            "get jobs.batch",
            "create jobs.batch",
            "list pods",
            "get namespaces",
            "create events",
        ];
        assert_eq!(rights, expected);
    }

    #[test]
    fn restricted_to_namespaces_it_needs_them_there_only() {
        let settings = Settings { namespaces: vec!["a".into(), "b".into()], ..Settings::default() };
        let words = words(&settings, true);
        assert_eq!(words.len(), 1 + 2 * 7);
        assert!(words.contains(&"delete jobs.batch in the namespace b".to_owned()));
        assert!(words.contains(&"get namespaces in the namespace a".to_owned()));
        assert!(!words.contains(&"list jobs.batch".to_owned()));
    }

    #[test]
    fn checks_as_the_user_take_rights_to_act_for_users_in_place_of_access_reviews() {
        let settings = Settings { check_as_user: true, ..Settings::default() };
        let words = words(&settings, true);
        assert!(!words.iter().any(|right| right.contains("subjectaccessreviews")), "{words:?}");
        for right in [
            "impersonate:user-info users.authentication.k8s.io",
            "impersonate:user-info userextras.authentication.k8s.io",
            "impersonate:serviceaccount serviceaccounts.authentication.k8s.io",
            "impersonate-on:user-info:create jobs.batch",
            "impersonate-on:serviceaccount:delete jobs.batch",
        ] {
            assert!(words.contains(&right.to_owned()), "{right}: {words:?}");
        }
    }

    #[test]
    fn a_certificate_of_its_own_takes_its_secret_and_its_configuration() {
        let settings = Settings {
            secret: Some("rejob-tls".into()),
            configuration: Some("00-rejob".into()),
            self_managed: true,
            ..Settings::default()
        };
        let expected = [
            "get mutatingwebhookconfigurations.admissionregistration.k8s.io named 00-rejob",
            "patch mutatingwebhookconfigurations.admissionregistration.k8s.io named 00-rejob",
            "create secrets in the namespace sys",
            "get secrets named rejob-tls in the namespace sys",
            "patch secrets named rejob-tls in the namespace sys",
        ];
        assert_eq!(words(&settings, false), expected);
        // So does a path token beside a certificate that is given.
        let settings = Settings {
            secret: Some("mine".into()),
            token_secret: Some("rejob-tls".into()),
            self_managed: false,
            ..settings
        };
        assert_eq!(words(&settings, false), expected);
    }

    #[test]
    fn patching_alone_with_given_certificates_takes_nothing() {
        assert_eq!(words(&Settings::default(), false), [""; 0]);
    }

    #[test]
    fn the_command_asks_as_the_service_account() {
        let right = &needed("sys", &Settings::default(), true, true)[4];
        assert_eq!(
            right.command("sys", "rejob"),
            "kubectl auth can-i delete jobs.batch --all-namespaces --as system:serviceaccount:sys:rejob"
        );
    }
}
