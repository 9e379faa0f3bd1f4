//! Certificates, without a cluster: files, the plan, and replicas of a fake cluster.

mod fake;
mod files;
mod handshake;
mod model;
mod plan;
mod repair;
mod replicas;
mod token;
