//! `kubectl rejob`: the built program, found by real kubectl as `kubectl-rejob`, on a real control
//! plane.
mod explain;
mod kubelet;
mod report;
mod rerun;
mod run;
mod status;
