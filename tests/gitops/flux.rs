//! Flux: its own library, set up as its kustomize-controller sets it up.

use serde_json::Value;

use crate::program::program;
use support::client::{Client, Place, Said, job, said};
use support::output::Output;

/// A Kustomization, with or without `spec.force`.
pub struct Flux {
    pub force: bool,
}

impl Flux {
    /// Runs one reconciliation, or its dry run, of a manifest.
    pub fn run(&self, place: &Place<'_>, command: &str, flags: &[&str], mut job: Value) -> Output {
        job["metadata"]["namespace"] = place.namespace.name().into();
        let mut flux = place.namespace.user().command(&program("flux", "Flux's library"));
        flux.arg(command).args(self.force.then_some("-force")).args(flags);
        Output::of(&mut flux, &job.to_string())
    }
}

impl Client for Flux {
    fn title(&self) -> &'static str {
        if self.force { "Flux, force: true" } else { "Flux" }
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        said(&self.run(place, "apply", &[], job(image)))
    }

    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said> {
        Some(said(&self.run(place, "diff", &[], job(image))))
    }

    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        said(&self.run(place, "apply", &["-wait"], job(image)))
    }
}
