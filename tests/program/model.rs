//! The replacement protocol against a model of the API server.
//!
//! The model ([`api`], [`job`]) has the API server's optimistic update loop, its cached and live
//! first reads, its no-op short cut, field owners and validation as far as they matter; [`step`]
//! moves clients, the Job controller, rejob's effects, faults, the reaper and a forged review in
//! every order. Decisions come from the real `decide`, the protocol from the real `Execution`.
//! [`property`] says what must hold; [`breaks`] breaks one rule at a time and expects the checker
//! to notice. [`whole`] plays the service itself, with what it waits for and remembers, on
//! [`simulated`] time.
#![allow(clippy::pedantic, missing_docs, reason = "tests may")]

mod api;
mod breaks;
mod check;
mod exhaustive;
mod job;
mod property;
mod random;
mod review;
mod rules;
mod run;
mod scenario;
mod simulated;
mod step;
mod whole;
mod world;
