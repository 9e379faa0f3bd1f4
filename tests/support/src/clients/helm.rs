//! Helm 3 and 4: install, upgrade, rollback, uninstall, and the flags that force.

use std::fs;
use std::path::PathBuf;

use crate::client::{Client, Place, Said, job, said};
use crate::helm::Helm;

/// One way of Helm.
struct Release {
    title: &'static str,
    helm: Helm,
    /// The version that begins the release.
    begun_with: Helm,
    /// Flags of an upgrade.
    flags: &'static [&'static str],
}

/// All of them.
pub fn clients() -> Vec<Box<dyn Client>> {
    let release = |title, helm, begun_with, flags| Release { title, helm, begun_with, flags };
    [
        release("Helm 3.22", Helm::V3_22, Helm::V3_22, &[] as &[_]),
        release("Helm 3.22 --force", Helm::V3_22, Helm::V3_22, &["--force"]),
        release("Helm 4.1", Helm::V4_1, Helm::V4_1, &[]),
        release("Helm 4.3", Helm::V4_3, Helm::V4_3, &[]),
        release(
            "Helm 4.3 --force-replace --server-side=false",
            Helm::V4_3,
            Helm::V4_3,
            &["--force-replace", "--server-side=false"],
        ),
        release("Helm 4.3 on a release begun with 3.22", Helm::V4_3, Helm::V3_22, &[]),
    ]
    .into_iter()
    .map(|release| Box::new(release) as Box<dyn Client>)
    .collect()
}

const NAME: &str = "r";

impl Release {
    fn chart(place: &Place<'_>, image: &str) -> PathBuf {
        let chart = place.dir().join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: nightly\nversion: 1.0.0\n")
            .unwrap();
        let name = image.split(' ').next().unwrap();
        let template = job(&image.replacen(name, "IMAGE", 1)).to_string();
        let template = template.replace("\"IMAGE\"", "{{ .Values.image | quote }}");
        fs::write(chart.join("templates/job.yaml"), template).unwrap();
        chart
    }

    fn run(&self, place: &Place<'_>, image: &str, flags: &[&str]) -> Said {
        let chart = Self::chart(place, image).display().to_string();
        let set = format!("image={}", image.split(' ').next().unwrap());
        let args = if place.job().is_none() {
            let args = ["install", NAME, &chart, "--set", &set];
            return said(&place.namespace.helm(self.begun_with, &args));
        } else {
            ["upgrade", NAME, &chart, "--set", &set]
        };
        let args = [&args, self.flags, flags].concat();
        said(&place.namespace.helm(self.helm, &args))
    }
}

impl Client for Release {
    fn title(&self) -> &'static str {
        self.title
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        self.run(place, image, &[])
    }

    fn dry_run(&self, _: &Place<'_>, _: &str) -> Option<Said> {
        None // `--dry-run=server` renders with the cluster's facts; it sends no Job.
    }

    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        self.run(place, image, &["--wait", "--wait-for-jobs", "--timeout", "180s"])
    }

    fn roll_back(&self, place: &Place<'_>, _: &str) -> Said {
        said(&place.namespace.helm(self.helm, &[&["rollback", NAME, "1"], self.flags].concat()))
    }

    fn names_a_revision(&self) -> bool {
        self.flags.iter().any(|flag| flag.starts_with("--force"))
    }

    fn delete(&self, place: &Place<'_>) -> Said {
        said(&place.namespace.helm(self.helm, &["uninstall", NAME]))
    }
}
