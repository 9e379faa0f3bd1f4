//! The situations of the matrix and the policies other than `replace`, beside a neighbor.

use support::client::{Client, JOB, Place, job, said};
use support::clients;
use support::outcomes::{self, a_few_at_a_time};
use support::rejob::Rejob;
use support::situation::Situation;

use super::play::{IMAGES, WELL, deploy, deploys, short};
use super::table::Table;

/// `replace` is that of [`support::situation::POLICIES`].
pub const POLICIES: &str = "policies: {replace: {waitSeconds: 60}, keep: {onChange: Keep}, \
    deny: {onChange: Deny}, hash-name: {naming: TemplateHash}, ttl: {ttlSecondsAfterFinished: 3600}}";

/// Who plays: one client of each kind.
const CLIENTS: [&str; 5] =
    ["kubectl apply", "kubectl apply --server-side", "Helm 3.22", "Helm 4.3", "merge patch"];

/// What the page says about the rows.
pub const ABOUT: &str = "\"All five\" are kubectl apply, kubectl apply --server-side, Helm 3.22, Helm 4.3 and a merge patch. The words of their\n\
    outcomes are those of [the clients' table](compatibility.md).";

/// An image that the neighbor refuses.
pub const FORBIDDEN: &str = "busybox:forbidden";

/// A place of that rejob, in a namespace that opts in to that policy or to none.
pub fn place<'r>(rejob: &'r Rejob<'r>, policy: Option<&str>) -> Place<'r> {
    let namespace =
        policy.map_or_else(|| rejob.unlabeled_namespace(), |policy| rejob.namespace(policy));
    Place::in_namespace(rejob, namespace)
}

type Play = fn(&dyn Client, &Place<'_>) -> String;

/// Where Jobs are played beside a neighbor.
pub struct Beside<'a, 'r> {
    /// What the title of each row begins with.
    pub prefix: &'a str,
    /// A new place that opts in to that policy, or to none.
    pub place: &'a (dyn Fn(Option<&str>) -> Place<'r> + Sync),
}

impl Beside<'_, '_> {
    /// Plays the situations of the matrix.
    pub fn situations(&self, table: &mut Table) {
        let clients = players();
        let before = outcomes::play(&clients, || (self.place)(None));
        let after = outcomes::play(&clients, || (self.place)(Some("replace")));
        outcomes::check(&clients, &after);
        for situation in Situation::ALL {
            let outcomes = clients.iter().map(|client| {
                let of = (client.title(), situation);
                [before[&of].clone(), after[&of].clone()]
            });
            self.rows(table, situation.title(), &clients, outcomes.collect());
        }
    }

    /// Deploys [`IMAGES`] under the other policies.
    pub fn policies(&self, table: &mut Table) {
        let clients = players();
        let kept = "run, no run, no run, no run";
        let denied = "run, no run, error: onChange is Deny, error: onChange is Deny";
        for (policy, title, play, wanted) in [
            ("keep", "`onChange: Keep`", all as Play, kept),
            ("deny", "`onChange: Deny`", all, denied),
            (
                "ttl",
                "`ttlSecondsAfterFinished: 3600`",
                all_and_ttl,
                "run, no run, run, no run; TTL 3600",
            ),
        ] {
            self.row(table, &format!("four deploys under {title}"), &clients, policy, play, wanted);
        }
        // A merge patch creates by a POST, which gets the hash.
        let named: Vec<_> =
            clients.into_iter().filter(|client| client.title() != "merge patch").collect();
        let title = "`naming: TemplateHash`";
        self.row(table, &format!("four deploys under {title}"), &named, "hash-name", all, WELL);
        let [before, after] =
            [None, Some("hash-name")].map(|policy| created(&(self.place)(policy)));
        let situation = format!(
            "{}`busybox:1` twice, then `busybox:2` under {title}: kubectl create",
            self.prefix
        );
        table.row(&situation, &before, &after);
        assert_eq!(after, "run, error: AlreadyExists, run");
    }

    /// Asks for [`FORBIDDEN`], in a dry run and in earnest.
    pub fn refusals(&self, table: &mut Table) {
        let clients = players();
        let wanted = "error: is not let in";
        let title = "a change that is refused";
        self.row(table, title, &clients, "replace", refused, wanted);
        // Helm has no dry run that sends the Job.
        let asking: Vec<_> =
            clients.into_iter().filter(|client| !client.title().starts_with("Helm")).collect();
        let title = "dry run of a change that is refused";
        self.row(table, title, &asking, "replace", refused_in_a_dry_run, wanted);
    }

    /// Plays with all these clients.
    fn row(
        &self,
        table: &mut Table,
        situation: &str,
        clients: &[Box<dyn Client>],
        policy: &str,
        play: Play,
        wanted: &str,
    ) {
        let outcomes = a_few_at_a_time(clients, |client| {
            [None, Some(policy)].map(|policy| play(client.as_ref(), &(self.place)(policy)))
        });
        for (client, [_, after]) in clients.iter().zip(&outcomes) {
            assert_eq!(after, wanted, "{}{situation}: {}", self.prefix, client.title());
        }
        self.rows(table, situation, clients, outcomes);
    }

    /// One row for the clients to which the same came.
    fn rows(
        &self,
        table: &mut Table,
        situation: &str,
        clients: &[Box<dyn Client>],
        outcomes: Vec<[String; 2]>,
    ) {
        let mut rows: Vec<([String; 2], Vec<&str>)> = Vec::new();
        for (client, outcome) in clients.iter().zip(outcomes) {
            match rows.iter_mut().find(|(played, _)| *played == outcome) {
                _ if outcome == ["-", "-"] => {}
                Some((_, titles)) => titles.push(client.title()),
                None => rows.push((outcome, vec![client.title()])),
            }
        }
        for ([before, after], titles) in rows {
            let titles = if titles == CLIENTS { "all five".to_owned() } else { titles.join(", ") };
            table.row(&format!("{}{situation}: {titles}", self.prefix), &before, &after);
        }
    }
}

fn players() -> Vec<Box<dyn Client>> {
    clients::all().into_iter().filter(|client| CLIENTS.contains(&client.title())).collect()
}

fn all(client: &dyn Client, place: &Place<'_>) -> String {
    deploys(client, place, &IMAGES)
}

fn all_and_ttl(client: &dyn Client, place: &Place<'_>) -> String {
    let outcomes = deploys(client, place, &IMAGES);
    let ttl = &place.job().unwrap()["spec"]["ttlSecondsAfterFinished"];
    format!("{outcomes}; {}", ttl.as_u64().map_or("no TTL".to_owned(), |ttl| format!("TTL {ttl}")))
}

/// `kubectl create`: each template has a Job of its own, or the name is taken.
fn created(place: &Place<'_>) -> String {
    let outcomes = ["busybox:1", "busybox:1", "busybox:2"].map(|image| {
        let args = ["create", "-o", "name", "-f", "-"];
        let output = place.namespace.kubectl_with(&job(image).to_string(), &args);
        if let Err(error) = said(&output) {
            return short(&error);
        }
        place.namespace.finish_pods(output.line().trim_start_matches("job.batch/"));
        "run".to_owned()
    });
    outcomes.join(", ")
}

fn refused(client: &dyn Client, place: &Place<'_>) -> String {
    assert_eq!(deploy(client, place, "busybox:1"), "run");
    place.namespace.finish_pods(JOB);
    deploy(client, place, FORBIDDEN)
}

fn refused_in_a_dry_run(client: &dyn Client, place: &Place<'_>) -> String {
    assert_eq!(deploy(client, place, "busybox:1"), "run");
    place.namespace.finish_pods(JOB);
    let old = place.job();
    let said = client.dry_run(place, FORBIDDEN).expect("it can");
    assert_eq!(place.job(), old, "a dry run changed the Job");
    said.map_or_else(|error| short(&error), |_| "no error".to_owned())
}
