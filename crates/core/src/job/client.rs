//! Who made a Job: the client, read off the marks that each one leaves.
//!
//! It decides whether a Job may be renamed (a client that looks its Job up by the old name would
//! not find it again), whether it gets the policy's TTL, and the `client` label of the metrics.

use crate::labeled;

use super::{Job, LAST_APPLIED_CONFIGURATION, has_apply_entry};

labeled! {
    /// A client that applies manifests, with its name in a sentence.
    pub enum Client [2];
    /// `kubectl apply`, client-side (last-applied annotation).
    KubectlApply = "kubectl-apply", "kubectl apply";
    /// Helm (`meta.helm.sh/release-name`).
    Helm = "helm", "Helm";
    /// Argo CD (tracking-id annotation or instance label).
    ArgoCd = "argocd", "Argo CD";
    /// Flux (`kustomize.toolkit.fluxcd.io/*`, `helm.toolkit.fluxcd.io/*` labels).
    Flux = "flux", "Flux";
    /// Fleet (`objectset.rio.cattle.io/*`).
    Fleet = "fleet", "Fleet";
    /// kapp (`kapp.k14s.io/*`).
    Kapp = "kapp", "kapp";
    /// Perhaps Argo CD, by its default instance label, which is a recommended label as well.
    InstanceLabel = "instance-label", "perhaps Argo CD (app.kubernetes.io/instance)";
    /// Terraform or Pulumi, which keep the name in their own state.
    StateFile = "terraform-pulumi", "Terraform or Pulumi";
    /// Anything else.
    Other = "other", "this client";
}

impl Client {
    /// Reads the marks of a Job and the field manager of the request; the most telling come first.
    pub fn of(job: Job<'_>, field_manager: Option<&str>) -> Self {
        let annotated = |prefix: &str| job.annotations().any(|(key, _)| key.starts_with(prefix));
        let labeled = |prefix: &str| job.labels().any(|(key, _)| key.starts_with(prefix));
        let manager = field_manager.unwrap_or_default();
        // The second one is its user agent, which stands in for the first where it creates or replaces.
        if matches!(manager, "argocd-controller" | "argocd-application-controller")
            || annotated("argocd.argoproj.io/tracking-id")
            || labeled("argocd.argoproj.io/instance")
        {
            Self::ArgoCd
        } else if matches!(manager, "kustomize-controller" | "helm-controller")
            || labeled("kustomize.toolkit.fluxcd.io/")
            || labeled("helm.toolkit.fluxcd.io/")
        {
            Self::Flux
        } else if manager == "fleetagent"
            || annotated("objectset.rio.cattle.io/")
            || labeled("objectset.rio.cattle.io/")
        {
            Self::Fleet
        } else if annotated("kapp.k14s.io/") || labeled("kapp.k14s.io/") {
            Self::Kapp
        } else if manager == "helm" || annotated("meta.helm.sh/release-name") {
            Self::Helm
        } else if annotated(LAST_APPLIED_CONFIGURATION) {
            Self::KubectlApply
        } else if labeled("app.kubernetes.io/instance") {
            // If in doubt, keep the name, which is never wrong.
            Self::InstanceLabel
        } else if ["terraform", "hashicorp", "pulumi"]
            .iter()
            .any(|tool| manager.to_ascii_lowercase().starts_with(tool))
        {
            Self::StateFile
        } else {
            Self::Other
        }
    }

    /// How a sentence names the client.
    pub fn title(self) -> &'static str {
        let [_, title] = self.words();
        title
    }

    /// The tool that keeps the Job in step with a source, so that it creates the Job again when the
    /// Job vanishes.
    ///
    /// The field managers of the Job count as well as the request's: Argo CD that tracks by a label of
    /// its own leaves no other mark, and a user's `kubectl set image` does not take the Job out of its
    /// hands. [`Self::InstanceLabel`] is not such a tool: many charts set that label, and Argo CD sends
    /// its field manager with every write.
    pub fn gitops_tool(job: Job<'_>, field_manager: Option<&str>) -> Option<Self> {
        Self::all_of(job, field_manager)
            .find(|client| matches!(client, Self::ArgoCd | Self::Flux | Self::Fleet))
    }

    /// The client of the request, then those of the Job's field managers: some clients send no
    /// `fieldManager`, and the API server then takes the first word of the user agent.
    fn all_of<'a>(job: Job<'a>, field_manager: Option<&'a str>) -> impl Iterator<Item = Self> + 'a {
        std::iter::once(field_manager)
            .chain(job.managers().map(Some))
            .map(move |manager| Self::of(job, manager))
    }
}

/// The field manager of `kubectl replace`, with and without `--force`.
pub const KUBECTL_REPLACE: &str = "kubectl-replace";

/// Why a Job's name must stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKeeper {
    /// A server-side apply: a rename would store the object under another key than its name.
    ServerSideApply,
    /// `kubectl replace --force`: it deletes the Job of the manifest's name before it creates one.
    KubectlReplace,
    /// The client will look the Job up by the name it sent.
    Client(Client),
}

impl NameKeeper {
    /// Who keeps the name of a created Job, if anyone.
    pub fn of(job: Job<'_>, field_manager: Option<&str>) -> Option<Self> {
        if has_apply_entry(job) {
            return Some(Self::ServerSideApply);
        }
        if field_manager == Some(KUBECTL_REPLACE) {
            return Some(Self::KubectlReplace);
        }
        let client = Client::all_of(job, field_manager).find(|client| *client != Client::Other)?;
        Some(Self::Client(client))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn marked(kind: &str, key: &str) -> Value {
        json!({ "metadata": { kind: { key: "x" } } })
    }

    #[test]
    fn clients_are_known_by_their_marks() {
        for (job, client) in [
            (
                marked("annotations", "kubectl.kubernetes.io/last-applied-configuration"),
                Client::KubectlApply,
            ),
            (marked("annotations", "meta.helm.sh/release-name"), Client::Helm),
            (marked("annotations", "argocd.argoproj.io/tracking-id"), Client::ArgoCd),
            (marked("labels", "argocd.argoproj.io/instance"), Client::ArgoCd),
            (marked("labels", "app.kubernetes.io/instance"), Client::InstanceLabel),
            (marked("labels", "kustomize.toolkit.fluxcd.io/name"), Client::Flux),
            (marked("labels", "helm.toolkit.fluxcd.io/name"), Client::Flux),
            (marked("annotations", "objectset.rio.cattle.io/id"), Client::Fleet),
            (marked("labels", "objectset.rio.cattle.io/hash"), Client::Fleet),
            (marked("labels", "kapp.k14s.io/app"), Client::Kapp),
            (marked("annotations", "kapp.k14s.io/identity"), Client::Kapp),
            (marked("labels", "app"), Client::Other),
        ] {
            assert_eq!(Client::of(Job::new(&job), None), client, "{job}");
        }
    }

    #[test]
    fn a_gitops_tool_is_known_by_its_marks_or_by_any_field_manager() {
        let tool = |job: &Value, manager| Client::gitops_tool(Job::new(job), manager);
        let managed = |by: &str| json!({ "metadata": { "managedFields": [{ "manager": by }] } });
        let plain = json!({});
        for manager in ["argocd-controller", "argocd-application-controller"] {
            assert_eq!(tool(&plain, Some(manager)), Some(Client::ArgoCd));
            assert_eq!(tool(&managed(manager), Some("kubectl-set")), Some(Client::ArgoCd));
        }
        assert_eq!(tool(&managed("fleetagent"), None), Some(Client::Fleet));
        let flux = marked("labels", "helm.toolkit.fluxcd.io/name");
        assert_eq!(tool(&flux, Some("kubectl-set")), Some(Client::Flux));
        for (job, manager) in [
            (marked("labels", "app.kubernetes.io/instance"), "kubectl-create"),
            (marked("annotations", "meta.helm.sh/release-name"), "helm"),
            (managed("kubectl-create"), "kubectl-create"),
        ] {
            assert_eq!(tool(&job, Some(manager)), None, "{job}");
        }
    }

    #[test]
    fn every_client_is_listed() {
        // `Other` is the last variant.
        assert_eq!(Client::ALL.len(), Client::Other as usize + 1);
        let distinct: std::collections::HashSet<_> = Client::ALL.iter().collect();
        assert_eq!(distinct.len(), Client::ALL.len());
    }

    #[test]
    fn a_server_side_apply_always_keeps_its_name() {
        let job =
            json!({ "metadata": { "managedFields": [{ "manager": "x", "operation": "Apply" }] } });
        assert_eq!(NameKeeper::of(Job::new(&job), None), Some(NameKeeper::ServerSideApply));
    }

    #[test]
    fn a_tool_that_keeps_names_in_a_state_file_keeps_the_name() {
        let job = json!({ "metadata": { "managedFields": [{ "manager": "HashiCorp", "operation": "Update" }] } });
        assert_eq!(
            NameKeeper::of(Job::new(&job), None),
            Some(NameKeeper::Client(Client::StateFile))
        );
    }

    #[test]
    fn a_forced_replace_keeps_the_name() {
        let job = json!({});
        assert_eq!(
            NameKeeper::of(Job::new(&job), Some("kubectl-replace")),
            Some(NameKeeper::KubectlReplace)
        );
    }

    #[test]
    fn a_plain_create_keeps_no_name() {
        let job = json!({ "metadata": { "managedFields": [{ "manager": "kubectl-create", "operation": "Update" }] } });
        assert_eq!(NameKeeper::of(Job::new(&job), Some("kubectl-create")), None);
    }
}
