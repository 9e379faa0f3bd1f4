//! Terraform with its Kubernetes provider: `kubernetes_job_v1`, and `kubernetes_manifest` without and
//! with the computed fields that docs/tools/terraform.md shows.

mod page;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use support::client::{Client, JOB, Place, Said, said};
use support::output::Output;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::situation::Situation;
use support::{paths, wait};

use super::neighbor::Program;
use super::play::judged;
use super::situations;
use super::table::Table;

const TERRAFORM: Program = Program {
    name: "terraform",
    version: "1.5.7",
    module: "github.com/hashicorp/terraform",
    package: "github.com/hashicorp/terraform",
};
/// The commit after 3.2.1 that the Go module proxy serves, under the last version before the module
/// would have had to be renamed.
const PROVIDER: Program = Program {
    name: "terraform-provider-kubernetes",
    version: "1.13.4-0.20260821094251-3a33fb6cc605",
    module: "github.com/hashicorp/terraform-provider-kubernetes",
    package: "github.com/hashicorp/terraform-provider-kubernetes",
};

const POLICIES: &str = "policies: {replace: {waitSeconds: 60}, brief: {waitSeconds: 1}, \
    report: {onChange: Report}, ttl: {ttlSecondsAfterFinished: 3600}, hash-name: {naming: TemplateHash}}";
const IMAGE: &str = "busybox:1";
const INCONSISTENT: &str = "Provider produced inconsistent result after apply";

const JOB_V1: &str = r#"
resource "kubernetes_job_v1" "nightly" {
  wait_for_completion = false
  metadata {
    name      = "nightly"
    namespace = "batch"
    annotations = { "example.com/team" = "a" }
  }
  spec {
    backoff_limit = 0
    template {
      metadata {}
      spec {
        restart_policy = "Never"
        container {
          name  = "app"
          image = var.image
        }
      }
    }
  }
}
"#;

const PLAIN: &str = "`kubernetes_manifest`";

const WAIT: &str = r#"  wait {
    fields = { "status.succeeded" = "1" }
  }
"#;

/// A block of the page that has this text.
fn from_the_page(text: &str) -> String {
    let page = fs::read_to_string(paths::sources().join("docs/tools/terraform.md")).unwrap();
    let mut blocks = page.split("```hcl\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(text)).expect("the page has this block").to_owned()
}

/// A resource of Terraform's, and how it is applied.
struct Terraform {
    title: &'static str,
    /// With `var.image`, and `batch` in the place of the namespace.
    configuration: String,
    /// What else is played.
    rest: &'static [page::Row],
    program: PathBuf,
    settings: PathBuf,
    /// Whether an apply was reported as an inconsistent result.
    inconsistent: AtomicBool,
}

impl Terraform {
    fn run(&self, place: &Place<'_>, args: &[&str]) -> Output {
        let user = place.namespace.user();
        let mut command = user.command(&self.program);
        command.args(args).args(["-no-color", "-input=false"]).current_dir(place.dir());
        command.env("KUBE_CONFIG_PATH", user.kubeconfig());
        command.env("TF_CLI_CONFIG_FILE", &self.settings).env("CHECKPOINT_DISABLE", "1");
        Output::of(&mut command, "")
    }

    fn configure(place: &Place<'_>, configuration: &str, image: &str) {
        let configuration = configuration.replace("\"batch\"", &quoted(place.namespace.name()));
        let image = format!("variable \"image\" {{\n  default = {}\n}}\n", quoted(image));
        fs::write(place.dir().join("main.tf"), image + &configuration).unwrap();
    }

    /// What a plan says, where it has something to do.
    fn plan(&self, place: &Place<'_>) -> Option<String> {
        let output = self.run(place, &["plan", "-detailed-exitcode"]);
        if output.code == 0 { None } else { Some(output.exited(2).stdout) }
    }

    /// Applies the configuration; afterwards a plan has nothing to do.
    fn apply(&self, place: &Place<'_>, configuration: &str, image: &str) -> Said {
        Self::configure(place, configuration, image);
        let output = self.run(place, &["apply", "-auto-approve"]);
        let mut text = said(&output);
        let errors = |text: &str| text.matches("Error: ").count();
        if let Err(error) = &text
            && errors(error) == error.matches(INCONSISTENT).count()
        {
            self.inconsistent.store(true, Ordering::Relaxed);
            text = Ok(error.clone());
        }
        if text.is_ok() {
            assert_eq!(self.plan(place), None);
        }
        text.map_err(|error| {
            error.split_once("Error: ").map_or_else(String::new, |e| e.1.to_owned())
        })
    }

    fn play(&self, situation: Situation, place: &Place<'_>) -> String {
        self.inconsistent.store(false, Ordering::Relaxed);
        let outcome = situation.play(self, place);
        self.outcome(&outcome)
    }

    fn outcome(&self, outcome: &str) -> String {
        let inconsistent = self.inconsistent.load(Ordering::Relaxed);
        format!("{outcome}{}", if inconsistent { "; inconsistent result" } else { "" })
    }

    /// The configuration sets the annotation that asks for a new run, and nothing else changes.
    fn rerun(&self, place: &Place<'_>) -> String {
        self.deploy(place, IMAGE).unwrap();
        place.namespace.finish_pods(JOB);
        self.inconsistent.store(false, Ordering::Relaxed);
        let old = place.uid();
        let rerun = r#"annotations = { "rejob.dev/rerun" = "1", "#;
        let configuration = self.configuration.replace("annotations = {", rerun);
        assert_ne!(configuration, self.configuration);
        let outcome = judged(self.apply(place, &configuration, IMAGE), place, &old, IMAGE);
        self.outcome(if outcome == "run" { "new run" } else { &outcome })
    }

    /// What came out of everything that is played; with rejob it must be what is wanted.
    fn column<'r>(
        &self,
        place: impl Fn(&str) -> Place<'r>,
        checked: bool,
    ) -> Vec<(&'static str, String)> {
        let mut column = Vec::new();
        for situation in PLAYED {
            let outcome = self.play(situation, &place("replace"));
            if checked && !self.recreates() {
                let words = outcome.trim_end_matches("; inconsistent result");
                assert_eq!(words, situation.wanted(self), "{}: {situation:?}", self.title);
                let expected = self.title == PLAIN && words.contains("new");
                assert_eq!(words != outcome, expected, "{}: {situation:?}", self.title);
            }
            column.push((situation.title(), outcome));
        }
        let rerun = self.rerun(&place("replace"));
        if checked {
            let wanted = if self.recreates() { "new run" } else { "new run; inconsistent result" };
            assert_eq!(rerun, wanted, "{}", self.title);
        }
        column.push(("rerun by an annotation of the configuration", rerun));
        column.push(("destroy", self.destroy(&place("replace")).to_owned()));
        for (situation, policy, play, wanted) in self.rest {
            self.inconsistent.store(false, Ordering::Relaxed);
            let outcome = self.outcome(&play(self, &place(policy)));
            if checked {
                assert_eq!(outcome, *wanted, "{}: {situation}", self.title);
            }
            column.push((situation, outcome));
        }
        column
    }

    /// Whether the Pods go with the Job.
    fn destroy(&self, place: &Place<'_>) -> &'static str {
        self.deploy(place, IMAGE).unwrap();
        place.namespace.started_pods(JOB);
        self.run(place, &["destroy", "-auto-approve"]).ok();
        wait::until("the Job has gone", || place.job().is_none().then_some(()));
        let pods = format!("/api/v1/namespaces/{}/pods", place.namespace.name());
        wait::until("the Pods have gone, or belong to nobody", || {
            let list = place.namespace.user().get(&pods).ok();
            let pods = list["items"].as_array().unwrap();
            match pods.iter().all(|pod| pod["metadata"]["ownerReferences"].is_null()) {
                _ if pods.is_empty() => Some("all gone"),
                true => Some("its Pods stay"),
                false => None,
            }
        })
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

impl Client for Terraform {
    fn title(&self) -> &'static str {
        self.title
    }

    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        self.apply(place, &self.configuration, image)
    }

    fn dry_run(&self, _: &Place<'_>, _: &str) -> Option<Said> {
        None
    }

    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        let waits = self.configuration.replace("completion = false", "completion = true");
        let waits = waits.replace("  manifest = {", &format!("{WAIT}  manifest = {{"));
        assert_ne!(waits, self.configuration);
        self.apply(place, &waits, image)
    }

    fn recreates(&self) -> bool {
        self.configuration.contains("kubernetes_job_v1")
    }
}

const PLAYED: [Situation; 6] = [
    Situation::Unchanged,
    Situation::ChangedTwice,
    Situation::ChangedHanging,
    Situation::ChangedRunning,
    Situation::Wait,
    Situation::Refused,
];

#[test]
fn terraform() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let (terraform, provider) = (TERRAFORM.get(), PROVIDER.get());
    let settings = plane.dir().join("terraform.tfrc");
    let folder = provider.parent().unwrap().display();
    let overrides = format!("dev_overrides {{\n\"hashicorp/kubernetes\" = \"{folder}\"\n}}");
    fs::write(&settings, format!("provider_installation {{\n{overrides}\n}}\n")).unwrap();
    let computed = from_the_page("computed_fields = ");
    let plain = computed.replace("  computed_fields = [\"metadata\", \"spec\"]\n", "");
    assert_ne!(plain, computed);
    let resources = [
        (
            "`kubernetes_job_v1`",
            from_the_page("ignore_annotations = ") + JOB_V1,
            &page::JOB_V1 as &[_],
        ),
        (PLAIN, plain, &page::PLAIN),
        ("`kubernetes_manifest`, computed fields", computed, &page::COMPUTED),
    ];
    let mut table = Table::new(
        "Terraform",
        format!(
            "Terraform {} and the source of its Kubernetes provider of 2026-08-21, two commits after 3.2.1, with the\n\
             configurations of [its page](tools/terraform.md). After each apply a plan has nothing to do, after one with an\n\
             inconsistent result as well.",
            TERRAFORM.version
        ),
    );
    // Most of the time Terraform waits for its provider to start, which gives up on a busy API server.
    let [before, after] = [false, true].map(|opted_in| {
        let rejob = &rejob;
        let place = move |policy: &str| situations::place(rejob, opted_in.then_some(policy));
        std::thread::scope(|scope| {
            let columns = resources.each_ref().map(|(title, configuration, rest)| {
                let client = Terraform {
                    title,
                    configuration: configuration.clone(),
                    rest,
                    program: terraform.clone(),
                    settings: settings.clone(),
                    inconsistent: AtomicBool::new(false),
                };
                scope.spawn(move || client.column(place, opted_in))
            });
            columns.map(|column| column.join().unwrap())
        })
    });
    for ((title, ..), (before, after)) in resources.iter().zip(before.iter().zip(&after)) {
        for ((situation, without), (_, with)) in before.iter().zip(after) {
            table.row(&format!("{title}: {situation}"), without, with);
        }
    }
    table.compare();
}
