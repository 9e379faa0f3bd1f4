//! `rejob doctor` on a real control plane: well when all is well, and one sentence for each thing
//! that is wrong.
//!
//! The doctor looks at the whole cluster, so the tests of this file take turns.
mod certificates;
mod chart;
mod clinic;
mod healthy;
mod rights;
mod trouble;
