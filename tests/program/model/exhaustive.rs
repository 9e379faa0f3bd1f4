//! Every interleaving of small scenarios.

use super::check::Checked;
use super::job::{NEVER_DORMANT, NEVER_RELEASED};
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

/// A client that goes on to another command, for what there was at first.
#[test]
fn a_client_that_takes_its_command_back_with_any_one_fault() {
    for kind in ALL {
        let applied_by = applied(&[kind]);
        let senders = vec![Sender::new(kind, "ada", &["a:2", "a:1"])];
        let scenario = Scenario { faults: 1, applied_by, ..Scenario::of(senders) };
        holds(&format!("{kind:?} taken back with a fault"), scenario);
    }
}

/// A client that compares before it sends, where its own record does not change with the image.
#[test]
fn a_client_that_finds_its_record_unchanged_with_any_one_fault() {
    for (kind, images, image_set) in
        [(Kind::Kubectl, ["a:1", "a:1"], Some("a:2")), (Kind::Helm, ["a:2", "a:2"], None)]
    {
        let senders = vec![Sender::new(kind, "ada", &images)];
        let scenario = Scenario { faults: 1, image_set, ..Scenario::of(senders) };
        holds(&format!("{kind:?} with its record unchanged"), scenario);
    }
}

/// Whoever claims a right that he does not have starts nothing by his own requests.
#[test]
fn a_forged_review_by_a_user_without_rights_who_then_writes_himself() {
    for kind in ALL {
        let group = Some("system:masters");
        let forgery = Some(Forgery { user: "patch-only", manager: "tool", group });
        let senders = vec![Sender::new(kind, "patch-only", &["a:2"])];
        let scenario = Scenario { forgery, applied_by: applied(&[kind]), ..Scenario::of(senders) };
        holds(&format!("{kind:?}, forgery by the same user"), scenario);
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

#[test]
fn any_two_clients_of_two_users() {
    for (index, first) in ALL.into_iter().enumerate() {
        for second in ALL.into_iter().skip(index) {
            let senders = vec![
                Sender::new(first, "ada", &["a:2"]),
                Sender::new(second, "bob", &["a:3"]).with_manager("other"),
            ];
            let applied_by = applied(&[first, second]);
            let scenario = Scenario { applied_by, ..Scenario::of(senders) };
            holds(&format!("{first:?} and {second:?}, two users"), scenario);
        }
    }
}

/// Both ask for the same: it runs once for each at most.
#[test]
fn two_clients_that_ask_for_the_same() {
    for kind in [Kind::Patch, Kind::Apply, Kind::Put, Kind::Kubectl] {
        let senders = vec![Sender::new(kind, "ada", &["a:2"]), Sender::new(kind, "bob", &["a:2"])];
        let scenario = Scenario { applied_by: applied(&[kind]), ..Scenario::of(senders) };
        holds(&format!("{kind:?} twice for the same"), scenario);
    }
}

#[test]
fn two_clients_with_a_fault() {
    for failure_policy in [FailurePolicy::Fail, FailurePolicy::Ignore] {
        for (first, second) in
            [(Kind::Patch, Kind::Apply), (Kind::Put, Kind::Label), (Kind::Kubectl, Kind::Patch)]
        {
            let senders = vec![
                Sender::new(first, "ada", &["a:2"]),
                Sender::new(second, "bob", &["a:3"]).with_manager("other"),
            ];
            let applied_by = applied(&[first, second]);
            // The cached first reads have their own checks.
            let scenario = Scenario {
                faults: 1,
                cache: false,
                failure_policy,
                applied_by,
                ..Scenario::of(senders)
            };
            holds(&format!("{first:?}, {second:?} and a fault, {failure_policy:?}"), scenario);
        }
    }
}

/// The forger does not know who will write next: whatever he claims, nothing of his runs.
#[test]
fn a_forged_review_beside_any_client() {
    for kind in ALL {
        for faults in [0, 1] {
            let applied_by = applied(&[kind]);
            let senders = vec![Sender::new(kind, "ada", &["a:2", "a:2"])];
            let forgery = Some(Forgery { user: "root", manager: "kubectl", group: None });
            let cache = faults == 0;
            let scenario = Scenario { forgery, faults, cache, applied_by, ..Scenario::of(senders) };
            holds(&format!("{kind:?}, forgery, {faults} faults"), scenario);
        }
    }
}

/// A forger who claims the next writer's own user and field manager still achieves nothing against
/// a client that brings its whole manifest.
#[test]
fn a_forged_review_in_the_name_of_a_client_that_brings_all_of_its_own() {
    for kind in [Kind::Apply, Kind::Put, Kind::PutAtRevision] {
        let senders = vec![Sender::new(kind, "ada", &["a:2"])];
        let forgery = Some(Forgery { user: "ada", manager: "tool", group: None });
        let scenario = Scenario { forgery, applied_by: applied(&[kind]), ..Scenario::of(senders) };
        holds(&format!("{kind:?}, forgery in its name"), scenario);
    }
}

#[test]
fn a_job_that_makes_progress_is_waited_for() {
    for kind in [Kind::Patch, Kind::Apply, Kind::Put, Kind::Kubectl] {
        let senders = vec![Sender::new(kind, "ada", &["a:2", "a:3"])];
        let scenario = Scenario {
            pods_become_ready: true,
            applied_by: applied(&[kind]),
            ..Scenario::of(senders)
        };
        holds(&format!("{kind:?} while Pods run"), scenario);
    }
}

/// Neither an invalid template nor a user who may only patch costs a Job.
#[test]
fn a_refused_replacement_deletes_nothing() {
    for kind in ALL {
        for (user, image) in [
            ("ada", "bad!"),
            ("ada", NEVER_DORMANT),
            ("ada", NEVER_RELEASED),
            ("patch-only", "a:2"),
        ] {
            for as_user in [false, true] {
                let senders =
                    vec![Sender::new(kind, user, &[image]), Sender::new(kind, "ada", &["a:3"])];
                let applied_by = applied(&[kind]);
                let scenario = Scenario { as_user, applied_by, ..Scenario::of(senders) };
                holds(&format!("{kind:?} of {image} by {user}, as the user: {as_user}"), scenario);
            }
        }
    }
}
