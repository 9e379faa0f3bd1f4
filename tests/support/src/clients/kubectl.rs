//! kubectl, in all the ways it deploys a Job.

use crate::client::{Client, JOB, Place, Said, job, said};

/// One way of kubectl.
struct Kubectl {
    title: &'static str,
    deploy: &'static [&'static str],
    /// `kubectl diff` takes these flags; without them the deploy command is run with `--dry-run`.
    diff: Option<&'static [&'static str]>,
    recreates: bool,
}

/// All of them.
pub fn clients() -> Vec<Box<dyn Client>> {
    let apply = |title, deploy, diff, recreates| Kubectl { title, deploy, diff, recreates };
    [
        apply("kubectl apply", &["apply"] as &[_], Some(&[] as &[_]), false),
        apply(
            "kubectl apply --server-side",
            &["apply", "--server-side"],
            Some(&["--server-side"]),
            false,
        ),
        apply("kubectl create, replace", &["replace"], None, false),
        apply("kubectl apply --force", &["apply", "--force"], None, true),
        apply("kubectl replace --force", &["replace", "--force"], None, true),
    ]
    .into_iter()
    .map(|kubectl| Box::new(kubectl) as Box<dyn Client>)
    .collect()
}

impl Kubectl {
    fn run(place: &Place<'_>, image: &str, command: &[&str]) -> Said {
        let args = [command, &["-f", "-"]].concat();
        said(&place.namespace.kubectl_with(&job(image).to_string(), &args))
    }
}

impl Client for Kubectl {
    fn title(&self) -> &'static str {
        self.title
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        let first = self.deploy[0] == "replace" && place.job().is_none();
        Self::run(place, image, if first { &["create"] } else { self.deploy })
    }

    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said> {
        if self.recreates {
            return None; // It would delete and create: the API server has nothing to check.
        }
        let Some(flags) = self.diff else {
            let command = [self.deploy, &["--dry-run=server", "-o", "yaml"]].concat();
            return Some(Self::run(place, image, &command));
        };
        let args = [&["diff"], flags, &["-f", "-"]].concat();
        let output = place.namespace.kubectl_with(&job(image).to_string(), &args);
        // 1: there is a difference; more: it failed.
        Some(if output.code <= 1 { Ok(output.stdout) } else { Err(output.stderr) })
    }

    fn delete(&self, place: &Place<'_>) -> Said {
        said(&place.namespace.kubectl(&["delete", "job", JOB]))
    }

    fn recreates(&self) -> bool {
        self.recreates
    }

    fn names_a_revision(&self) -> bool {
        self.deploy == ["replace"]
    }

    fn reruns_unchanged(&self) -> bool {
        self.deploy == ["replace", "--force"]
    }
}
