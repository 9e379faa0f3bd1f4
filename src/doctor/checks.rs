//! One function a check: facts in, findings out. Pure.
//!
//! A check that finds nothing wrong says so with one `ok`, so that a reader sees what was looked
//! at; one that could not look is a hint that names the right it lacks.

mod callers;
mod calls;
mod certificates;
mod cluster;
mod dormant;
mod entries;
mod later;
mod namespaces;
mod order;
mod reported;
mod rights;
mod self_guard;
mod workload;

use super::facts::Facts;
use super::finding::Finding;

/// A check.
pub type Check = fn(&Facts, &mut Vec<Finding>);

/// All of them, in order.
pub const ALL: [Check; 16] = [
    cluster::version,
    cluster::clock,
    entries::configuration,
    entries::entries,
    certificates::certificates,
    callers::callers,
    workload::deployments,
    workload::endpoints,
    rights::rights,
    self_guard::self_guard,
    namespaces::namespaces,
    reported::reported,
    calls::calls,
    dormant::dormant,
    order::order,
    later::later,
];
