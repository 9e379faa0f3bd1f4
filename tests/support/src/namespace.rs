//! A namespace of a test's own: its Jobs, its Pods, kubectl in it.
//!
//! Pods have no kubelet: `finish_pods`, `fail_pods` and `ready_pods` write what a kubelet would, and
//! the real Job controller does the rest.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::output::Output;
use super::plane::{self, ControlPlane};
use super::user::{Answer, User};
use super::wait;

/// A namespace, seen by one user.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    user: User,
    // Pods' status is the kubelet's: no test user has the right to write it.
    kubelet: User,
}

impl Namespace {
    pub(super) fn create(admin: User, name: &str, labels: &BTreeMap<&str, &str>) -> Self {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels }
        });
        admin.post("/api/v1/namespaces", &object).ok();
        Self { name: name.to_owned(), kubelet: admin.clone(), user: admin }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same namespace, seen by another user.
    pub fn seen_by(&self, user: User) -> Self {
        Self { user, ..self.clone() }
    }

    /// The same namespace, seen by a new user with these rights in it and no others: API group,
    /// resource, verbs. Returns when the API server knows of the rights.
    pub fn seen_with_rights(&self, plane: &ControlPlane, rights: &[(&str, &str, &[&str])]) -> Self {
        let name = format!("user-{}", plane::unique());
        let rules: Vec<_> = rights
            .iter()
            .map(|(group, resource, verbs)| {
                json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
            })
            .collect();
        let path = |resource| {
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{resource}", self.name)
        };
        let metadata = json!({ "name": name });
        let role = json!({ "metadata": metadata, "rules": rules });
        self.kubelet.post(&path("roles"), &role).ok();
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": metadata,
            "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
            "subjects": [{ "apiGroup": group, "kind": "User", "name": name }],
        });
        self.kubelet.post(&path("rolebindings"), &binding).ok();
        let user = plane.user(&name, None);
        for (group, resource, verbs) in rights {
            for verb in *verbs {
                let attributes = json!({
                    "namespace": self.name, "group": group, "resource": resource, "verb": verb,
                });
                wait::until(&format!("{name} may {verb} {resource}"), || {
                    let review = json!({ "spec": { "resourceAttributes": attributes } });
                    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
                    (user.post(path, &review).ok()["status"]["allowed"] == true).then_some(())
                });
            }
        }
        self.seen_by(user)
    }

    /// The user who sees it.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The path of the Jobs.
    pub fn jobs_path(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.name)
    }

    /// The path of a Job.
    pub fn job_path(&self, name: &str) -> String {
        format!("{}/{name}", self.jobs_path())
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        self.kubectl_with("", args)
    }

    /// Runs kubectl in this namespace with a manifest on its stdin; `-f -` must be among the
    /// arguments.
    pub fn kubectl_with(&self, manifest: &str, args: &[&str]) -> Output {
        let mut all = vec!["--namespace", &self.name];
        all.extend(args);
        self.user.kubectl(&all, manifest)
    }

    /// Creates a Job with a plain POST.
    pub fn create_job(&self, job: &Value) -> Answer {
        self.user.post(&format!("{}?fieldManager=test", self.jobs_path()), job)
    }

    /// The Job of that name.
    pub fn job(&self, name: &str) -> Option<Value> {
        let answer = self.kubelet.get(&self.job_path(name));
        (answer.status != 404).then(|| answer.ok())
    }

    /// All Jobs.
    pub fn jobs(&self) -> Vec<Value> {
        let list = self.kubelet.get(&self.jobs_path()).ok();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The names of all Jobs, sorted.
    pub fn job_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.jobs().iter().map(name_of).collect();
        names.sort();
        names
    }

    /// The Pods of a Job of this uid.
    pub fn pods(&self, job_uid: &str) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{}/pods", self.name);
        let selector = format!("batch.kubernetes.io%2Fcontroller-uid%3D{job_uid}");
        let list = self.kubelet.get(&format!("{path}?labelSelector={selector}")).ok();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// How often a Pod was started for a Job here, of whatever template: the Job controller's own
    /// Events, which stay when the Job and its Pods go.
    pub fn runs(&self) -> usize {
        let reason = "?fieldSelector=reason%3DSuccessfulCreate";
        let path = format!("/api/v1/namespaces/{}/events{reason}", self.name);
        self.kubelet.get(&path).ok()["items"].as_array().map_or(0, Vec::len)
    }

    /// Waits until the Job controller has told of that many runs, and checks that it told of no
    /// more.
    #[track_caller]
    pub fn assert_ran(&self, times: usize) {
        wait::until("the Job controller tells of its runs", || {
            (self.runs() >= times).then_some(())
        });
        assert_eq!(self.runs(), times, "runs of any template");
    }

    /// Waits for the Pods that the Job runs, lets them succeed, and waits until the Job is complete.
    pub fn finish_pods(&self, job: &str) {
        self.end_pods(job, "Succeeded", "Complete");
    }

    /// As [`Self::finish_pods`], but all Pods fail, again and again, until the Job has failed.
    pub fn fail_pods(&self, job: &str) {
        self.end_pods(job, "Failed", "Failed");
    }

    fn end_pods(&self, job: &str, phase: &str, condition: &str) {
        wait::until(&format!("the Job {job} has the condition {condition}"), || {
            // Gone is finished too: a short TTL may be faster than this loop.
            let Some(object) = self.job(job) else { return Some(()) };
            let uid = object["metadata"]["uid"].as_str().expect("a Job has a uid");
            for pod in self.pods(uid) {
                if !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                    self.set_status(&pod, &json!({ "phase": phase }));
                }
            }
            has_condition(&object, condition).then_some(())
        });
    }

    /// Waits for the Pods that the Job runs, makes them Ready, and waits until the Job knows.
    pub fn ready_pods(&self, job: &str) {
        let ready = json!({
            "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }]
        });
        wait::until(&format!("the Job {job} has ready Pods"), || {
            let object = self.job(job).unwrap_or_else(|| panic!("the Job {job} is gone"));
            let uid = object["metadata"]["uid"].as_str().expect("a Job has a uid");
            for pod in self.pods(uid) {
                if pod["status"]["phase"] == "Pending" {
                    self.set_status(&pod, &ready);
                }
            }
            (object["status"]["ready"].as_i64() > Some(0)).then_some(())
        });
    }

    /// Waits until the Job has started a Pod, and the Job controller has counted it: then it writes
    /// nothing more until something happens. The Pods.
    pub fn started_pods(&self, job: &str) -> Vec<Value> {
        wait::until(&format!("the Job {job} starts a Pod"), || {
            let object = self.job(job)?;
            let pods = self.pods(object["metadata"]["uid"].as_str()?);
            let counts = ["active", "succeeded", "failed"].map(|field| &object["status"][field]);
            let counted = counts.iter().any(|count| count.as_i64() > Some(0));
            (counted && !pods.is_empty()).then_some(pods)
        })
    }

    /// Puts a Pod on a node: from then on it is the kubelet that ends it when it is deleted.
    pub fn bind(&self, pod: &Value) {
        let path = format!("/api/v1/namespaces/{}/pods/{}/binding", self.name, name_of(pod));
        let binding = json!({
            "metadata": { "name": name_of(pod) },
            "target": { "apiVersion": "v1", "kind": "Node", "name": "node" },
        });
        self.kubelet.post(&path, &binding).ok();
    }

    /// Writes a Pod's status.
    pub fn set_status(&self, pod: &Value, status: &Value) {
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", self.name, name_of(pod));
        let answer = self.kubelet.patch("merge", &path, &json!({ "status": status }));
        // The Pod may have gone since it was listed.
        assert!(answer.status == 404 || answer.status == 200, "{} {}", answer.status, answer.body);
    }
}

/// `metadata.name`.
pub fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("an object has a name").to_owned()
}

/// Whether a condition of that type is true.
pub fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}
