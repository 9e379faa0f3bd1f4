//! `paused: true`: plain Kubernetes for every Job, but what is half replaced stays guarded, and nobody
//! is told success about what does not happen. `paused: false`: as before.

use serde_json::{Value, json};

use super::clients::{self, uid};
use super::lifecycle::wait_until_plain;
use support::helm::Helm;
use support::manifest::{annotation, job};
use support::namespace::Namespace;
use support::service::Service;
use support::site::{self, OFTEN, Site};
use support::user::Answer;
use support::wait;

#[test]
fn a_pause_by_helm_3_leaves_jobs_to_plain_kubernetes_until_it_ends() {
    pauses(Helm::V3_22);
}

#[test]
fn a_pause_by_helm_4_leaves_jobs_to_plain_kubernetes_until_it_ends() {
    pauses(Helm::V4_3);
}

fn pauses(helm: Helm) {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, helm, &[]);
    let team = site.team("replace");
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    site.wait_until_called(&team);
    apply(&team, "app:1").ok();
    let half_replaced = clients::left_dormant(site.plane);
    let guarded = wake(&half_replaced);
    assert!(guarded.status == 403 || guarded.status == 429, "{}", guarded.body);
    let (configs, template) = (site.client_configs(), pod_template(&site));

    site.helm("upgrade", &["paused=true"]).ok();
    wait_until_plain(&team);
    // No Pod is replaced, and what the server wrote into the entries is still there.
    assert_eq!(site.client_configs(), configs);
    assert_eq!(pod_template(&site), template);
    a_changed_job_is_answered_as_by_plain_kubernetes(&team);
    let still = wake(&half_replaced);
    assert_eq!(still.status, guarded.status, "{}", still.body);
    assert_eq!(half_replaced.job("cut-off").unwrap()["spec"]["parallelism"], 0);
    nobody_is_promised_a_rerun(&team);
    nobody_forges_a_mark(&team);
    let said = site.doctor().ok().stdout;
    assert!(said.contains("rejob is paused") && said.contains("rejob is well"), "{said}");

    site.helm("upgrade", &["paused=false"]).ok();
    site.wait_until_called(&team);
    assert_eq!(site.client_configs(), configs);
    let old = uid(&team, "nightly");
    apply(&team, "app:3").ok();
    let new = uid(&team, "nightly");
    assert_ne!(new, old);
    // The API server has its own time to forget a ValidatingAdmissionPolicy.
    wait::until("a rerun is accepted", || (rerun(&team, "c", "").status == 200).then_some(()));
    assert_ne!(uid(&team, "nightly"), new);
}

#[test]
fn what_is_half_replaced_is_cleared_away_in_a_pause_too() {
    let cluster = site::cluster();
    let sets = [&OFTEN[..], &["paused=true"]].concat();
    let site = Site::install(&cluster.plane, Helm::V4_3, &sets);
    // A dormant Job that is older than the configuration is kept.
    let team = clients::left_dormant(&cluster.plane);
    let _replicas = site.replicas();
    wait::until("the dormant Job is reaped", || team.job("cut-off").is_none().then_some(()));
}

fn apply(team: &Namespace, image: &str) -> Answer {
    let path = format!("{}?fieldManager=team&force=true", team.job_path("nightly"));
    team.user().apply(&path, &job("nightly", image))
}

/// Somebody else than who replaced the Job tries to start it.
fn wake(team: &Namespace) -> Answer {
    let path = team.job_path("cut-off");
    team.user().patch("merge", &path, &json!({ "spec": { "parallelism": 1 } }))
}

fn pod_template(site: &Site<'_>) -> Value {
    site.deployment()["spec"]["template"].clone()
}

fn a_changed_job_is_answered_as_by_plain_kubernetes(team: &Namespace) {
    let old = uid(team, "nightly");
    let answer = apply(team, "app:2");
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.message().contains("field is immutable"), "{}", answer.message());
    assert_eq!(uid(team, "nightly"), old);
    let fresh = team.create_job(&job("fresh", "app:1")).ok();
    assert!(annotation(&fresh, "rejob.dev/template-hash").is_none(), "{fresh}");
}

fn rerun(team: &Namespace, value: &str, query: &str) -> Answer {
    let change = json!({ "metadata": { "annotations": { "rejob.dev/rerun": value } } });
    team.user().patch("merge", &format!("{}{query}", team.job_path("nightly")), &change)
}

fn nobody_is_promised_a_rerun(team: &Namespace) {
    // A dry run, so that nothing is stored before the API server has taken notice of the policy.
    let refused = wait::until("a rerun is refused", || {
        let answer = rerun(team, "a", "?dryRun=All");
        (answer.status != 200).then_some(answer)
    });
    for answer in [refused, rerun(team, "b", "")] {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.message().contains("rejob is paused"), "{}", answer.message());
    }
    assert!(annotation(&team.job("nightly").unwrap(), "rejob.dev/rerun").is_none());
    let other = json!({ "metadata": { "annotations": { "team": "a" } } });
    team.user().patch("merge", &team.job_path("nightly"), &other).ok();
}

fn nobody_forges_a_mark(team: &Namespace) {
    let mark = json!({ "metadata": { "labels": { "rejob.dev/dormant": "true" } } });
    let path = team.job_path("nightly");
    let refused = wait::until("a forged mark is refused", || {
        let answer = team.user().patch("merge", &format!("{path}?dryRun=All"), &mark);
        (answer.status != 200).then_some(answer)
    });
    let mut forged = job("forged", "app:1");
    forged["metadata"]["labels"] = mark["metadata"]["labels"].clone();
    for answer in [refused, team.user().patch("merge", &path, &mark), team.create_job(&forged)] {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.message().contains("a mark of rejob's own"), "{}", answer.message());
    }
    assert!(team.job("forged").is_none());
}
