//! What is fuzzed of the program, from its own files: as a dependency it would bring its client, TLS and server,
//! which take minutes to build.

pub use parts::{kubernetes, manifest, policy_file};
pub use rejob_core::policy;

#[path = "../../src"]
mod parts {
    pub mod manifest;
    pub mod policy_file;
    pub mod kubernetes {
        pub mod names;
    }
}
