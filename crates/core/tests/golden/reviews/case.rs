//! A golden case: a small file that says which rule it shows, over a base object.
//!
//! `create:` is a JSON merge patch over `base/created.yaml`; `old:` one over `base/stored.yaml`, and
//! `update:` one over that old Job. `object:` and `oldObject:` are taken as they stand instead.
//! `HASH_OF_OLD` and `HASH_OF_NEW` stand for the template hashes of the two objects, `HASH_OF_BASE` for
//! that of `base/stored.yaml`, `HASH_OF_MANIFEST` for that of the old one's last-applied manifest,
//! `IDENTITY_OF_ALICE` for the digest of who sends a case's request by default, `IDENTITY_OF_A_MASTER`
//! for that of the same user in `system:masters`. `containers:` in a patch replaces the whole list, as
//! merge patches do.

use std::path::{Path, PathBuf};

use rejob_core::decide::{Context, Decision, Fact, decide};
use rejob_core::job::{Job, TemplateHash, last_applied};
use rejob_core::policy::Policy;
use rejob_core::replacement::identity;
use rejob_core::review::{self, Request, UserInfo};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// The rule, in one sentence.
    pub rule: String,
    /// The label of the reason that must come out.
    pub expect: String,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    context: Facts,
    #[serde(default)]
    request: Sent,
    create: Option<Value>,
    old: Option<Value>,
    update: Option<Value>,
    object: Option<Value>,
    old_object: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Facts {
    own_user: Option<String>,
    own_namespace: Option<String>,
    server_minor: Option<u32>,
    #[serde(default)]
    applied_just_now: bool,
    #[serde(default)]
    was_told_to_wait: bool,
    #[serde(default)]
    given_up: bool,
    /// What the new Job would be stored as: a merge patch over the request's object; `failed` where
    /// the API server does not say.
    creation: Option<Value>,
    /// The Pods of the old Job; `failed` where the look at them failed.
    pods: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent {
    user: Option<String>,
    manager: Option<String>,
    #[serde(default)]
    dry_run: bool,
    operation: Option<String>,
    sub_resource: Option<String>,
    namespace: Option<String>,
    kind: Option<Value>,
}

/// The folder of the cases.
pub fn folder() -> PathBuf {
    crate::cases().join("reviews")
}

impl Case {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The review as the API server would send it.
    pub fn review(&self) -> Value {
        let old = self.old_object.clone().or_else(|| {
            (self.old.is_some() || self.update.is_some())
                .then(|| merged(&base("stored"), self.old.as_ref()))
        });
        let object = self.object.clone().unwrap_or_else(|| match &old {
            Some(old) => merged(old, self.update.as_ref()),
            None => merged(&base("created"), self.create.as_ref()),
        });
        let hashes = [("HASH_OF_OLD", old.as_ref()), ("HASH_OF_NEW", Some(&object))]
            .map(|(word, job)| (word, job.map(TemplateHash::of)));
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let sent = &self.request;
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "review-uid",
                "kind": sent.kind.clone().unwrap_or_else(
                    || json!({ "group": "batch", "version": "v1", "kind": "Job" })),
                "operation": sent.operation.as_deref().unwrap_or(operation),
                "subResource": sent.sub_resource,
                "namespace": sent.namespace.as_deref().unwrap_or("team"),
                "name": object.pointer("/metadata/name").cloned().unwrap_or(json!("")),
                "userInfo": { "username": sent.user.as_deref().unwrap_or("alice"),
                              "groups": ["system:authenticated"] },
                "object": object,
                "oldObject": old,
                "dryRun": sent.dry_run,
                "options": { "fieldManager": sent.manager.as_deref().unwrap_or("kubectl-create") },
            }
        });
        let mut text = review.to_string();
        let manifest = old.as_ref().and_then(|old| last_applied(Job::new(old)));
        let manifest = manifest.as_ref().map(TemplateHash::of);
        let alice = |groups: &[&str]| UserInfo {
            username: "alice".to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..UserInfo::default()
        };
        let master = alice(&["system:authenticated", "system:masters"]);
        text = text.replace("IDENTITY_OF_ALICE", &identity(&alice(&["system:authenticated"])));
        text = text.replace("IDENTITY_OF_A_MASTER", &identity(&master));
        let stored = Some(TemplateHash::of(&base("stored")));
        let others = [("HASH_OF_MANIFEST", manifest), ("HASH_OF_BASE", stored)];
        for (word, hash) in hashes.into_iter().chain(others) {
            text = text.replace(word, hash.as_ref().map_or("", TemplateHash::as_str));
        }
        serde_json::from_str(&text).unwrap()
    }

    pub fn decide(&self, request: &Request) -> Decision {
        let facts = &self.context;
        let creation = match &facts.creation {
            Some(patch @ Value::Object(_)) => {
                Fact::Known(merged(request.object.as_ref().unwrap(), Some(patch)))
            }
            Some(other) => failed(other),
            None => Fact::Unavailable,
        };
        let pods = match &facts.pods {
            Some(Value::Array(pods)) => Fact::Known(pods.clone()),
            Some(other) => failed(other),
            None => Fact::Known(Vec::new()),
        };
        let context = Context {
            own_user: facts.own_user.as_deref(),
            own_namespace: facts.own_namespace.as_deref(),
            server_minor: facts.server_minor,
            was_told_to_wait: facts.was_told_to_wait,
            given_up: facts.given_up,
            applied_just_now: facts.applied_just_now,
            creation,
            pods,
        };
        decide(request, &self.policy, &context)
    }

    /// The request as parsed from the bytes of the review.
    pub fn request(&self) -> Request {
        review::parse(self.review().to_string().as_bytes()).unwrap()
    }
}

/// A fact that nobody could tell.
fn failed<T>(stated: &Value) -> Fact<T> {
    assert_eq!(stated, "failed", "a fact is given or failed");
    Fact::Failed("no answer".to_owned())
}

fn base(name: &str) -> Value {
    let path = folder().join(format!("base/{name}.yaml"));
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn merged(base: &Value, patch: Option<&Value>) -> Value {
    let mut result = base.clone();
    if let Some(patch) = patch {
        json_patch::merge(&mut result, patch);
    }
    result
}
