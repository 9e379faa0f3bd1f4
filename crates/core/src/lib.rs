//! What rejob decides: pure and total, without I/O, clock or randomness. What serves it is the crate
//! `rejob`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`policy`] | the knobs of a policy and the annotations that override them: one validated value |
//! | [`job`] | the domain: a view of a Job, its immutable part, template hash, names, client, progress |
//! | [`decide`] | `decide(request, policy, context) -> Decision`: the rule list |
//! | [`replacement`] | the replacement protocol as data: plan, dormant record, execution |
//! | [`reason`] | every outcome: its metric label, its log value, its sentence |
//! | [`patch`] | the JSON Patch builder and the proof that a patch applies |
//! | [`review`], [`mod@answer`] | the wire envelope of an AdmissionReview |

pub mod answer;
pub mod decide;
pub mod job;
mod json;
mod labeled;
pub mod patch;
pub mod policy;
pub mod reason;
pub mod replacement;
pub mod review;
