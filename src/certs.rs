//! Certificates: where they come from, how they are served, and how they are renewed.
//!
//! There are three ways: an in-memory pair for trying things out ([`self_signed`]), files that
//! somebody else keeps up to date ([`load_pair`], [`watch_files`]), and a CA of the server's own
//! that lives in a Secret ([`manager`]; the rules are in [`plan`]). The last keeps a path token
//! beside it; with files a [`token_keeper`] can. All of them end in a [`CertResolver`], which the TLS listener resolves from
//! without a lock. The invariant of the module: a pair is served only after it was proven to be
//! usable, and a bad one never displaces a good one.

mod args;
pub mod bundle;
pub mod change;
mod client_ca;
mod clock;
pub mod configuration;
mod expiry;
mod issue;
pub mod manager;
mod pace;
mod pair;
mod pem;
pub mod plan;
mod readiness;
pub mod replica;
mod resolver;
pub mod state;
pub mod store;
mod supply;
pub mod token;
pub mod token_keeper;
mod watch;

pub use args::{CertArgs, Source, service_names};
pub use client_ca::{ClientCaVerifier, client_verifier};
pub use clock::{Clock, SystemClock};
pub use expiry::{ValidityStage, warn_before_expiry};
pub use issue::{Issued, Keypair, self_signed};
pub(crate) use pair::alternative_names;
pub use pair::{Pair, Validity, load_pair};
pub use pem::CertError;
pub use readiness::Readiness;
pub use resolver::CertResolver;
pub use supply::Supply;
pub use token::{AcceptedTokens, accepted_tokens};
pub use watch::{read_pair, watch_client_ca, watch_files};
