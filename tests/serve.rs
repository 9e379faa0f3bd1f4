//! `rejob serve` over real TLS connections: what it answers to whatever it is sent, what it takes
//! on at most, how it goes away, and the program as a process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "serve/client.rs"]
mod client;
#[path = "serve/drain.rs"]
mod drain;
#[path = "serve/limits.rs"]
mod limits;
#[path = "serve/malformed.rs"]
mod malformed;
#[path = "serve/process.rs"]
mod process;
#[path = "serve/stub.rs"]
mod stub;
