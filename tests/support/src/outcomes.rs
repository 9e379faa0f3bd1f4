//! Client x situation -> outcome, played a few at a time, and the table of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::{Client, Place};
use super::situation::Situation;

/// The outcome of every situation for every client, by their titles.
pub type Outcomes = BTreeMap<(&'static str, Situation), String>;

/// Plays every situation with every client, each in a place of its own.
pub fn play<'r>(clients: &[Box<dyn Client>], place: impl Fn() -> Place<'r> + Sync) -> Outcomes {
    let work: Vec<_> = clients
        .iter()
        .flat_map(|client| Situation::ALL.into_iter().map(move |situation| (client, situation)))
        .collect();
    let outcomes = a_few_at_a_time(&work, |(client, situation)| {
        ((client.title(), *situation), situation.play(client.as_ref(), &place()))
    });
    outcomes.into_iter().collect()
}

/// What comes of the work for each of them, in their order.
pub fn a_few_at_a_time<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(index) else { return };
                    let result = work(one);
                    done.lock().unwrap().insert(index, result);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

/// What the table must say is not only whatever came out: panics unless every outcome is the wanted one
/// of a namespace that opts in.
#[track_caller]
pub fn check(clients: &[Box<dyn Client>], outcomes: &Outcomes) {
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

const HEAD: &str = "\
# Compatibility: client x situation

Each cell shows what the real client did on a real kube-apiserver, etcd and kube-controller-manager
(`cargo test --test cluster matrix`; Pods are finished, failed and made Ready by patching their status). The
test compares this page; `UPDATE_DOCS=1 cargo test --test cluster matrix` writes it.

- *new run*: exit status 0, the Job has a new uid and the new template, and its Pod is started.
- *no run*: exit status 0, and nothing runs again.
- *waits, new run*: the client waits automatically while the old Job is running, then as *new run*.
- *429, then new run*: the same for a request without a client's retries: 429 with `Retry-After`,
  and the request sent again after the old Job has finished is a new run.
- *shows the change*: the dry run's answer says which field would change from what to what.
- *for the new one*: waiting for completion sees the new Job, never the old one's.
- *error, old one untouched*: a template that the API server refuses; the old Job keeps its uid.
- *-*: the client has no such thing.
";

/// docs/compatibility.md.
pub fn page(clients: &[&'static str], before: &Outcomes, after: &Outcomes) -> String {
    let mut page = HEAD.to_owned();
    let parts = [
        ("With rejob: the namespace is labeled `rejob.dev/policy: replace`", after),
        ("Without rejob: the namespace is not labeled", before),
    ];
    for (title, outcomes) in parts {
        let _ = write!(page, "\n## {title}\n\n| client |");
        for situation in Situation::ALL {
            let _ = write!(page, " {} |", situation.title());
        }
        let _ = writeln!(page, "\n|{}", "---|".repeat(Situation::ALL.len() + 1));
        for client in clients {
            let _ = write!(page, "| {client} |");
            for situation in Situation::ALL {
                let outcome = outcomes.get(&(*client, situation)).map_or("", String::as_str);
                let _ = write!(page, " {} |", outcome.replace('|', "\\|"));
            }
            page.push('\n');
        }
    }
    page
}
