//! Shows rejob at work, with no cluster needed: `cargo run --example demo`.
//!
//! The control plane is that of the tests (built once, into `target/`), the chart is installed by Helm,
//! and the story is `demo.sh`, which also runs in a cluster of one's own. There is no kubelet: what a
//! kubelet would write about the Pods is written by the demo. `--fast` leaves the pauses out.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it shares its stage with the tests, and ends where a test would"
)]

mod stage;

use std::process::Command;

fn main() {
    let fast = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--fast") => true,
        Some(other) => {
            eprintln!("demo: {other} is not known; --fast leaves the pauses out");
            std::process::exit(2);
        }
    };
    // Cargo builds the program before it runs a test, not before an example. With the example in the same
    // build it has the dependencies of that one, which are built already.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--bin", "rejob", "--example", "demo"])
        .status();
    assert!(built.is_ok_and(|status| status.success()), "cargo cannot build rejob");
    eprintln!("Starting a control plane, and installing rejob …");
    stage::play(fast, |line| println!("{line}"));
}
