//! The one place that opens what a command reads: files, or the standard input.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::split::{self, BOM, Document};

/// A text that a command reads.
#[derive(Debug)]
pub struct Input {
    /// The file as the user named it; `stdin` for the standard input.
    pub name: String,
    /// What is in it, without a byte order mark.
    pub text: String,
    /// Whether it began with a byte order mark.
    pub bom: bool,
}

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system refuses.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else than UTF-8.
    #[error("{name}: line {line} is not UTF-8: save the file as UTF-8{hint}")]
    Encoding {
        /// The file.
        name: String,
        /// The first line that is not UTF-8, from 1.
        line: usize,
        /// What it seems to be.
        hint: &'static str,
    },
}

impl InputError {
    /// The line that is wrong, from 1, where it is one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Read { .. } => None,
            Self::Encoding { line, .. } => Some(*line),
        }
    }
}

impl Input {
    /// Reads a file, or the standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let (name, bytes) = if path == Path::new("-") {
            ("stdin".to_owned(), read_stdin())
        } else {
            (path.display().to_string(), std::fs::read(path))
        };
        let bytes = bytes.map_err(|source| InputError::Read { name: name.clone(), source })?;
        Self::new(name, bytes)
    }

    /// Reads all files in their order; the standard input when there is none.
    ///
    /// # Errors
    /// When one cannot be read or is not UTF-8.
    pub fn read_all(files: &[PathBuf]) -> Result<Vec<Self>, InputError> {
        if files.is_empty() {
            return Ok(vec![Self::read(Path::new("-"))?]);
        }
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// An input of that name.
    ///
    /// # Errors
    /// When the bytes are not UTF-8.
    pub fn new(name: String, bytes: Vec<u8>) -> Result<Self, InputError> {
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let before = bytes.get(..valid).unwrap_or_default();
            InputError::Encoding {
                name: name.clone(),
                line: before.split(|&byte| byte == b'\n').count(),
                hint: match bytes {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => " (it looks like UTF-16)",
                    _ => "",
                },
            }
        })?;
        let bom = text.starts_with(BOM);
        if bom {
            text.drain(..BOM.len());
        }
        Ok(Self { name, text, bom })
    }

    /// The documents, in order; their texts joined are the text of the input.
    pub fn documents(&self) -> Vec<Document<'_>> {
        split::documents(&self.name, &self.text)
    }
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        eprintln!("rejob: reading from the terminal; end with Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let input = Input::new("f".to_owned(), "\u{feff}a: 1\n".into()).unwrap();
        assert!(input.bom);
        assert_eq!(input.text, "a: 1\n");
    }

    #[test]
    fn other_encodings_are_refused_with_the_line() {
        let message =
            |bytes: &[u8]| Input::new("f".to_owned(), bytes.to_vec()).unwrap_err().to_string();
        assert!(message(b"a: 1\nb: \xe9\n").starts_with("f: line 2 is not UTF-8"));
        assert!(message(b"\xff\xfea\0").ends_with("UTF-16)"));
    }
}
