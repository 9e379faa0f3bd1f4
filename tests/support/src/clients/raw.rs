//! Requests as libraries send them, without a client's own logic around them.

use serde_json::{Value, json};

use crate::client::{Client, JOB, Place, Said, container, job};
use crate::user::Answer;

/// One kind of request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raw {
    MergePatch,
    StrategicMergePatch,
    JsonPatch,
    Put,
    PutWithResourceVersion,
    Apply,
    ForcedApply,
}

/// All of them.
pub fn clients() -> Vec<Box<dyn Client>> {
    [
        Raw::MergePatch,
        Raw::StrategicMergePatch,
        Raw::JsonPatch,
        Raw::Put,
        Raw::PutWithResourceVersion,
        Raw::Apply,
        Raw::ForcedApply,
    ]
    .into_iter()
    .map(|raw| Box::new(raw) as Box<dyn Client>)
    .collect()
}

impl Raw {
    fn send(self, place: &Place<'_>, image: &str, query: &str) -> Answer {
        let user = place.namespace.user();
        let query = format!("?fieldManager=test{query}");
        let path = format!("{}{query}", place.namespace.job_path(JOB));
        let mut wanted = job(image);
        let stored = place.job();
        if matches!(self, Self::Apply | Self::ForcedApply) {
            let force = if self == Self::ForcedApply { "&force=true" } else { "" };
            return user.apply(&format!("{path}{force}"), &wanted);
        }
        let Some(stored) = stored else {
            return user.post(&format!("{}{query}", place.namespace.jobs_path()), &wanted);
        };
        let template = json!({ "spec": { "template": wanted["spec"]["template"] } });
        match self {
            Self::MergePatch => user.patch("merge", &path, &template),
            Self::StrategicMergePatch => {
                // It merges: what is to go must be said.
                let mut change = template;
                let args = container(&mut wanted)["args"].take();
                container(&mut change)["args"] = args;
                user.patch("strategic-merge", &path, &change)
            }
            Self::JsonPatch => {
                // What is to be, not what to do: it is applied to the new Job as well.
                let at = "/spec/template/spec/containers/0";
                let change = json!([
                    { "op": "replace", "path": at, "value": container(&mut wanted) },
                ]);
                user.patch("json", &path, &change)
            }
            Self::Put => user.put(&path, &wanted),
            Self::PutWithResourceVersion => {
                let mut object: Value = stored;
                let container_now = container(&mut object).as_object_mut().unwrap();
                container_now.remove("args");
                let wanted = container(&mut wanted).as_object().unwrap().clone();
                container_now.extend(wanted);
                object["metadata"].as_object_mut().unwrap().remove("uid");
                user.put(&path, &object)
            }
            Self::Apply | Self::ForcedApply => unreachable!("sent above"),
        }
    }
}

fn said(answer: &Answer) -> Said {
    if (200..300).contains(&answer.status) {
        Ok(answer.body.to_string())
    } else {
        Err(format!("{} {}", answer.status, answer.message()))
    }
}

impl Client for Raw {
    fn title(&self) -> &'static str {
        match self {
            Self::MergePatch => "merge patch",
            Self::StrategicMergePatch => "strategic merge patch",
            Self::JsonPatch => "JSON patch",
            Self::Put => "PUT of the bare manifest",
            Self::PutWithResourceVersion => "PUT with resourceVersion",
            Self::Apply => "server-side apply",
            Self::ForcedApply => "server-side apply, forced",
        }
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        said(&self.send(place, image, ""))
    }

    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said> {
        Some(said(&self.send(place, image, "&dryRun=All")))
    }

    fn names_a_revision(&self) -> bool {
        *self == Self::PutWithResourceVersion
    }

    fn retries(&self) -> bool {
        false
    }
}
