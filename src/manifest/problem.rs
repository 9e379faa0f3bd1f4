//! What is wrong with a document.

/// What is wrong with a document, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}: document {document}, line {line}: {message}")]
pub struct ManifestError {
    /// The file, `stdin` for the standard input.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// Which line of the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// What is wrong on which line of the text at hand, from 1.
#[derive(Debug)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
