//! Waiting for a condition, with a deadline: the only way a test lets time pass.

use std::time::{Duration, Instant};

/// Long enough for anything that happens at all, on a machine that is busy with other things; longer
/// than the Job controller's longest pause after errors of its own writes, a minute.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// Asks until the answer is `Some`; panics after [`DEADLINE`] with what was waited for.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, condition)
}

/// As [`until`], with a deadline of its own.
pub fn within<T>(deadline: Duration, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    poll(deadline, condition)
        .unwrap_or_else(|| panic!("{what}: it did not happen within {} s", deadline.as_secs()))
}

/// Asks until the answer is `Some`, or the deadline has passed.
pub fn poll<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if begun.elapsed() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
