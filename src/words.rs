//! Numbers and values of enums in words, for findings and tables.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A span of time as people say it: `45 s`, `12 min`, `3 h`, `20 days`.
pub fn span(seconds: i64) -> String {
    match seconds.abs() {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The span between two times, which clocks that differ do not make negative.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    span((to.as_second() - from.as_second()).max(0))
}

/// `1 problem`, `2 problems`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The word as which a value of an enum is written in JSON.
pub fn label(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
