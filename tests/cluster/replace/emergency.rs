//! rejob is taken out of the way in an emergency, while a Job is dormant: no Job is lost.

use std::path::Path;

use serde_json::{Value, json};

use support::binaries::Binaries;
use support::manifest::annotation;
use support::output::Output;
use support::plane::{self, ControlPlane};
use support::rejob::Rejob;
use support::user::User;
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked};
use super::kill::{self, FIRST, REAPER, SECOND, assert_second_ran_once, wait_until_not_called};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

#[track_caller]
fn assert_dormant(job: &Value) {
    assert!(annotation(job, "rejob.dev/dormant").is_some(), "{job:#}");
    assert_eq!(job["spec"]["parallelism"], 0, "{job:#}");
}

/// Waits until rejob logs that text; the Job is there all the while.
#[track_caller]
fn kept_until_logged(place: &Place, rejob: &Rejob<'_>, text: &str) {
    wait::until(&format!("rejob logs {text:?}"), || {
        assert!(place.namespace.job(JOB).is_some(), "it is reaped: {}", rejob.log());
        rejob.log().contains(text).then_some(())
    });
}

/// Without its webhook configuration a client is told success about a Job that stays dormant. It is
/// not reaped then, nor when the configuration is back; the same deploy starts it.
#[test]
fn a_job_that_a_client_was_told_success_about_is_not_reaped() {
    let plane = ControlPlane::shared();
    let mut rejob = kill::start(&plane, "Fail");
    let (place, said) = kill::crash(&mut rejob, Client::MergePatch, "after-create");
    said.expect_err("the client gets an error");
    let path = format!("{CONFIGURATIONS}/{}", rejob.configuration());
    let mut configuration = plane.admin().get(&path).ok();
    plane.admin().delete(&path, &json!({})).ok();
    wait_until_not_called(&place);
    place.deploy(Client::MergePatch, SECOND);
    assert_dormant(&place.job());
    let uid = place.uid();

    rejob.restart(&REAPER);
    kept_until_logged(&place, &rejob, "does not guard them: it does not exist");

    configuration["metadata"] = json!({ "name": configuration["metadata"]["name"] });
    plane.admin().post(CONFIGURATIONS, &configuration).ok();
    kept_until_logged(&place, &rejob, "is newer than these Jobs, so their clients may");
    rejob.wait_until_called(&place.namespace);
    place.deploy(Client::MergePatch, SECOND);
    assert_eq!(place.uid(), uid);
    assert_second_ran_once(&place);
}

/// The commands of the first block under a heading of a page, as a shell reads them.
fn commands(page: &str, heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).expect("read a page");
    let (_, section) = text.split_once(&format!("{heading}\n")).expect("the heading");
    let (_, block) = section.split_once("```console\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    block.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Runs a script as that user types it, in their home.
fn shell(user: &User, script: &str) -> Output {
    let kubectl = &Binaries::get().kubectl;
    let kubectl = kubectl.parent().expect("a folder").display();
    let path = std::env::var("PATH").expect("PATH is set");
    let script = format!("set -e\n{script}");
    let mut command = user.command(Path::new("/bin/sh"));
    Output::of(command.env("PATH", format!("{kubectl}:{path}")).args(["-c", &script]), "")
}

#[test]
fn the_emergency_step_of_the_docs_loses_no_job_though_rejob_is_down() {
    let plane = ControlPlane::start(&plane::Options::default());
    let admin = plane.admin();
    let mut rejob = kill::start(&plane, "Fail");
    let other = Place::new(rejob.namespace("ttl"));
    other.deploy(Client::Apply, FIRST);
    let (place, said) = kill::crash(&mut rejob, Client::Apply, "after-create");
    said.expect_err("the client gets an error");
    assert_dormant(&place.job());
    let blocked = other.try_deploy(Client::Apply, SECOND).expect_err("rejob is down");
    assert!(blocked.contains("failed calling webhook"), "{blocked}");

    let listed =
        shell(&admin, &commands("docs/install/troubleshooting.md", "## Take rejob out of the way"))
            .ok()
            .stdout;
    let listed = listed.lines().find(|line| line.contains(JOB)).expect("the dormant Job is listed");
    assert!(listed.starts_with(place.namespace.name()), "{listed}");
    wait_until_not_called(&other);
    let plain = other.try_deploy(Client::Apply, SECOND).expect_err("it is plain Kubernetes");
    assert!(plain.contains("field is immutable"), "{plain}");

    // Nobody is told success about the dormant Job, which goes by hand.
    let refused = place.try_deploy(Client::Apply, SECOND).expect_err("it would not start");
    assert!(refused.contains("failed calling webhook \"dormant.rejob.dev\""), "{refused}");
    place.namespace.kubectl(&["delete", "job", JOB]).ok();
    place.deploy(Client::Apply, SECOND);
    assert_eq!(place.job()["spec"]["parallelism"], 1);
    assert_unmarked(&place.job());

    rejob.restart(&REAPER);
    shell(&admin, "sh rejob-labels.sh").ok();
    rejob.wait_until_called(&other.namespace);
    other.deploy(Client::Apply, SECOND);
    other.assert_runs(SECOND);
    place.deploy(Client::Apply, SECOND);
    assert_second_ran_once(&place);
}
