//! Replacement on a real control plane, where it is hardest: other hooks, crashes, many clients at
//! once, missing rights, and what is left to see afterwards.
//!
//! `tests/cluster/matrix` plays every client in every situation; here each module is one promise.

mod as_user;
mod companions;
mod concurrency;
mod crowd;
pub mod deploy;
mod emergency;
mod faults;
mod forged;
mod hangs_up;
mod hashes;
mod hooks;
mod kill;
mod killed_again;
mod kinds;
mod knobs;
mod mirrors;
mod operators;
mod owners;
mod patches;
mod policies;
mod queues;
mod reaper;
mod recreated;
mod report;
mod rights;
mod selectors;
mod slow;
mod stored;
mod visible;
mod wish;
mod working;
