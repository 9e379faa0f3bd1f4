//! The built rejob on a real control plane, with real clients, behind a real webhook configuration.
//!
//! One module per subject. Every test has namespaces and a rejob of its own; all share one control
//! plane, because that is what takes seconds to start.
mod atomic;
mod down;
mod hash_name;
mod helm;
mod hooks;
mod kept_name;
mod left_alone;
mod on_change;
mod owners;
mod ttl;
