//! Client x situation -> outcome, before and after, by real clients on a real control plane.
//!
//! Every client deploys a Job in every situation twice: in a namespace that does not opt in, and in
//! one that opts in to the policy `replace`. The outcomes are the table in docs/compatibility.md,
//! which is compared here and written with `UPDATE_DOCS=1`.

mod running;

use std::fs;
use std::path::Path;

use support::client::Place;
use support::clients;
use support::outcomes::{check, page, play};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::POLICIES;

#[test]
fn every_client_redeploys_a_changed_job_in_every_situation() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let clients = clients::all();
    let before = play(&clients, || Place::new(&rejob, false));
    let after = play(&clients, || Place::new(&rejob, true));
    let titles: Vec<_> = clients.iter().map(|client| client.title()).collect();
    let page = page(&titles, &before, &after);
    check(&clients, &after);
    compare(&page);
}

#[test]
fn without_a_watch_cache_the_outcomes_are_the_same() {
    let plane = ControlPlane::start(&Options { no_watch_cache: true, ..Options::default() });
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let clients = clients::all();
    let outcomes = play(&clients, || Place::new(&rejob, true));
    check(&clients, &outcomes);
}

/// Compares the page with the stored one, or writes it.
fn compare(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        stored, page,
        "docs/compatibility.md is stale: run UPDATE_DOCS=1 cargo test --test cluster matrix"
    );
}
