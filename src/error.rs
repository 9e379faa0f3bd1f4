//! An error on one line, with what caused it, and errors of usage.

use std::error::Error;

/// An error in how the program was called: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The error and its causes, joined by `: `; a cause that the text already states is left out.
/// Errors of connections say nothing themselves.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let inner = anyhow::anyhow!("refused");
        let error = inner.context("cannot connect: refused").context("no answer");
        assert_eq!(with_causes(error.as_ref()), "no answer: cannot connect: refused");
    }
}
