//! Fail points: a debug build ends itself at a step of a replacement, for the tests of crashes.
//!
//! `REJOB_FAIL_POINT=before-delete` (or `after-delete`, `before-create`, …) kills the process as
//! `kill -9` would, without any clean-up. A release build does not contain it.

use super::execution::Effect;

/// On which side of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The effect is about to begin.
    Before,
    /// The effect has ended.
    After,
}

/// Ends the process if this is the step that the environment names.
#[cfg(debug_assertions)]
pub fn hit(effect: Effect, step: Step) {
    let effect = match effect {
        Effect::OptIn => "opt-in",
        Effect::MayDelete => "may-delete",
        Effect::MayCreate => "may-create",
        Effect::DryRunCreate => "dry-run-create",
        Effect::DryRunDormant => "dry-run-dormant",
        Effect::Delete => "delete",
        Effect::Create => "create",
    };
    let step = match step {
        Step::Before => "before",
        Step::After => "after",
    };
    if std::env::var_os("REJOB_FAIL_POINT").is_some_and(|at| at == *format!("{step}-{effect}")) {
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn hit(_: Effect, _: Step) {}
