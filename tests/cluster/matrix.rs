//! Client x situation -> outcome, before and after, by real clients on a real control plane.
//!
//! Every client deploys a Job in every situation twice: in a namespace that does not opt in, and in
//! one that opts in to the policy `replace`. The outcomes are the table in docs/compatibility.md,
//! which is compared here and written with `UPDATE_DOCS=1`.

mod helm;
mod kubectl;
mod raw;
mod running;
mod table;

use std::collections::BTreeMap;
use std::sync::Mutex;

use support::client::{Client, Place};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::{POLICIES, Situation};

/// The outcome of every situation for every client, by their titles.
type Outcomes = BTreeMap<(&'static str, Situation), String>;

fn outcomes(rejob: &Rejob<'_>, opted_in: bool, clients: &[Box<dyn Client>]) -> Outcomes {
    let work: Vec<_> = clients
        .iter()
        .flat_map(|client| Situation::ALL.into_iter().map(move |situation| (client, situation)))
        .collect();
    let next = Mutex::new(work.into_iter());
    let outcomes = Mutex::new(Outcomes::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let Some((client, situation)) = next.lock().unwrap().next() else { return };
                    let place = Place::new(rejob, opted_in);
                    let outcome = situation.play(client.as_ref(), &place);
                    outcomes.lock().unwrap().insert((client.title(), situation), outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

fn all_clients() -> Vec<Box<dyn Client>> {
    let mut clients = kubectl::clients();
    clients.extend(helm::clients());
    clients.extend(raw::clients());
    clients
}

/// What the table must say is not only whatever came out.
fn check(clients: &[Box<dyn Client>], outcomes: &Outcomes) {
    let mut wrong = Vec::new();
    for client in clients {
        for situation in Situation::ALL {
            let outcome = &outcomes[&(client.title(), situation)];
            let wanted = situation.wanted(client.as_ref());
            if outcome != wanted && outcome != "-" {
                wrong.push(format!("{}: {situation:?}: {outcome}, not {wanted}", client.title()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_client_redeploys_a_changed_job_in_every_situation() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let clients = all_clients();
    let before = outcomes(&rejob, false, &clients);
    let after = outcomes(&rejob, true, &clients);
    let titles: Vec<_> = clients.iter().map(|client| client.title()).collect();
    let page = table::page(&titles, &before, &after);
    check(&clients, &after);
    table::compare(&page);
}

#[test]
fn without_a_watch_cache_the_outcomes_are_the_same() {
    let plane = ControlPlane::start(&Options { no_watch_cache: true, ..Options::default() });
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let clients = all_clients();
    let outcomes = outcomes(&rejob, true, &clients);
    check(&clients, &outcomes);
}
