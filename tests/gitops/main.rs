//! GitOps controllers as clients: their own libraries on a real control plane.
//!
//! They play the situations of the matrix (docs/compatibility-gitops.md), and what is particular to
//! a controller: it reconciles for ever, and `force` gives it leave to delete what it takes for
//! immutable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may"
)]

mod action;
mod argocd;
mod flux;
mod program;

use std::sync::Mutex;

use argocd::ArgoCd;
use flux::Flux;
use serde_json::{Value, json};
use support::client::{Client, JOB, Place, job};
use support::manifest;
use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::situation::{POLICIES, Situation};
use support::wait;

const BOTH: [Flux; 2] = [Flux { force: false }, Flux { force: true }];

/// Every client plays every situation, a few at a time; what came out other than wanted.
fn play_all(clients: &[&dyn Client]) {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let work: Vec<_> = clients
        .iter()
        .flat_map(|client| Situation::ALL.into_iter().map(move |situation| (*client, situation)))
        .collect();
    let next = Mutex::new(work.into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((client, situation)) = next.lock().unwrap().next() else { return };
                    let outcome = situation.play(client, &Place::new(&rejob, true));
                    let wanted = situation.wanted(client);
                    if outcome != wanted && outcome != "-" {
                        let title = client.title();
                        let line = format!("{title}: {situation:?}: {outcome}, not {wanted}");
                        wrong.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn flux_redeploys_a_changed_job_in_every_situation() {
    play_all(&BOTH.each_ref().map(|flux| flux as &dyn Client));
}

#[test]
fn argo_cd_redeploys_a_changed_job_in_every_situation() {
    play_all(&ArgoCd::ALL.each_ref().map(|argo_cd| argo_cd as &dyn Client));
}

/// Whatever it syncs with: before a sync both ways to compare see the change, after it neither.
#[test]
fn argo_cd_is_out_of_sync_before_and_synced_after_and_then_writes_nothing() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for argo_cd in ArgoCd::ALL {
        let place = Place::new(&rejob, true);
        let title = argo_cd.title();
        argo_cd.sync(&place, &[], job("busybox:1")).ok();
        for image in ["busybox:2", "busybox:3", "busybox:1"] {
            place.namespace.finish_pods(JOB);
            let compare = |wanted: &str| {
                for server_side in [false, true] {
                    let output = argocd::diff(&place, server_side, job(image)).ok();
                    let said = output.stdout.lines().last().unwrap_or_default();
                    assert_eq!(
                        said, wanted,
                        "{title}, server-side: {server_side}, {image}: {}",
                        output.stdout
                    );
                }
            };
            compare("OutOfSync");
            argo_cd.sync(&place, &[], job(image)).ok();
            compare("Synced");
        }
        if !argo_cd.reruns_unchanged() {
            place.namespace.finish_pods(JOB);
            let before = place.job();
            for _ in 0..5 {
                argo_cd.sync(&place, &[], job("busybox:1")).ok();
            }
            assert_eq!(place.job(), before, "{title}");
        }
    }
}

/// A controller takes over what kubectl made, then changes it.
#[test]
fn a_job_that_kubectl_made_is_adopted_without_a_run_and_then_redeployed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let argo_cd = ArgoCd::ALL.iter().filter(|argo_cd| !argo_cd.reruns_unchanged());
    let clients = BOTH.iter().map(|flux| flux as &dyn Client);
    for client in clients.chain(argo_cd.map(|argo_cd| argo_cd as &dyn Client)) {
        for flags in [&["apply", "-f", "-"] as &[_], &["apply", "--server-side", "-f", "-"]] {
            let place = Place::new(&rejob, true);
            let title = format!("{} after kubectl {}", client.title(), flags.join(" "));
            place.namespace.kubectl_with(&job("busybox:1").to_string(), flags).ok();
            place.namespace.finish_pods(JOB);
            let first = place.uid();
            client.deploy(&place, "busybox:1").unwrap_or_else(|error| panic!("{title}: {error}"));
            assert_eq!(place.uid(), first, "{title}: adopting ran it again");
            client.deploy(&place, "busybox:2").unwrap_or_else(|error| panic!("{title}: {error}"));
            let second = place.uid();
            assert_ne!(second, first, "{title}");
            place.namespace.finish_pods(JOB);
            client.deploy(&place, "busybox:2").unwrap_or_else(|error| panic!("{title}: {error}"));
            assert_eq!(place.uid(), second, "{title}: it runs again and again");
        }
    }
}

/// How often rejob has replaced a Job in this namespace.
fn replacements(rejob: &Rejob<'_>, place: &Place<'_>) -> usize {
    let name = format!("namespace=\"{}\"", place.namespace.name());
    let log = rejob.log();
    log.lines().filter(|line| line.contains(&name) && line.contains("reason=\"replaced\"")).count()
}

#[test]
fn flux_writes_nothing_where_nothing_changed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for flux in &BOTH {
        let place = Place::new(&rejob, true);
        let apply = |image| flux.run(&place, "apply", &[], job(image)).ok().line().to_owned();
        assert_eq!(apply("busybox:1"), "created");
        place.namespace.finish_pods(JOB);
        assert_eq!(apply("busybox:2"), "configured");
        place.namespace.finish_pods(JOB);
        let before = place.job();
        for _ in 0..5 {
            assert_eq!(apply("busybox:2"), "unchanged");
        }
        assert_eq!(place.job(), before);
    }
}

/// With a TTL the Job would vanish, and the tool create it again: it would run every hour. Argo CD that
/// tracks by a label is known by its field manager, or by its user agent.
#[test]
fn the_job_of_a_gitops_tool_gets_no_ttl_from_the_policy() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let check = |title: &str, deploy: &dyn Fn(&Place<'_>, &str)| {
        for policy in ["ttl", "hash-name"] {
            let place = Place::in_namespace(&rejob, rejob.namespace(policy));
            for image in ["busybox:1", "busybox:2"] {
                deploy(&place, image);
                let job = place.job().unwrap();
                assert_eq!(manifest::image(&job), image, "{title}");
                let ttl = job["spec"].get("ttlSecondsAfterFinished");
                assert_eq!(ttl, None, "{title} {policy} {image}: {job:#}");
                place.namespace.finish_pods(JOB);
            }
        }
    };
    for argo_cd in ArgoCd::ALL {
        for tracking in [&[] as &[_], &["-label"]] {
            let title = format!("{} {tracking:?}", argo_cd.title());
            check(&title, &|place, image| {
                argo_cd.sync(place, tracking, job(image)).ok();
            });
        }
    }
    for flux in &BOTH {
        check(flux.title(), &|place, image| {
            flux.run(place, "apply", &[], job(image)).ok();
        });
    }
}

/// Argo CD deletes and creates its hooks, and takes its own finalizer off them.
#[test]
fn a_hook_of_argo_cd_runs_once_a_sync_and_carries_nothing_of_rejob() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for argo_cd in ArgoCd::ALL {
        let place = Place::new(&rejob, true);
        let title = argo_cd.title();
        let mut last = String::new();
        for image in ["busybox:1", "busybox:1", "busybox:2"] {
            let hook = manifest::annotated(job(image), "argocd.argoproj.io/hook", "PreSync");
            std::thread::scope(|scope| {
                let sync = scope.spawn(|| argo_cd.sync(&place, &[], hook.clone()));
                wait::until("the hook is there", || {
                    let uid = place.uid();
                    (!uid.is_empty() && uid != last).then_some(())
                });
                place.namespace.finish_pods(JOB);
                sync.join().unwrap().ok();
            });
            let stored = place.job().unwrap();
            assert_eq!(manifest::image(&stored), image, "{title}");
            assert!(!stored["metadata"].to_string().contains("rejob.dev"), "{title}: {stored:#}");
            last = place.uid();
        }
        assert_eq!(replacements(&rejob, &place), 0, "{title}");
    }
}

/// Charts rendered to plain manifests keep their hook annotations; Flux applies them as any other.
#[test]
fn a_helm_hook_that_flux_applies_is_redeployed() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    for flux in &BOTH {
        let place = Place::new(&rejob, true);
        let apply = |image| {
            let hook = manifest::annotated(job(image), "helm.sh/hook", "pre-upgrade");
            flux.run(&place, "apply", &[], hook).ok().line().to_owned()
        };
        assert_eq!(apply("busybox:1"), "created");
        let mut last = place.uid();
        for image in ["busybox:2", "busybox:3"] {
            place.namespace.finish_pods(JOB);
            assert_eq!(apply(image), "configured", "{}", flux.title());
            assert_ne!(place.uid(), last, "{}", flux.title());
            last = place.uid();
            assert_eq!(apply(image), "unchanged", "{}", flux.title());
        }
        // With `force`, Flux would have deleted and created it by itself.
        wait::until("the log tells of both", || (replacements(&rejob, &place) == 2).then_some(()));
    }
}

/// Flux reads some errors of a dry run as "immutable", and with `force` deletes the object then.
#[test]
fn a_refusal_never_makes_flux_delete_the_job() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, "policies: {replace: {waitSeconds: 10}}");
    let with = |key: &'static str, value: &'static str| {
        move |image: &str| manifest::annotated(job(image), key, value)
    };
    let refuse_changes = with("rejob.dev/on-change", "Deny");
    let refuse_while_running = with("rejob.dev/while-running", "Deny");
    let nonsense = with("rejob.dev/on-change", "Sometimes");
    for flux in &BOTH {
        // The policy, a running Job, a finalizer, an annotation of no meaning, a refused template.
        refused(flux, &rejob, "cannot be changed", &refuse_changes, &|_| {}, &refuse_changes);
        let ready = |place: &Place<'_>| place.namespace.ready_pods(JOB);
        refused(flux, &rejob, "running", &refuse_while_running, &ready, &refuse_while_running);
        // The dry run passes, the real request is told to wait until Flux has no patience left.
        refused(flux, &rejob, "still running", &job, &ready, &job);
        refused(flux, &rejob, "finalizer", &job, &hold, &job);
        refused(flux, &rejob, "Sometimes", &job, &|_| {}, &nonsense);
        refused(flux, &rejob, "image", &job, &|_| {}, &|_: &str| job(""));
    }
}

/// Deploys, prepares, asks for a change that is refused, and expects the Job as it was.
fn refused(
    flux: &Flux,
    rejob: &Rejob<'_>,
    why: &str,
    first: &dyn Fn(&str) -> Value,
    prepare: &dyn Fn(&Place<'_>),
    second: &dyn Fn(&str) -> Value,
) {
    let place = Place::new(rejob, true);
    flux.run(&place, "apply", &[], first("busybox:1")).ok();
    prepare(&place);
    let old = place.uid();
    let output = flux.run(&place, "apply", &[], second("busybox:2"));
    let title = flux.title();
    assert_eq!(output.code, 1, "{title}, {why}: {}", output.stdout);
    assert!(output.stderr.contains(why), "{title}, {why}: {}", output.stderr);
    let job = place.job().unwrap_or_else(|| panic!("{title}, {why}: the Job is gone"));
    assert_eq!(place.uid(), old, "{title}, {why}: another Job");
    assert!(job["metadata"]["deletionTimestamp"].is_null(), "{title}, {why}: {job:#}");
}

/// Something holds the Job back from vanishing.
fn hold(place: &Place<'_>) {
    let change = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    let path = place.namespace.job_path(JOB);
    place.namespace.user().patch("merge", &path, &change).ok();
}
