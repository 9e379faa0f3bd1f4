//! What docs/tools/terraform.md says beyond the situations of the matrix.

use support::client::{Client, JOB, Place, Said, said};
use support::plane::ControlPlane;
use support::situation::short;
use support::user::User;
use support::wait;

use super::super::play::judged;
use super::{IMAGE, Terraform};

const SECOND: &str = "busybox:2";

/// The row's title, the policy, how it is played, and what must come out with rejob.
pub type Row = (&'static str, &'static str, fn(&Terraform, &Place<'_>) -> String, &'static str);

pub const JOB_V1: [Row; 3] = [
    (
        "without `ignore_annotations`",
        "replace",
        without_ignored_annotations,
        "every plan removes `rejob.dev/template-hash`, and no apply does",
    ),
    (
        "under `ttlSecondsAfterFinished`",
        "ttl",
        under_a_ttl,
        "every plan removes `ttl_seconds_after_finished`, and no apply does",
    ),
    ("under `naming: TemplateHash`", "hash-name", under_a_hash_name, "keeps its name"),
];

pub const PLAIN: [Row; 7] = [
    IN_PLACE,
    ANNOTATED,
    (
        "changed by a user who may not delete Jobs",
        "replace",
        without_delete,
        "error: user may not delete jobs, old one untouched",
    ),
    (
        "changed, old one runs for longer than `waitSeconds`",
        "brief",
        too_long,
        "error: TooManyRequests, old one untouched",
    ),
    ("changed under `onChange: Report`", "report", reported, "error: field is immutable"),
    ("`kubectl set image`", "replace", set_image, "new run, the plan changes it back"),
    (
        "changed, with `spec.selector` among the computed fields",
        "replace",
        computed_selector,
        "new run; inconsistent result",
    ),
];

pub const COMPUTED: [Row; 5] = [
    IN_PLACE,
    ANNOTATED,
    ("`kubectl set image`", "replace", set_image, "new run, the plan is clean"),
    ("rerun by an annotation of the template", "replace", template_annotation, "new run"),
    (
        "`kubectl annotate` of `rejob.dev/rerun`, which the configuration then sets",
        "replace",
        conflict,
        "error: conflict, then with `force_conflicts` new run; inconsistent result",
    ),
];

const IN_PLACE: Row =
    ("labels, annotations and `ttlSecondsAfterFinished` changed", "replace", in_place, "no run");
const ANNOTATED: Row =
    ("`kubectl annotate` of `rejob.dev/rerun`", "replace", annotated, "new run, the plan is clean");

const ANNOTATIONS: &str = "annotations = {";

/// The configuration with that text in the place of the other, which it must have.
fn edited(terraform: &Terraform, from: &str, to: &str) -> String {
    let edited = terraform.configuration.replace(from, to);
    assert_ne!(edited, terraform.configuration, "{from}");
    edited
}

/// Deploys the first image and lets the Job finish: its uid.
fn finished(terraform: &Terraform, place: &Place<'_>) -> String {
    terraform.deploy(place, IMAGE).unwrap();
    place.namespace.finish_pods(JOB);
    place.uid()
}

/// What it came to, in the words of the clients' table.
fn outcome(said: Said, place: &Place<'_>, old: &str, image: &str) -> String {
    let outcome = judged(said, place, old, image);
    if outcome == "run" { "new run".to_owned() } else { outcome }
}

/// Whatever rejob warns of is not shown.
fn reported(terraform: &Terraform, place: &Place<'_>) -> String {
    let old = finished(terraform, place);
    Terraform::configure(place, &terraform.configuration, SECOND);
    let output = terraform.run(place, &["apply", "-auto-approve"]).exited(1);
    let text = output.stdout + &output.stderr;
    assert!(!text.contains("Report"), "{text}");
    outcome(Err(text), place, &old, SECOND)
}

fn in_place(terraform: &Terraform, place: &Place<'_>) -> String {
    let old = finished(terraform, place);
    let more = r#"labels = { "example.com/more" = "1" }
      annotations = { "example.com/more" = "1", "#;
    let configuration = edited(terraform, ANNOTATIONS, more);
    let spec = "backoffLimit = 0\n    ttlSecondsAfterFinished = 86400\n";
    let configuration = configuration.replace("backoffLimit = 0\n", spec);
    let outcome = outcome(terraform.apply(place, &configuration, IMAGE), place, &old, IMAGE);
    assert_eq!(place.job().unwrap()["spec"]["ttlSecondsAfterFinished"], 86400);
    outcome
}

fn kubectl(terraform: &Terraform, place: &Place<'_>, args: &[&str], image: &str) -> String {
    let old = finished(terraform, place);
    let outcome = outcome(said(&place.namespace.kubectl(args)), place, &old, image);
    if outcome.starts_with("error") {
        return outcome;
    }
    let plan = if terraform.plan(place).is_none() { "is clean" } else { "changes it back" };
    format!("{outcome}, the plan {plan}")
}

fn annotated(terraform: &Terraform, place: &Place<'_>) -> String {
    kubectl(terraform, place, &["annotate", "job", JOB, "rejob.dev/rerun=2"], IMAGE)
}

fn set_image(terraform: &Terraform, place: &Place<'_>) -> String {
    kubectl(terraform, place, &["set", "image", "job/nightly", "app=busybox:2"], SECOND)
}

/// Terraform breaks lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The provider's `kubernetes_manifest` lists CustomResourceDefinitions, whatever the kind.
fn may_list_crds(place: &Place<'_>, user: &User) {
    let admin = |args: &[&str]| place.namespace.kubectl(&[&["create"], args].concat()).ok();
    let name = user.name();
    admin(&["clusterrole", name, "--verb=list", "--resource=customresourcedefinitions"]);
    let role = format!("--clusterrole={name}");
    admin(&["clusterrolebinding", name, &role, &format!("--user={name}")]);
    wait::until("the user may list them", || {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        (user.get(path).status == 200).then_some(())
    });
}

fn without_delete(terraform: &Terraform, place: &Place<'_>) -> String {
    let rights = [("batch", "jobs", &["create", "patch", "get"] as &[_])];
    let seen = place.namespace.seen_with_rights(&ControlPlane::shared(), &rights);
    may_list_crds(place, seen.user());
    let place = Place::in_namespace(place.rejob, seen);
    let old = finished(terraform, &place);
    let Err(error) = terraform.deploy(&place, SECOND) else { return "no error".to_owned() };
    assert_eq!(place.uid(), old, "{error}");
    if !words(&error).contains("may not delete jobs") {
        return short(&error);
    }
    "error: user may not delete jobs, old one untouched".to_owned()
}

fn too_long(terraform: &Terraform, place: &Place<'_>) -> String {
    terraform.deploy(place, IMAGE).unwrap();
    place.namespace.ready_pods(JOB);
    let old = place.uid();
    let Err(error) = terraform.deploy(place, SECOND) else { return "no error".to_owned() };
    assert_eq!(place.uid(), old, "{error}");
    if !error.contains("TooManyRequests") {
        return short(&error);
    }
    assert!(words(&error).contains("is still running"), "{error}");
    "error: TooManyRequests, old one untouched".to_owned()
}

fn computed_selector(terraform: &Terraform, place: &Place<'_>) -> String {
    let old = finished(terraform, place);
    // The first two are the provider's own, which the list replaces.
    let field = "computed_fields = [\"metadata.annotations\", \"metadata.labels\", \"spec.selector\"]\n\
        manifest = {";
    let configuration = edited(terraform, "manifest = {", field);
    let said = terraform.apply(place, &configuration, SECOND);
    assert!(!said.as_ref().is_ok_and(|text| !text.contains("spec.selector")), "{said:?}");
    outcome(said, place, &old, SECOND)
}

fn template_annotation(terraform: &Terraform, place: &Place<'_>) -> String {
    let old = finished(terraform, place);
    let template = r#"template = {
      metadata = { annotations = { "example.com/run" = "2" } }"#;
    let configuration = edited(terraform, "template = {", template);
    outcome(terraform.apply(place, &configuration, IMAGE), place, &old, IMAGE)
}

/// kubectl owns the annotation.
fn conflict(terraform: &Terraform, place: &Place<'_>) -> String {
    annotated(terraform, place);
    place.namespace.finish_pods(JOB);
    let old = place.uid();
    let rerun = r#"annotations = { "rejob.dev/rerun" = "3", "#;
    let configuration = edited(terraform, ANNOTATIONS, rerun);
    let Err(error) = terraform.apply(place, &configuration, IMAGE) else {
        return "no error".to_owned();
    };
    assert_eq!(place.uid(), old, "{error}");
    if !error.contains("conflict") {
        return short(&error);
    }
    let force = "field_manager {\n    force_conflicts = true\n  }\n  manifest = {";
    let configuration = configuration.replace("manifest = {", force);
    let forced = outcome(terraform.apply(place, &configuration, IMAGE), place, &old, IMAGE);
    format!("error: conflict, then with `force_conflicts` {forced}")
}

/// Plans and applies twice: whether each plan removes that, and no apply does.
fn removed_in_vain(terraform: &Terraform, place: &Place<'_>, what: &str) -> String {
    for _ in 0..3 {
        match terraform.plan(place) {
            None => return "the plan is clean".to_owned(),
            Some(plan) => assert!(plan.contains(what) && plan.contains("1 to change"), "{plan}"),
        }
        terraform.run(place, &["apply", "-auto-approve"]).ok();
    }
    format!("every plan removes `{what}`, and no apply does")
}

fn without_ignored_annotations(terraform: &Terraform, place: &Place<'_>) -> String {
    let ignored = "  ignore_annotations = [\"^rejob\\\\.dev/\"]\n";
    Terraform::configure(place, &edited(terraform, ignored, ""), IMAGE);
    terraform.run(place, &["apply", "-auto-approve"]).ok();
    removed_in_vain(terraform, place, "rejob.dev/template-hash")
}

fn under_a_ttl(terraform: &Terraform, place: &Place<'_>) -> String {
    Terraform::configure(place, &terraform.configuration, IMAGE);
    terraform.run(place, &["apply", "-auto-approve"]).ok();
    removed_in_vain(terraform, place, "ttl_seconds_after_finished")
}

fn under_a_hash_name(terraform: &Terraform, place: &Place<'_>) -> String {
    terraform.deploy(place, IMAGE).unwrap();
    let names = place.namespace.job_names();
    if names == [JOB] { "keeps its name".to_owned() } else { names.join(", ") }
}
