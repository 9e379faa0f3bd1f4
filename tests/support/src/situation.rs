//! The situations in which a Job is deployed, and what came out in words.

use super::{manifest, wait};

use super::client::{Client, JOB, Place, Said};

/// The policy of those who play: clients that are told to wait come again every six seconds, for up
/// to a minute, which is long enough for a busy machine to finish a Pod.
pub const POLICIES: &str = "policies: {replace: {waitSeconds: 60}}";

const FIRST: &str = "busybox:1";
const SECOND: &str = "busybox:2";
const WITH_ARGUMENT: &str = "busybox:1 --verbose";
/// A container must have an image: refused by the API server's validation.
const REFUSED: &str = "";

/// A situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    FirstDeploy,
    Unchanged,
    ChangedFinished,
    ChangedTwice,
    ChangedHanging,
    ChangedRunning,
    FieldRemoved,
    RollBack,
    Rerun,
    DryRun,
    Wait,
    Refused,
    Delete,
}

impl Situation {
    pub const ALL: [Self; 13] = [
        Self::FirstDeploy,
        Self::Unchanged,
        Self::ChangedFinished,
        Self::ChangedTwice,
        Self::ChangedHanging,
        Self::ChangedRunning,
        Self::FieldRemoved,
        Self::RollBack,
        Self::Rerun,
        Self::DryRun,
        Self::Wait,
        Self::Refused,
        Self::Delete,
    ];

    /// The column's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::FirstDeploy => "first deploy",
            Self::Unchanged => "unchanged",
            Self::ChangedFinished => "changed, old one finished",
            Self::ChangedTwice => "changed again",
            Self::ChangedHanging => "changed, old one hangs",
            Self::ChangedRunning => "changed, old one runs",
            Self::FieldRemoved => "a field removed",
            Self::RollBack => "rollback",
            Self::Rerun => "rerun by annotation, then changed",
            Self::DryRun => "dry run, diff",
            Self::Wait => "wait",
            Self::Refused => "template refused",
            Self::Delete => "delete",
        }
    }

    /// What must come out in a namespace that opts in.
    pub fn wanted(self, client: &dyn Client) -> &'static str {
        match self {
            Self::FirstDeploy => "runs",
            Self::Unchanged | Self::ChangedRunning if client.reruns_unchanged() => "new run",
            Self::Unchanged => "no run",
            Self::ChangedRunning if !client.retries() => "429, then new run",
            Self::ChangedRunning => "waits, new run",
            Self::ChangedFinished
            | Self::ChangedTwice
            | Self::ChangedHanging
            | Self::FieldRemoved
            | Self::RollBack => "new run",
            Self::Rerun => "new run, then new run",
            Self::DryRun => "shows the change",
            Self::Wait => "for the new one",
            // It deletes by itself, before it learns that the new one is refused.
            Self::Refused if client.reruns_unchanged() => "error, old one gone",
            Self::Refused => "error, old one untouched",
            Self::Delete => "all gone",
        }
    }

    /// Plays the situation.
    pub fn play(self, client: &dyn Client, place: &Place<'_>) -> String {
        if self == Self::DryRun && client.dry_run(place, FIRST).is_none() {
            return "-".to_owned();
        }
        if self != Self::FirstDeploy {
            let first = if self == Self::FieldRemoved { WITH_ARGUMENT } else { FIRST };
            deploy(client, place, first).expect("the first deploy");
        }
        match self {
            Self::FirstDeploy => match deploy(client, place, FIRST) {
                Ok(_) => {
                    place.namespace.started_pods(JOB);
                    "runs".to_owned()
                }
                Err(error) => short(&error),
            },
            Self::Unchanged => {
                place.namespace.finish_pods(JOB);
                changed(client, place, FIRST)
            }
            Self::ChangedFinished => {
                place.namespace.finish_pods(JOB);
                changed(client, place, SECOND)
            }
            Self::ChangedTwice => {
                place.namespace.finish_pods(JOB);
                let _ = deploy(client, place, SECOND);
                place.namespace.finish_pods(JOB);
                changed(client, place, "busybox:3")
            }
            Self::ChangedHanging => {
                place.namespace.started_pods(JOB);
                changed(client, place, SECOND)
            }
            Self::ChangedRunning => running(client, place),
            Self::FieldRemoved => field_removed(client, place),
            Self::RollBack => {
                place.namespace.finish_pods(JOB);
                match deploy(client, place, SECOND) {
                    Ok(_) => {
                        place.namespace.finish_pods(JOB);
                        let old = place.uid();
                        judged(client.roll_back(place, FIRST), place, &old, FIRST)
                    }
                    Err(error) => short(&error),
                }
            }
            Self::Rerun => rerun(client, place),
            Self::DryRun => dry_run(client, place),
            Self::Wait => waits(client, place),
            Self::Refused => {
                let old = place.uid();
                match deploy(client, place, REFUSED) {
                    Ok(_) => "accepted".to_owned(),
                    Err(_) if place.uid() == old => "error, old one untouched".to_owned(),
                    Err(_) if client.recreates() && place.uid().is_empty() => {
                        "error, old one gone".to_owned()
                    }
                    Err(error) => short(&error),
                }
            }
            Self::Delete => {
                place.namespace.started_pods(JOB);
                let _ = deploy(client, place, SECOND);
                match client.delete(place) {
                    Ok(_) => {
                        wait::until("Job and Pods are gone", || {
                            let pods =
                                format!("/api/v1/namespaces/{}/pods", place.namespace.name());
                            let pods = place.namespace.user().get(&pods).ok();
                            let none = pods["items"].as_array().unwrap().is_empty();
                            (place.job().is_none() && none).then_some(())
                        });
                        "all gone".to_owned()
                    }
                    Err(error) => short(&error),
                }
            }
        }
    }
}

/// Deploys; again where the client names the revision that it has read, and somebody has written in
/// between: so does a person. Nothing may have happened to the Job then.
fn deploy(client: &dyn Client, place: &Place<'_>, image: &str) -> Said {
    let revision = || place.job().map(|job| job["metadata"]["resourceVersion"].clone());
    wait::until("nobody writes in between", || {
        let (uid, before) = (place.uid(), revision());
        let said = client.deploy(place, image);
        let is_conflict = |error: &String| error.contains("the object has been modified");
        let conflict = client.names_a_revision() && said.as_ref().is_err_and(is_conflict);
        let untouched = place.uid() == uid && revision() != before;
        (!(conflict && untouched)).then_some(said)
    })
}

fn changed(client: &dyn Client, place: &Place<'_>, image: &str) -> String {
    let old = place.uid();
    judged(deploy(client, place, image), place, &old, image)
}

/// What a deploy came to: the wanted image runs in a new Job, or in the old one, or an error.
fn judged(said: Said, place: &Place<'_>, old: &str, image: &str) -> String {
    match said {
        Err(error) => short(&error),
        Ok(_) if place.uid() == old => "no run".to_owned(),
        Ok(text) => {
            let job = place.job().unwrap_or_else(|| panic!("the Job is gone after: {text}"));
            // Another webhook may have put a mirror before it.
            assert!(manifest::image(&job).ends_with(image), "{job:#}");
            let annotations = job["metadata"]["annotations"].to_string();
            assert!(!annotations.contains("rejob.dev/replacing"), "{job:#}");
            assert!(!annotations.contains("rejob.dev/dormant"), "{job:#}");
            assert!(job["metadata"]["labels"]["rejob.dev/dormant"].is_null(), "{job:#}");
            place.namespace.started_pods(JOB);
            "new run".to_owned()
        }
    }
}

/// The old Job's Pod is Ready; it ends as soon as the client is seen to wait.
fn running(client: &dyn Client, place: &Place<'_>) -> String {
    place.namespace.ready_pods(JOB);
    let old = place.uid();
    if !client.retries() {
        return match client.deploy(place, SECOND) {
            Err(error) if error.starts_with("429 ") => {
                assert!(error.contains("still running"), "{error}");
                place.namespace.finish_pods(JOB);
                format!("429, then {}", changed(client, place, SECOND))
            }
            said => judged(said, place, &old, SECOND),
        };
    }
    let name = format!("namespace=\"{}\"", place.namespace.name());
    let is_told = |line: &str| line.contains(&name) && line.contains("running_wait");
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| client.deploy(place, SECOND));
        let waits = wait::until("the client waits or has ended", || {
            let told = place.rejob.log().lines().any(is_told);
            (told || deploy.is_finished()).then_some(told)
        });
        if waits {
            place.namespace.finish_pods(JOB);
        }
        let outcome = judged(deploy.join().unwrap(), place, &old, SECOND);
        if waits { format!("waits, {outcome}") } else { outcome }
    })
}

/// The manifest is the same, less the container's arguments.
fn field_removed(client: &dyn Client, place: &Place<'_>) -> String {
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    let mut said = deploy(client, place, FIRST);
    // Nothing tells an apply that only removes within the second of the last one: it is to come
    // again, which clients do by themselves.
    wait::until("a second has passed", || {
        let too_soon = |error: &String| error.contains("was applied a moment ago");
        if said.as_ref().err().is_some_and(too_soon) {
            assert!(!client.retries(), "{said:?}");
            said = deploy(client, place, FIRST);
            return None;
        }
        Some(())
    });
    let outcome = judged(said, place, &old, FIRST);
    let mut job = place.job().unwrap();
    let gone = super::client::container(&mut job)["args"].is_null();
    assert_eq!(gone, place.uid() != old, "{job:#}");
    outcome
}

/// A person asks for a new run; what the client owns it must still own afterwards.
fn rerun(client: &dyn Client, place: &Place<'_>) -> String {
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    let said = place.namespace.kubectl(&["annotate", "job", JOB, "rejob.dev/rerun=1"]);
    let first = judged(super::client::said(&said), place, &old, FIRST);
    place.namespace.finish_pods(JOB);
    format!("{first}, then {}", changed(client, place, SECOND))
}

fn dry_run(client: &dyn Client, place: &Place<'_>) -> String {
    place.namespace.finish_pods(JOB);
    let before = place.job();
    let said = client.dry_run(place, SECOND).expect("it can");
    assert_eq!(place.job(), before, "a dry run changed the Job");
    match said {
        Err(error) => short(&error),
        Ok(text) => {
            // kubectl diff breaks long lines.
            let words: Vec<_> = text.split_whitespace().filter(|word| *word != "+").collect();
            let field = "spec.template.spec.containers[app].image: ";
            let shown = words.join(" ").split_once(field).is_some_and(|(_, change)| {
                // Another webhook may have put a mirror before the stored one.
                let change = change.split_once(" -> ");
                change.is_some_and(|(from, to)| from.ends_with(FIRST) && to.starts_with(SECOND))
            });
            if shown { "shows the change".to_owned() } else { text }
        }
    }
}

fn waits(client: &dyn Client, place: &Place<'_>) -> String {
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| client.deploy_and_wait(place, SECOND));
        let renewed = wait::poll(wait::DEADLINE, || {
            let new = !place.uid().is_empty() && place.uid() != old;
            if deploy.is_finished() { Some(false) } else { new.then_some(true) }
        });
        if renewed == Some(true) {
            // Not before the new Job's Pods are there, and it is not complete without them.
            place.namespace.started_pods(JOB);
            assert!(!deploy.is_finished(), "it waited for the old Job");
            place.namespace.finish_pods(JOB);
        }
        match deploy.join().unwrap() {
            Ok(_) => "for the new one".to_owned(),
            Err(error) => short(&error),
        }
    })
}

/// The error in a few words.
pub fn short(error: &str) -> String {
    for words in ["field is immutable", "AlreadyExists", "must be specified for an update"] {
        if error.contains(words) {
            return format!("error: {words}");
        }
    }
    let text: String = error.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("error: {}", text.chars().take(120).collect::<String>())
}
