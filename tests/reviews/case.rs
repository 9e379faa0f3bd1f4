//! A golden case: a small file that says which rule it shows, over a base object.
//!
//! `create:` is a JSON merge patch over `base/created.yaml`; `old:` one over `base/stored.yaml`, and
//! `update:` one over that old Job. `object:` and `oldObject:` are taken as they stand instead.
//! `HASH_OF_OLD` and `HASH_OF_NEW` stand for the template hashes of the two objects, and
//! `containers:` in a patch replaces the whole list, as merge patches do.

use std::path::{Path, PathBuf};

use rejob::decide::{Context, Decision, decide};
use rejob::job::TemplateHash;
use rejob::policy::Policy;
use rejob::review::{self, Request};
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
    remembered: Option<String>,
    #[serde(default)]
    applied_just_now: bool,
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/reviews")
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
        for (word, hash) in hashes {
            text = text.replace(word, hash.as_ref().map_or("", TemplateHash::as_str));
        }
        serde_json::from_str(&text).unwrap()
    }

    pub fn decide(&self, request: &Request) -> Decision {
        let object = || request.object.as_ref().unwrap();
        let remembered = self.context.remembered.as_ref().map(|text| match text.as_str() {
            "HASH_OF_NEW" => TemplateHash::of(object()),
            text => TemplateHash::parse(text).unwrap(),
        });
        let context = Context {
            own_user: self.context.own_user.as_deref(),
            own_namespace: self.context.own_namespace.as_deref(),
            server_minor: self.context.server_minor,
            remembered,
            asked: None,
            held: false,
            given_up: false,
            applied_just_now: self.context.applied_just_now,
        };
        decide(request, &self.policy, &context)
    }

    /// The request as parsed from the bytes of the review.
    pub fn request(&self) -> Request {
        review::parse(self.review().to_string().as_bytes()).unwrap()
    }
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
