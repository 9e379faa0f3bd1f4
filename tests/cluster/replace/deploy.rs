//! A Job `nightly` deployed in a namespace of its own, by one of several clients.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::helm::Helm;
use support::manifest::{self, annotation};
use support::namespace::Namespace;
use support::output::Output;
use support::user::Answer;
use support::wait;

/// The name of the Job.
pub const JOB: &str = "nightly";

/// How it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Apply,
    ServerSideApply,
    Helm3,
    Helm4,
    Put,
    MergePatch,
    StrategicMergePatch,
    JsonPatch,
    ForcedApply,
}

impl Client {
    pub const ALL: [Self; 5] =
        [Self::Apply, Self::ServerSideApply, Self::Helm3, Self::Helm4, Self::Put];

    /// Whether it sends a request again that was answered with 429.
    pub fn tries_again(self) -> bool {
        matches!(self, Self::Apply | Self::ServerSideApply | Self::Helm3 | Self::Helm4)
    }

    /// Whether it sends server-side applies.
    pub fn applies(self) -> bool {
        matches!(self, Self::ServerSideApply | Self::Helm4 | Self::ForcedApply)
    }
}

/// A namespace and a folder for files.
pub struct Place {
    pub namespace: Namespace,
    dir: TempDir,
}

impl Place {
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace, dir: tempfile::tempdir().unwrap() }
    }

    /// Deploys the Job with that image; panics unless the client succeeds.
    #[track_caller]
    pub fn deploy(&self, client: Client, image: &str) {
        if let Err(error) = self.try_deploy(client, image) {
            panic!("{client:?} failed: {error}");
        }
    }

    /// Deploys the Job with that image.
    pub fn try_deploy(&self, client: Client, image: &str) -> Result<String, String> {
        self.try_send(client, &Self::manifest(image))
    }

    /// Deploys that manifest of the Job; panics unless the client succeeds.
    #[track_caller]
    pub fn send(&self, client: Client, manifest: &Value) -> String {
        self.try_send(client, manifest).unwrap_or_else(|error| panic!("{client:?} failed: {error}"))
    }

    /// Deploys that manifest of the Job. A merge patch brings the whole manifest, a JSON patch the
    /// image alone.
    pub fn try_send(&self, client: Client, manifest: &Value) -> Result<String, String> {
        let job = manifest.to_string();
        let kubectl = |args: &[&str]| said(&self.namespace.kubectl_with(&job, args));
        match client {
            Client::Apply => kubectl(&["apply", "-f", "-"]),
            Client::ServerSideApply => kubectl(&["apply", "--server-side", "-f", "-"]),
            Client::Helm3 => said(&self.helm(Helm::V3_22, manifest)),
            Client::Helm4 => said(&self.helm(Helm::V4_3, manifest)),
            _ => {
                let answer = self.request(client, manifest, "");
                let text = answer.body.to_string();
                if (200..300).contains(&answer.status) {
                    Ok(text)
                } else {
                    Err(format!("{text} {:?}", answer.warnings))
                }
            }
        }
    }

    pub fn manifest(image: &str) -> Value {
        let mut job = manifest::job(JOB, image);
        job["spec"]["backoffLimit"] = json!(0);
        job
    }

    fn helm(&self, helm: Helm, manifest: &Value) -> Output {
        let chart = self.chart(manifest).display().to_string();
        self.namespace.helm(helm, &["upgrade", "--install", "r", &chart])
    }

    fn chart(&self, manifest: &Value) -> PathBuf {
        let chart = self.dir.path().join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        let about = "apiVersion: v2\nname: nightly\nversion: 1.0.0\n";
        fs::write(chart.join("Chart.yaml"), about).unwrap();
        fs::write(chart.join("templates/job.yaml"), manifest.to_string()).unwrap();
        chart
    }

    /// A request as scripts and libraries send it: a POST, or when the Job is there a change.
    pub fn request(&self, client: Client, manifest: &Value, query: &str) -> Answer {
        let user = self.namespace.user();
        let query = format!("?fieldManager=test{query}");
        let path = format!("{}{query}", self.namespace.job_path(JOB));
        let at = "/spec/template/spec/containers/0/image";
        match client {
            Client::ForcedApply => user.apply(&format!("{path}&force=true"), manifest),
            _ if self.namespace.job(JOB).is_none() => {
                user.post(&format!("{}{query}", self.namespace.jobs_path()), manifest)
            }
            Client::MergePatch => user.patch("merge", &path, manifest),
            Client::StrategicMergePatch => user.patch("strategic-merge", &path, manifest),
            Client::JsonPatch => {
                let image = manifest::image(manifest);
                let operations = json!([{ "op": "replace", "path": at, "value": image }]);
                user.patch("json", &path, &operations)
            }
            Client::Put => user.put(&path, manifest),
            _ => panic!("{client:?} is a program"),
        }
    }

    /// The Job as it is stored.
    #[track_caller]
    pub fn job(&self) -> Value {
        self.namespace.job(JOB).expect("the Job is there")
    }

    /// Its uid.
    #[track_caller]
    pub fn uid(&self) -> String {
        uid_of(&self.job())
    }

    /// The Job is the only one, has that image, nothing left of how it came about, and runs.
    #[track_caller]
    pub fn assert_runs(&self, image: &str) {
        let job = self.job();
        assert_eq!(manifest::image(&job), image);
        assert_eq!(job["spec"]["parallelism"], 1, "{job:#}");
        assert_unmarked(&job);
        assert_eq!(self.namespace.job_names(), [JOB]);
        let pods = wait::until("the Job starts a Pod", || {
            let pods = self.namespace.pods(&self.uid());
            (!pods.is_empty()).then_some(pods)
        });
        assert_eq!(pods[0]["spec"]["containers"][0]["image"], image);
    }

    /// As [`Namespace::runs`].
    pub fn runs(&self) -> usize {
        self.namespace.runs()
    }

    /// As [`Namespace::assert_ran`].
    #[track_caller]
    pub fn assert_ran(&self, times: usize) {
        self.namespace.assert_ran(times);
    }
}

/// `metadata.uid`.
#[track_caller]
pub fn uid_of(job: &Value) -> String {
    job["metadata"]["uid"].as_str().expect("a Job has a uid").to_owned()
}

/// Nothing is left of a replacement.
#[track_caller]
pub fn assert_unmarked(job: &Value) {
    for mark in ["rejob.dev/dormant", "rejob.dev/replacing"] {
        assert_eq!(annotation(job, mark), None, "{job:#}");
        assert!(job["metadata"]["labels"][mark].is_null(), "{job:#}");
    }
}

fn said(output: &Output) -> Result<String, String> {
    let text = format!("{}{}", output.stdout, output.stderr);
    if output.code == 0 { Ok(text) } else { Err(text) }
}
