//! Replicas that are stopped, and one that dies, under load, with `failurePolicy: Fail`.

use std::time::Instant;

use super::load::Load;
use support::helm::Helm;
use support::namespace::Namespace;
use support::replica::Replica;
use support::service::Service;
use support::site::{self, Site};

const FAIL: [&str; 1] = ["webhook.failurePolicy=Fail"];

#[test]
fn a_rolling_restart_of_both_replicas_fails_no_review() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &FAIL);
    let (mut replicas, service, team) = serving(&site);
    let (mut restarts, mut busy) = (0, 0);
    let load = Load::during(&team, |load| {
        // As the Deployment does it (maxSurge 1, maxUnavailable 0), and then with one less instead
        // of one more, as when a node is drained.
        for surge in [true, true, false, false] {
            load.wait_for(50);
            let old = replicas.remove(0);
            let ports = old.ports.unwrap();
            if surge {
                replicas.push(successor(&site, &service));
            }
            busy += usize::from(service.accepted(ports) > 0);
            old.ask_to_stop();
            service.wait_until_gone(ports);
            assert_eq!(old.wait_until_ended(), Some(0));
            if !surge {
                replicas.push(successor(&site, &service));
            }
            restarts += 1;
        }
        load.wait_for(50);
    });
    let failures = load.failures();
    let (failed, all) = (failures.len(), failures.len() + load.reviewed());
    assert_eq!(failed, 0, "{failed} of {all}: {failures:?}");
    // The API server keeps its connections, so not each one had some.
    assert!(busy >= 2, "only {busy} of the {restarts} that were stopped had connections");
    eprintln!("{restarts} restarts, {all} reviews, {failed} failed");
}

#[test]
fn a_replica_that_dies_costs_what_it_had_in_hand_and_nothing_later() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &FAIL);
    let (mut replicas, service, team) = serving(&site);
    let mut gone = None;
    let load = Load::during(&team, |load| {
        load.wait_for(50);
        let mut victim = replicas.remove(0);
        let ports = victim.ports.unwrap();
        assert!(service.accepted(ports) > 0, "the replica that dies had nothing to do");
        victim.kill();
        service.wait_until_gone(ports);
        gone = Some(Instant::now());
        load.wait_for(100);
    });
    let (failures, gone) = (load.failures(), gone.unwrap());
    let later: Vec<_> = failures.iter().filter(|failure| failure.sent > gone).collect();
    assert!(later.is_empty(), "after the Service had dropped the dead replica: {later:?}");
    eprintln!(
        "one of two killed: {} of {} failed",
        failures.len(),
        failures.len() + load.reviewed()
    );
    for failure in failures {
        eprintln!("{}", failure.told);
    }

    // The last one stops as well: with Fail nobody creates a Job any more, until the chart is gone.
    for replica in replicas {
        assert_eq!(replica.terminate(), Some(0));
    }
    let path = team.jobs_path();
    let refused = team.user().post(&path, &support::manifest::job("nightly", "app:1"));
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(refused.message().contains("failed calling webhook"), "{}", refused.message());
    site.uninstall();
    super::lifecycle::wait_until_plain(&team);
}

fn successor<'p>(site: &Site<'p>, service: &Service) -> Replica<'p> {
    let mut replica = Replica::start(site);
    replica.wait_until_ready();
    service.add(&replica);
    replica
}

/// Both replicas behind the Service, and a namespace that the API server calls them for.
fn serving<'p>(site: &Site<'p>) -> (Vec<Replica<'p>>, Service, Namespace) {
    let replicas = site.replicas();
    let service = Service::of(site, &replicas);
    let team = site.team("replace");
    site.wait_until_called(&team);
    (replicas, service, team)
}
