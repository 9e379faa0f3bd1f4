//! Argo CD: its own engine, set up as its application controller sets it up.

use serde_json::Value;

use crate::program::program;
use support::client::{Client, Place, Said, job, said};
use support::output::Output;

/// The sync options of an Application.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ArgoCd {
    Default,
    ServerSideApply,
    Replace,
    Force,
    ForceReplace,
}

impl ArgoCd {
    pub const ALL: [Self; 5] =
        [Self::Default, Self::ServerSideApply, Self::Replace, Self::Force, Self::ForceReplace];

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Default => &[],
            Self::ServerSideApply => &["-server-side"],
            Self::Replace => &["-replace"],
            Self::Force => &["-force"],
            Self::ForceReplace => &["-force", "-replace"],
        }
    }

    /// Syncs a manifest.
    pub fn sync(self, place: &Place<'_>, flags: &[&str], job: Value) -> Output {
        run(place, &[&["sync"], self.flags(), flags].concat(), job)
    }
}

/// The difference between a manifest and the live object, three-way or by a server-side dry run.
pub fn diff(place: &Place<'_>, server_side: bool, job: Value) -> Output {
    run(place, if server_side { &["diff", "-server-side"] } else { &["diff"] }, job)
}

fn run(place: &Place<'_>, args: &[&str], mut job: Value) -> Output {
    job["metadata"]["namespace"] = place.namespace.name().into();
    Output::of(
        place.namespace.user().command(&program("argocd", "Argo CD's engine")).args(args),
        &job.to_string(),
    )
}

impl Client for ArgoCd {
    fn title(&self) -> &'static str {
        match self {
            Self::Default => "Argo CD",
            Self::ServerSideApply => "Argo CD, ServerSideApply=true",
            Self::Replace => "Argo CD, Replace=true",
            Self::Force => "Argo CD, Force=true",
            Self::ForceReplace => "Argo CD, Force=true,Replace=true",
        }
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        said(&self.sync(place, &[], job(image)))
    }

    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said> {
        // A three-way diff asks no API server.
        (*self == Self::ServerSideApply).then(|| said(&diff(place, true, job(image))))
    }

    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        said(&self.sync(place, &["-wait"], job(image)))
    }

    fn recreates(&self) -> bool {
        *self == Self::ForceReplace
    }

    fn reruns_unchanged(&self) -> bool {
        *self == Self::ForceReplace
    }
}
