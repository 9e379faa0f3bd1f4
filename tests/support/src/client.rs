//! What a client can do to a Job, and the place where it does it.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::manifest;
use super::namespace::Namespace;
use super::output::Output;
use super::rejob::Rejob;

/// The name of the Job in every place.
pub const JOB: &str = "nightly";

/// What a client said: its output, or its error.
pub type Said = Result<String, String>;

/// One way to deploy a Job.
pub trait Client: Sync {
    /// The name in the table.
    fn title(&self) -> &'static str;

    /// Deploys the Job with that image, whatever is there now.
    fn deploy(&self, place: &Place<'_>, image: &str) -> Said;

    /// Asks what a deploy would do; `None` when the client cannot ask.
    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said>;

    /// Deploys and waits until the Job is complete.
    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        self.deploy(place, image)?;
        let job = format!("job/{JOB}");
        said(&place.namespace.kubectl(&[
            "wait",
            "--for=condition=complete",
            "--timeout=180s",
            &job,
        ]))
    }

    /// Goes back to the first image.
    fn roll_back(&self, place: &Place<'_>, first: &str) -> Said {
        self.deploy(place, first)
    }

    /// Deletes what was deployed.
    fn delete(&self, place: &Place<'_>) -> Said {
        said(&place.namespace.kubectl(&["delete", "job", JOB]))
    }

    /// Whether it deletes and creates the Job itself.
    fn recreates(&self) -> bool {
        false
    }

    /// Whether its writes name the revision that it has read, so that they conflict with the Job
    /// controller's.
    fn names_a_revision(&self) -> bool {
        false
    }

    /// Whether it tries again by itself after a 429.
    fn retries(&self) -> bool {
        true
    }

    /// Whether every deploy deletes the Job and creates it anew, changed or not.
    fn reruns_unchanged(&self) -> bool {
        false
    }
}

/// A namespace of its own, with or without the opt-in label, and a folder for files.
pub struct Place<'r> {
    pub rejob: &'r Rejob<'r>,
    pub namespace: Namespace,
    dir: TempDir,
}

impl<'r> Place<'r> {
    pub fn new(rejob: &'r Rejob<'r>, opted_in: bool) -> Self {
        let namespace =
            if opted_in { rejob.namespace("replace") } else { rejob.unlabeled_namespace() };
        Self::in_namespace(rejob, namespace)
    }

    /// That namespace as a place.
    pub fn in_namespace(rejob: &'r Rejob<'r>, namespace: Namespace) -> Self {
        Self { rejob, namespace, dir: tempfile::tempdir().unwrap() }
    }

    /// A folder of this place.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The Job as it is stored.
    pub fn job(&self) -> Option<Value> {
        self.namespace.job(JOB)
    }

    /// The Job's uid, empty when there is none.
    pub fn uid(&self) -> String {
        let uid = self.job().map(|job| job["metadata"]["uid"].as_str().unwrap().to_owned());
        uid.unwrap_or_default()
    }
}

/// The manifest that every client deploys: of that image, and what follows a space is an argument.
pub fn job(image: &str) -> Value {
    let (image, argument) = image.split_once(' ').map_or((image, None), |(i, a)| (i, Some(a)));
    let mut job = manifest::job(JOB, image);
    job["metadata"]["labels"] = json!({ "app": JOB });
    job["spec"]["backoffLimit"] = json!(0);
    if let Some(argument) = argument {
        container(&mut job)["args"] = json!([argument]);
    }
    job
}

/// The container of a Job.
pub fn container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

/// What a command said.
pub fn said(output: &Output) -> Said {
    let text = format!("{}{}", output.stdout, output.stderr);
    if output.code == 0 { Ok(text) } else { Err(text) }
}
