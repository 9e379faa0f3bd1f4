//! Every interleaving of small scenarios.

use super::check::Checked;
use super::scenario::{FailurePolicy, Forgery, Kind, Scenario, Sender};

const ALL: [Kind; 7] = [
    Kind::Patch,
    Kind::Scale,
    Kind::Label,
    Kind::Apply,
    Kind::Put,
    Kind::PutAtRevision,
    Kind::Kubectl,
];

/// Explores and tells the number of states; a violation fails the test with its shortest path.
fn holds(name: &str, scenario: Scenario) -> usize {
    let begun = std::time::Instant::now();
    let found = Checked::new(scenario, None).explore();
    if let Some((property, path)) = found.violation {
        panic!("{name}: does not hold: {property}\n{path}");
    }
    println!("{name}: {} states, {:?}", found.states, begun.elapsed());
    found.states
}

fn applied(kinds: &[Kind]) -> Option<&'static str> {
    kinds.contains(&Kind::Apply).then_some("tool")
}

#[test]
fn one_client_alone_always_succeeds() {
    for kind in ALL {
        // A PUT at a revision that the Job controller's write overtakes is told so.
        let images: &[&str] =
            if kind == Kind::PutAtRevision { &["a:2"] } else { &["a:2", "a:2", "a:3"] };
        let applied_by = applied(&[kind]);
        let senders = vec![Sender::new(kind, "ada", images)];
        let scenario = Scenario { all_succeed: true, applied_by, ..Scenario::of(senders) };
        holds(&format!("{kind:?}"), scenario);
    }
}

/// After whatever went wrong, the same command again.
#[test]
fn one_client_with_any_one_fault() {
    for failure_policy in [FailurePolicy::Fail, FailurePolicy::Ignore] {
        for kind in ALL {
            let applied_by = applied(&[kind]);
            let senders = vec![Sender::new(kind, "ada", &["a:2", "a:2"])];
            let scenario =
                Scenario { faults: 1, failure_policy, applied_by, ..Scenario::of(senders) };
            holds(&format!("{kind:?} with a fault, {failure_policy:?}"), scenario);
        }
    }
}

#[test]
fn any_two_clients_of_one_tool() {
    for (index, first) in ALL.into_iter().enumerate() {
        for second in ALL.into_iter().skip(index) {
            let senders =
                vec![Sender::new(first, "ada", &["a:2"]), Sender::new(second, "ada", &["a:3"])];
            let applied_by = applied(&[first, second]);
            let scenario = Scenario { applied_by, ..Scenario::of(senders) };
            holds(&format!("{first:?} and {second:?}, one tool"), scenario);
        }
    }
}
