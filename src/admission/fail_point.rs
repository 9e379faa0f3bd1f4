//! Fail points: a debug build ends itself at a step of a replacement, for the tests of crashes.
//!
//! `REJOB_FAIL_POINT=before-delete` (or `after-delete`, `before-create`, …) kills the process as
//! `kill -9` would, without any clean-up; `before-answer-replaced` and the like do so when the
//! answer is decided and not yet sent. A release build does not contain it.

use crate::reason::Reason;
use crate::replacement::Effect;

/// On which side of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The effect is about to begin.
    Before,
    /// The effect has ended.
    After,
}

/// Ends the process if the environment names this step of this effect.
#[cfg(debug_assertions)]
pub(super) fn hit(effect: Effect, step: Step) {
    let effect = match effect {
        Effect::OptIn => "opt-in",
        Effect::CanDelete => "can-delete",
        Effect::CanCreate => "can-create",
        Effect::DryRunCreate => "dry-run-create",
        Effect::DryRunDormant => "dry-run-dormant",
        Effect::DryRunCreateAsUser => "dry-run-create-as-user",
        Effect::DryRunDeleteAsUser => "dry-run-delete-as-user",
        Effect::Look => "look",
        Effect::Delete => "delete",
        Effect::Create => "create",
    };
    let step = match step {
        Step::Before => "before",
        Step::After => "after",
    };
    end_at(&format!("{step}-{effect}"));
}

/// Ends the process if the environment names the answer with this reason.
#[cfg(debug_assertions)]
pub fn answers(reason: Reason) {
    end_at(&format!("before-answer-{}", reason.label()));
}

#[cfg(debug_assertions)]
fn end_at(point: &str) {
    if std::env::var_os("REJOB_FAIL_POINT").is_some_and(|at| at == *point) {
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(super) fn hit(_: Effect, _: Step) {}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn answers(_: Reason) {}
