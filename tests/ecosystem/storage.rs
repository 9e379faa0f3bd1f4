//! Where Jobs are kept, and who serves them: two API servers on one etcd, and kine in etcd's place.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;

use support::binaries::RELEASES;
use support::client::{Client, Place, Said};
use support::clients;
use support::outcomes::{check, page, play};
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::situation::POLICIES;
use support::user::User;

use super::neighbor::Program;
use super::table::Table;

const KINE: Program = Program {
    name: "kine",
    version: "0.17.5",
    module: "github.com/k3s-io/kine",
    package: "github.com/k3s-io/kine",
};

/// A client whose commands in a namespace go to two API servers in turn.
struct InTurn {
    client: Box<dyn Client>,
    users: [User; 2],
    /// How many commands each namespace has seen: several situations are played at the same time.
    commands: Mutex<HashMap<String, usize>>,
}

impl InTurn {
    fn place<'r>(&self, place: &Place<'r>) -> Place<'r> {
        let mut commands = self.commands.lock().unwrap();
        let count = commands.entry(place.namespace.name().to_owned()).or_default();
        let namespace = place.namespace.seen_by(self.users[*count % 2].clone());
        *count += 1;
        Place::in_namespace(place.rejob, namespace)
    }
}

impl Client for InTurn {
    fn title(&self) -> &'static str {
        self.client.title()
    }
    fn deploy(&self, place: &Place<'_>, image: &str) -> Said {
        self.client.deploy(&self.place(place), image)
    }
    fn dry_run(&self, place: &Place<'_>, image: &str) -> Option<Said> {
        self.client.dry_run(&self.place(place), image)
    }
    fn deploy_and_wait(&self, place: &Place<'_>, image: &str) -> Said {
        self.client.deploy_and_wait(&self.place(place), image)
    }
    fn roll_back(&self, place: &Place<'_>, first: &str) -> Said {
        self.client.roll_back(&self.place(place), first)
    }
    fn delete(&self, place: &Place<'_>) -> Said {
        self.client.delete(&self.place(place))
    }
    fn recreates(&self) -> bool {
        self.client.recreates()
    }
    fn names_a_revision(&self) -> bool {
        self.client.names_a_revision()
    }
    fn retries(&self) -> bool {
        self.client.retries()
    }
    fn reruns_unchanged(&self) -> bool {
        self.client.reruns_unchanged()
    }
}

/// One of them reads from etcd and not from its watch cache, so that what one has just written may be
/// unknown to the other.
#[test]
fn two_api_servers_on_one_etcd() {
    let cached = ControlPlane::start(&Options::default());
    let direct = cached.another(&Options { no_watch_cache: true, ..Options::default() });
    let mut table = Table::new(
        "Two API servers on one etcd",
        format!(
            "Kubernetes {}; the second API server runs with `--watch-cache=false`. Every client of the\n\
             [matrix](compatibility.md) plays every situation. In each situation, every command\n\
             of the client goes to the other API server than the one before.",
            RELEASES[0].version
        ),
    );
    for (title, plane) in [("the first", &cached), ("the second", &direct)] {
        let rejob = Rejob::with_policies(plane, POLICIES);
        let in_turn = |client| -> Box<dyn Client> {
            let users = [cached.admin(), direct.admin()];
            Box::new(InTurn { client, users, commands: Mutex::default() })
        };
        let clients: Vec<_> = clients::all().into_iter().map(in_turn).collect();
        let outcomes = play(&clients, || Place::new(&rejob, true));
        check(&clients, &outcomes);
        let situation = format!("{} outcomes; rejob talks to {title}", outcomes.len());
        table.row(&situation, "not played", "as with one API server");
    }
    table.compare();
}

/// What k3s has in etcd's place, with SQLite behind it.
#[test]
fn kine_in_the_place_of_etcd() {
    let plane = ControlPlane::start(&Options { kine: Some(KINE.get()), ..Options::default() });
    let rejob = Rejob::with_policies(&plane, POLICIES);
    let clients = clients::all();
    let before = play(&clients, || Place::new(&rejob, false));
    let after = play(&clients, || Place::new(&rejob, true));
    let titles: Vec<_> = clients.iter().map(|client| client.title()).collect();
    let on_etcd = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md"));
    assert_eq!(page(&titles, &before, &after), on_etcd.unwrap());
    let mut table = Table::new(
        "kine",
        format!(
            "kine {} with SQLite in the place of etcd, as in k3s; Kubernetes {}. Every client of the\n\
             [matrix](compatibility.md) plays every situation.",
            KINE.version, RELEASES[0].version
        ),
    );
    let situation = format!("{} outcomes", after.len());
    table.row(&situation, "as on etcd", "as on etcd");
    table.compare();
}
