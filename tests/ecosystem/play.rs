//! What becomes of deploys, in words for the table.

use serde_json::Value;
use support::client::{Client, JOB, Place, Said, job, said};
use support::manifest;
use support::situation;

/// The images of [`deploys`]: the first, unchanged, changed, unchanged.
pub const IMAGES: [&str; 4] = ["busybox:1", "busybox:1", "busybox:2", "busybox:2"];

/// What came out where all is well.
pub const WELL: &str = "run, no run, run, no run";

/// kubectl, with a manifest of its own.
#[derive(Clone, Copy)]
pub struct Kubectl {
    /// The whole command; `kubectl replace` creates first.
    pub title: &'static str,
    pub edit: fn(&mut Value),
}

impl Kubectl {
    /// Both ways to apply, with that change of the usual manifest.
    pub fn both(edit: fn(&mut Value)) -> [Self; 2] {
        ["kubectl apply", "kubectl apply --server-side"].map(|title| Self { title, edit })
    }
}

impl Client for Kubectl {
    fn title(&self) -> &'static str {
        self.title
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        let mut job = job(image);
        (self.edit)(&mut job);
        let mut args: Vec<_> = self.title.split(' ').skip(1).chain(["-f", "-"]).collect();
        if args[0] == "replace" && place.job().is_none() {
            args[0] = "create";
        }
        said(&place.namespace.kubectl_with(&job.to_string(), &args))
    }

    fn dry_run(&self, _: &Place<'_>, _: &str) -> Option<Said> {
        None
    }
}

/// Deploys these images one after the other, each Job's Pod finished before the next; what each came to.
pub fn deploys(client: &dyn Client, place: &Place<'_>, images: &[&str]) -> String {
    let outcomes: Vec<_> = images
        .iter()
        .map(|image| {
            let outcome = deploy(client, place, image);
            if place.job().is_some() {
                place.namespace.finish_pods(JOB);
            }
            outcome
        })
        .collect();
    outcomes.join(", ")
}

/// Deploys that image; what it came to.
pub fn deploy(client: &dyn Client, place: &Place<'_>, image: &str) -> String {
    let old = place.uid();
    judged(client.deploy(place, image), place, &old, image)
}

/// What refuses, in its own words.
const REFUSALS: [&str; 5] = [
    "is not let in",
    "the label team is required",
    "only the deployer writes Jobs",
    "queue-name must not be empty",
    "onChange is Deny",
];

/// The error in a few words.
pub fn short(error: &str) -> String {
    let refusal = REFUSALS.iter().find(|words| error.contains(*words));
    refusal.map_or_else(|| situation::short(error), |words| format!("error: {words}"))
}

/// A new Job of that image, the old one, or an error.
pub fn judged(said: Said, place: &Place<'_>, old: &str, image: &str) -> String {
    match said {
        Err(error) => {
            assert_eq!(place.uid(), old, "the old Job is gone, or another: {error}");
            short(&error)
        }
        Ok(_) if place.uid() == old => "no run".to_owned(),
        Ok(text) => {
            let job = place.job().unwrap_or_else(|| panic!("the Job is gone after: {text}"));
            // A mirror may stand before it.
            assert!(manifest::image(&job).ends_with(image), "{job:#}");
            let [marks, labels] =
                ["annotations", "labels"].map(|field| job["metadata"][field].to_string());
            assert!(!marks.contains("rejob.dev/replacing"), "{job:#}");
            assert!(!labels.contains("rejob.dev/dormant"), "{job:#}");
            "run".to_owned()
        }
    }
}
