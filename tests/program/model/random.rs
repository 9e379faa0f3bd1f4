//! Random schedules of what is too large to explore: more clients, more commands, more faults.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::check::Checked;
use super::property;
use super::scenario::{FailurePolicy, Forgery, Kind, Scenario, Sender};
use super::step::{actions, step};

/// How long a schedule is at most; what is left is then run to its end.
const STEPS: usize = 400;

fn sender() -> impl Strategy<Value = Sender> {
    let kind = prop::sample::select(vec![
        Kind::Patch,
        Kind::Patch,
        Kind::Scale,
        Kind::Label,
        Kind::Put,
        Kind::PutAtRevision,
        Kind::Kubectl,
        Kind::Apply,
    ]);
    let user = prop::sample::select(vec!["ada", "bob", "patch-only"]);
    let manager = prop::sample::select(vec!["tool", "other"]);
    let images =
        prop::collection::vec(prop::sample::select(vec!["a:1", "a:2", "a:3", "bad!"]), 1..25);
    (kind, user, manager, images).prop_map(|(kind, user, manager, images)| {
        Sender::new(kind, user, &images).with_manager(manager)
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let senders = prop::collection::vec(sender(), 3..5);
    let policy = prop::sample::select(vec![FailurePolicy::Fail, FailurePolicy::Ignore]);
    let applied = prop::sample::select(vec![None, Some("tool")]);
    (senders, policy, any::<bool>(), 0_u8..7, any::<bool>(), applied).prop_map(
        |(senders, failure_policy, cache, faults, forged, applied_by)| Scenario {
            failure_policy,
            cache,
            faults,
            // A user that no client has: what the claim of a client's own can do is in `breaks`.
            forgery: forged.then_some(Forgery { user: "root", manager: "kubectl", group: None }),
            applied_by,
            ..Scenario::of(senders)
        },
    )
}

/// One schedule: the property that breaks, with the actions that led there.
fn walk(scenario: Scenario, choices: &[prop::sample::Index]) -> Result<usize, String> {
    let model = Checked::new(scenario, None);
    let mut world = model.initial();
    let mut taken = Vec::new();
    // After the random part the schedule ends by itself: the first action that there is.
    let mut next = Vec::new();
    for at in 0..STEPS * 4 {
        next.clear();
        actions(&model, &world, &mut next);
        if let Some(broken) = property::broken(&model, &world) {
            let stored = world.job().map_or_else(|| "none".to_owned(), |job| job.to_string());
            return Err(format!(
                "{broken}\n{taken:?}\n{:?}\nstarted {:?}\nstored {stored}",
                world.answers, world.started
            ));
        }
        if next.is_empty() {
            return Ok(taken.len());
        }
        let action = match choices.get(at) {
            Some(choice) => *choice.get(&next),
            None => next[0],
        };
        taken.push(action);
        step(&model, &mut world, action);
    }
    // Two writers of one tool may replace each other's dormant Job for as long as they meet.
    Ok(taken.len())
}

#[test]
fn random_schedules_of_many_clients_with_many_faults() {
    let mut runner = TestRunner::new_with_rng(Config { cases: 256, ..Config::default() }, rng());
    let choices = prop::collection::vec(any::<prop::sample::Index>(), STEPS);
    let longest = std::cell::Cell::new(0);
    runner
        .run(&(scenario(), choices), |(scenario, choices)| {
            let steps = walk(scenario, &choices).map_err(TestCaseError::fail)?;
            longest.set(longest.get().max(steps));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("the longest schedule has {} steps", longest.get());
    assert!(longest.get() > 200, "the schedules end too soon to tell anything");
}

/// The same schedules in every run; set `REJOB_MODEL_SEED` for others.
fn rng() -> proptest::test_runner::TestRng {
    let seed: u64 =
        std::env::var("REJOB_MODEL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes)
}
